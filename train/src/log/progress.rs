//! The run as people watch it: one line redrawn in place on a terminal, a line every few seconds anywhere else. No colour
//! is ever used, so `NO_COLOR` has nothing to switch off.

use std::fmt;
use std::io::{self, IsTerminal as _, Write};
use std::time::{Duration, Instant};

use indicatif::{
    DecimalBytes, FormattedDuration, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle,
};
use pairmill_shards::printable::printable;

use super::metrics::{EvalLine, StepLine};

/// Seconds between lines where there is no terminal.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);

/// Where progress goes.
pub enum Target {
    /// Redrawn in place.
    Live(ProgressDrawTarget),
    /// A line every so often.
    Lines {
        /// Where to.
        to: Box<dyn Write + Send>,
        /// How often at most.
        interval: Duration,
    },
    /// Nowhere.
    Quiet,
}

impl Target {
    /// Standard error as it is: live on a terminal, lines elsewhere.
    pub fn stderr() -> Self {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if io::stderr().is_terminal() && !is_dumb {
            Self::Live(ProgressDrawTarget::stderr())
        } else {
            Self::Lines { to: Box::new(io::stderr()), interval: DEFAULT_INTERVAL }
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Live(_) => "Live",
            Self::Lines { .. } => "Lines",
            Self::Quiet => "Quiet",
        })
    }
}

enum Shown {
    Live(ProgressBar),
    Lines { to: Box<dyn Write + Send>, interval: Duration, last: Option<Instant> },
    Quiet,
}

/// A running display.
pub struct Progress {
    shown: Shown,
    resumed_at: u64,
    total_steps: u64,
    begun: Instant,
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("total_steps", &self.total_steps).finish_non_exhaustive()
    }
}

impl Progress {
    /// A display of a run that has made `resumed_at` of its `total_steps`.
    pub fn new(target: Target, resumed_at: u64, total_steps: u64) -> Self {
        let shown = match target {
            Target::Live(draw) => {
                let bar = ProgressBar::with_draw_target(Some(total_steps), draw).with_position(resumed_at);
                // The template is a constant; should it ever be wrong, indicatif's own is shown.
                if let Ok(style) = ProgressStyle::with_template("{bar:20} {wide_msg}") {
                    bar.set_style(style.progress_chars("=> "));
                }
                Shown::Live(bar)
            }
            Target::Lines { to, interval } => Shown::Lines { to, interval, last: None },
            Target::Quiet => Shown::Quiet,
        };
        Self { shown, resumed_at, total_steps, begun: Instant::now() }
    }

    /// Shows a step.
    pub fn step(&mut self, line: &StepLine) {
        let text = render(line, self.total_steps, self.remaining(line.step));
        let is_last = line.step >= self.total_steps;
        match &mut self.shown {
            Shown::Live(bar) => {
                bar.set_position(line.step);
                bar.set_message(text);
            }
            Shown::Lines { to, interval, last } => {
                if is_last || last.is_none_or(|last| last.elapsed() >= *interval) {
                    *last = Some(Instant::now());
                    // A closed standard error ends the display, not the run.
                    let _ = writeln!(to, "{text}");
                }
            }
            Shown::Quiet => {}
        }
    }

    /// Shows an evaluation.
    pub fn eval(&mut self, line: &EvalLine) {
        let metrics: Vec<_> = line.metrics.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
        self.note(&format!("evaluation at step {}: {}", HumanCount(line.step), metrics.join(", ")));
    }

    /// Shows a line that stays.
    pub fn note(&mut self, text: &str) {
        let text = printable(text);
        match &mut self.shown {
            Shown::Live(bar) => bar.println(&text),
            Shown::Lines { to, .. } => {
                let _ = writeln!(to, "{text}");
            }
            Shown::Quiet => {}
        }
    }

    /// Takes the display down.
    pub fn finish(&mut self) {
        if let Shown::Live(bar) = &self.shown {
            bar.abandon();
        }
    }

    /// Time left at the rate of this process so far.
    fn remaining(&self, step: u64) -> Option<Duration> {
        let made = step.saturating_sub(self.resumed_at);
        let left = self.total_steps.saturating_sub(step);
        (made > 0).then(|| self.begun.elapsed().mul_f64(left as f64 / made as f64))
    }
}

fn render(line: &StepLine, total_steps: u64, remaining: Option<Duration>) -> String {
    let mut text = format!(
        "step {}/{}  epoch {:.2}  loss {:.4}  scale {:.2}  lr {:.2e}  {} samples/s  wait {:.1}%",
        HumanCount(line.step),
        HumanCount(total_steps),
        line.epoch,
        line.loss,
        line.logit_scale,
        line.lr,
        HumanCount(line.samples_per_s.round() as u64),
        line.data_wait * 100.0,
    );
    if let Some(bytes) = line.memory_bytes {
        text += &format!("  {}", DecimalBytes(bytes));
    }
    if let Some(remaining) = remaining {
        text += &format!("  eta {}", FormattedDuration(Duration::from_secs(remaining.as_secs())));
    }
    text
}

/// Largest resident memory of this process so far; `None` where the system does not say.
pub fn peak_resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::metrics::tests::step_line;
    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_line_holds_what_one_watches() {
        assert_eq!(
            render(&step_line(1200), 42_176, Some(Duration::from_secs(7_384))),
            "step 1,200/42,176  epoch 12.00  loss 0.0033  scale 14.30  lr 1.00e-4  120 samples/s  wait 1.0%  1.07 GB  \
             eta 02:03:04"
        );
    }

    #[test]
    fn without_a_terminal_there_is_a_line_an_interval_and_the_last() {
        let sink = Sink::default();
        let target = Target::Lines { to: Box::new(sink.clone()), interval: Duration::from_secs(3600) };
        let mut progress = Progress::new(target, 0, 5);
        (1..=5).for_each(|step| progress.step(&step_line(step)));
        progress.note("saved");
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        let starts: Vec<_> = text.lines().map(|line| line.split("  ").next().unwrap()).collect();
        assert_eq!(starts, ["step 1/5", "step 5/5", "saved"]);
        assert!(!text.contains('\u{1b}'));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_knows_its_memory() {
        assert!(peak_resident_bytes().unwrap() > 1 << 20);
    }
}
