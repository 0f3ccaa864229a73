//! The thread that looks at the counters now and then and shows or writes them.
//!
//! A terminal gets one line per stage, redrawn in place and taken away at the end; anything else gets a line every
//! few seconds. No colour is ever used, so `NO_COLOR` has nothing to switch off.

use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::counters::Counters;
use super::render::{live_lines, log_line};
use super::{Progress, View};
use crate::config::RuntimeConfig;
use crate::error::IngestError;
use crate::metrics::MetricsFile;

/// How often a terminal is redrawn.
const REDRAW: Duration = Duration::from_millis(200);

/// Where progress goes.
pub enum Target {
    /// Redrawn in place.
    Live(ProgressDrawTarget),
    /// A line every interval, and one at the end.
    Lines(Box<dyn Write + Send>),
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
            Self::Lines(Box::new(io::stderr()))
        }
    }
}

/// A running display. Dropping it takes it down as [`Display::finish`] does, but for the errors.
#[derive(Debug)]
pub struct Display {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<Result<(), IngestError>>>,
}

impl Display {
    /// Shows `counters` on standard error as `config` says, and writes `metrics` at the same interval.
    ///
    /// # Errors
    /// When the metrics file cannot be written, or no thread be started.
    pub fn start(
        config: &RuntimeConfig,
        counters: Arc<Counters>,
        total_rows: Option<u64>,
        metrics: Option<MetricsFile>,
    ) -> Result<Self, IngestError> {
        let target = if config.quiet { Target::Quiet } else { Target::stderr() };
        // With a range of shards the table's rows are no measure of what there is to do.
        let total_rows = total_rows.filter(|_| config.shards.is_none());
        let interval = Duration::from_secs(config.progress_interval_s.max(1));
        Self::start_on(target, interval, counters, total_rows, metrics)
    }

    /// As [`Display::start`], on any target.
    ///
    /// # Errors
    /// As [`Display::start`].
    pub fn start_on(
        target: Target,
        interval: Duration,
        counters: Arc<Counters>,
        total_rows: Option<u64>,
        metrics: Option<MetricsFile>,
    ) -> Result<Self, IngestError> {
        let (stop, stopped) = bounded(1);
        let mut watcher =
            Watcher { progress: Progress::default(), counters, total_rows, begun: Instant::now(), metrics };
        // Written once before anything is fetched, so that an unwritable file is known now and not hours later.
        let view = watcher.view();
        watcher.write_metrics(&view)?;
        let thread = std::thread::Builder::new()
            .name("progress".to_owned())
            .spawn(move || watcher.watch(target, interval, &stopped))
            .map_err(|error| IngestError::Internal(format!("no thread for the progress display: {error}")))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }

    /// Takes the display down, after the last line and the last metrics.
    ///
    /// # Errors
    /// The first error that writing metrics met.
    pub fn finish(mut self) -> Result<(), IngestError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), IngestError> {
        // Dropping the sender is the signal.
        self.stop = None;
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(IngestError::Internal("the progress display ended by itself".to_owned())),
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        // The error that made the run end early is the one to tell.
        let _ = self.end();
    }
}

struct Watcher {
    progress: Progress,
    counters: Arc<Counters>,
    total_rows: Option<u64>,
    begun: Instant,
    metrics: Option<MetricsFile>,
}

impl Watcher {
    fn watch(
        mut self,
        target: Target,
        interval: Duration,
        stopped: &Receiver<()>,
    ) -> Result<(), IngestError> {
        let mut screen = match target {
            Target::Live(target) => Screen::Live(Live::new(target)),
            Target::Lines(writer) => Screen::Lines(writer),
            Target::Quiet => Screen::Quiet,
        };
        let tick = if matches!(screen, Screen::Live(_)) { REDRAW.min(interval) } else { interval };
        let mut next_report = Instant::now() + interval;
        let mut result = Ok(());
        loop {
            let last = stopped.recv_timeout(tick) != Err(RecvTimeoutError::Timeout);
            let view = self.view();
            if let Screen::Live(live) = &screen {
                live.show(&view);
            }
            let due = Instant::now() >= next_report;
            if due || last {
                next_report = Instant::now() + interval;
                if let Screen::Lines(writer) = &mut screen {
                    // Nobody reads it: no reason to stop the run.
                    let _ = writeln!(writer, "{}", log_line(&view)).and_then(|()| writer.flush());
                }
                let written = self.write_metrics(&view);
                if result.is_ok() {
                    result = written;
                }
            }
            if last {
                if let Screen::Live(live) = &screen {
                    live.clear();
                }
                return result;
            }
        }
    }

    fn view(&mut self) -> View {
        let elapsed_s = self.begun.elapsed().as_secs_f64();
        self.progress.observe(self.counters.snapshot(elapsed_s, self.total_rows))
    }

    fn write_metrics(&mut self, view: &View) -> Result<(), IngestError> {
        self.metrics.as_mut().map_or(Ok(()), |metrics| metrics.write(view))
    }
}

enum Screen {
    Live(Live),
    Lines(Box<dyn Write + Send>),
    Quiet,
}

/// One bar without a bar per stage: indicatif knows how to redraw, cut to the width and leave no trace.
struct Live {
    block: MultiProgress,
    lines: Vec<ProgressBar>,
}

impl Live {
    fn new(target: ProgressDrawTarget) -> Self {
        let block = MultiProgress::with_draw_target(target);
        let style =
            ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let line = || block.add(ProgressBar::new_spinner().with_style(style.clone()));
        let lines = (0..4).map(|_| line()).collect();
        Self { block, lines }
    }

    fn show(&self, view: &View) {
        for (line, text) in self.lines.iter().zip(live_lines(view)) {
            line.set_message(text);
        }
    }

    fn clear(&self) {
        for line in &self.lines {
            line.finish_and_clear();
        }
        // A terminal that is gone is no reason to fail.
        let _ = self.block.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use indicatif::InMemoryTerm;

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_log_ends_with_the_final_numbers() {
        let (written, counters) = (Shared::default(), Arc::new(Counters::default()));
        let target = Target::Lines(Box::new(written.clone()));
        let display = Display::start_on(target, HOUR, counters.clone(), Some(2), None).unwrap();
        counters.rows_read(2);
        counters.row_done(&Ok(()));
        counters.row_done(&Ok(()));
        counters.shard_committed();
        display.finish().unwrap();
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("read 2, 100% of 2 rows done") && text.contains("100% ok, 1 shard"), "{text}");
        assert!(!text.contains('\u{1b}'), "no colours, no cursor movement: {text:?}");
    }

    #[test]
    fn a_terminal_shows_four_lines_cut_to_its_width_and_is_left_clean() {
        let term = InMemoryTerm::new(10, 40);
        let target = ProgressDrawTarget::term_like(Box::new(term.clone()));
        let live = Live::new(target);
        let counters = Counters::default();
        counters.rows_read(12);
        let view = Progress::default().observe(counters.snapshot(1.0, Some(1_000_000)));
        live.show(&view);
        for line in &live.lines {
            line.force_draw();
        }
        let shown = term.contents();
        let first: Vec<&str> = shown.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
        assert_eq!(first, ["read", "fetch", "decode", "write"], "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= 40), "{shown}");
        live.clear();
        assert_eq!(term.contents(), "");
    }
}
