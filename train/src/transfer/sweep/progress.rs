//! A sweep as people watch it: on a terminal a table of what is done, running, failed and left with the time it will take,
//! redrawn in place; anywhere else a line for each run that ends and one every ten seconds. No colour, so `NO_COLOR` has
//! nothing to switch off.

use std::fmt;
use std::io::Write;
use std::time::{Duration, Instant};

use indicatif::{FormattedDuration, ProgressBar, ProgressStyle};
use pairmill_shards::results::Shots;

use super::plan::{Plan, Point};
use crate::log::progress::Target;
use crate::transfer::crew::Report;

/// Width of the bar.
const BAR: usize = 24;
/// What has to be done before the time taken says more than the prediction.
const KNOWN_SHARE: f64 = 0.05;

enum Shown {
    Live(ProgressBar),
    Lines { to: Box<dyn Write + Send>, interval: Duration, last: Instant },
    Quiet,
}

/// The running display.
pub struct Progress {
    shown: Shown,
    begun: Instant,
    runs: usize,
    done: usize,
    failed: usize,
    skipped: usize,
    running: usize,
    /// Work of the whole, of what is over, and of the unit that runs, in any unit.
    total: f64,
    over: f64,
    unit: f64,
    share: f64,
    predicted_s: f64,
    what: String,
    how: String,
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("runs", &self.runs).field("done", &self.done).finish_non_exhaustive()
    }
}

/// One run in a few words: `Shutterstock → PETS, 5 shots, fine-tune, lr 1e-4, seed 0`.
pub fn name(plan: &Plan, point: &Point) -> String {
    let mut text = format!("{} → {}", plan.sources[point.source].config.name, shared(plan, point));
    if let Some(tune) = point.config.tune {
        text.push_str(&format!(", lr {:e}", tune.lr));
    }
    text
}

/// What the runs of a unit share.
fn shared(plan: &Plan, point: &Point) -> String {
    let task = &plan.tasks[point.task].set.name;
    let seed = point.config.seed;
    match point.config.shots {
        Shots::Zero => format!("{task}, {}", point.config.method),
        Shots::PerClass(1) => format!("{task}, 1 shot, {}, seed {seed}", point.config.method),
        Shots::PerClass(n) => format!("{task}, {n} shots, {}, seed {seed}", point.config.method),
        Shots::All => format!("{task}, all images, {}, seed {seed}", point.config.method),
    }
}

impl Progress {
    /// Of `runs` runs that are predicted to take `predicted_s` seconds in all; `total` is their work.
    pub fn new(target: Target, runs: usize, total: f64, predicted_s: f64) -> Self {
        let shown = match target {
            Target::Live(draw) => {
                let bar = ProgressBar::with_draw_target(None, draw);
                // The template is a constant; should it ever be wrong, indicatif's own is shown.
                if let Ok(style) = ProgressStyle::with_template("{msg}") {
                    bar.set_style(style);
                }
                Shown::Live(bar)
            }
            Target::Lines { to, interval } => Shown::Lines { to, interval, last: Instant::now() },
            Target::Quiet => Shown::Quiet,
        };
        Self {
            shown,
            begun: Instant::now(),
            runs,
            done: 0,
            failed: 0,
            skipped: 0,
            running: 0,
            total,
            over: 0.0,
            unit: 0.0,
            share: 0.0,
            predicted_s,
            what: String::new(),
            how: String::new(),
        }
    }

    /// Runs that were done before.
    pub fn skip(&mut self, runs: usize) {
        self.skipped = runs;
    }

    /// Something that is going on beside the runs.
    pub fn note(&mut self, text: &str) {
        text.clone_into(&mut self.what);
        self.how.clear();
        self.line(text);
        self.draw();
    }

    /// A unit of `runs` begins, `work` of the whole.
    pub fn begin(&mut self, plan: &Plan, point: &Point, runs: usize) {
        self.over += self.unit;
        self.unit = plan.cost_of(point) * runs as f64;
        self.share = 0.0;
        self.running = runs;
        self.what = shared(plan, point);
        self.how.clear();
        self.draw();
    }

    /// A pass of a cohort is over.
    pub fn epoch(&mut self, done: u64, of: u64, report: &Report) {
        self.share = done as f64 / of.max(1) as f64;
        let mean = |values: Vec<f64>| match values.len() {
            0 => None,
            n => Some(values.iter().sum::<f64>() / n as f64),
        };
        let loss = mean(report.passes.iter().map(|line| line.loss).collect());
        let acc1 = mean(report.passes.iter().filter_map(|line| line.acc1).collect());
        self.how = format!("epoch {done}/{of}");
        if let Some(loss) = loss {
            self.how.push_str(&format!(", loss {loss:.3}"));
        }
        if let Some(acc1) = acc1 {
            self.how.push_str(&format!(", val {acc1:.1} %"));
        }
        self.draw();
    }

    /// A run is done.
    pub fn finished(&mut self, plan: &Plan, point: &Point, acc1: f64) {
        self.done += 1;
        self.running = self.running.saturating_sub(1);
        let text = format!("{:<6.2} {} [{}]", acc1, name(plan, point), point.run);
        self.line(&text);
        self.draw();
    }

    /// A run has failed.
    pub fn failed(&mut self, plan: &Plan, point: &Point, why: &str) {
        self.failed += 1;
        self.running = self.running.saturating_sub(1);
        let text = format!("FAILED {}: {why} [{}]", name(plan, point), point.run);
        self.line(&text);
        self.draw();
    }

    /// Seconds that are left.
    fn left_s(&self) -> f64 {
        let share = ((self.over + self.unit * self.share) / self.total.max(1e-9)).clamp(0.0, 1.0);
        let taken = self.begun.elapsed().as_secs_f64();
        let predicted = (self.predicted_s * (1.0 - share)).max(0.0);
        if share < KNOWN_SHARE { predicted } else { taken * (1.0 - share) / share }
    }

    fn table(&self) -> String {
        let ended = self.done + self.failed + self.skipped;
        let left = self.runs.saturating_sub(ended + self.running);
        let filled = BAR * ended / self.runs.max(1);
        format!(
            "[{}{}] {} done · {} running · {} failed · {left} left · {} to go",
            "=".repeat(filled),
            " ".repeat(BAR - filled),
            self.done + self.skipped,
            self.running,
            self.failed,
            FormattedDuration(Duration::from_secs(self.left_s() as u64)),
        )
    }

    fn line(&mut self, text: &str) {
        match &mut self.shown {
            Shown::Live(bar) => bar.println(text),
            // A broken pipe of progress is no reason to stop.
            Shown::Lines { to, .. } => {
                let _ = writeln!(to, "{text}");
            }
            Shown::Quiet => {}
        }
    }

    fn draw(&mut self) {
        let now =
            if self.how.is_empty() { self.what.clone() } else { format!("{}: {}", self.what, self.how) };
        let text = match &self.shown {
            Shown::Quiet => return,
            Shown::Lines { interval, last, .. } if last.elapsed() < *interval => return,
            Shown::Live(_) => format!("{}\n{now}", self.table()),
            Shown::Lines { .. } => format!("{} | {now}", self.table()),
        };
        match &mut self.shown {
            Shown::Live(bar) => bar.set_message(text),
            Shown::Lines { to, last, .. } => {
                *last = Instant::now();
                let _ = writeln!(to, "{text}");
            }
            Shown::Quiet => {}
        }
    }

    /// Leaves the terminal as it was.
    pub fn finish(self) {
        if let Shown::Live(bar) = self.shown {
            bar.finish_and_clear();
        }
    }
}
