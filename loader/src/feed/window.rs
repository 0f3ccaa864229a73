//! A window whose shards are open, and the opening of the next one while this one is read.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::config::LoaderConfig;
use crate::dataset::Dataset;
use crate::error::LoaderError;
use crate::order::{Pass, WindowOrder};
use crate::shard::OpenShard;

/// Shards of one window, open, and the order of their samples.
pub(crate) struct OpenWindow {
    pub source: usize,
    pub pass: u64,
    /// Position within the pass of its first sample.
    pub start: u64,
    pub order: WindowOrder,
    numbers: Vec<u32>,
    shards: Vec<Arc<OpenShard>>,
}

/// A sample of an open window.
pub(crate) struct Found<'a> {
    pub shard: &'a OpenShard,
    pub shard_number: u32,
    pub sample: u32,
}

impl OpenWindow {
    fn open(
        dataset: &Dataset,
        config: &LoaderConfig,
        source: usize,
        pass: (u64, &Pass),
        number: u64,
        before: Option<&Self>,
    ) -> Result<Self, LoaderError> {
        let from = &dataset.sources()[source];
        let window = &pass.1.windows()[number as usize];
        // Shards of the window before, and those that were drawn twice, are open already.
        let mut open: HashMap<u32, Arc<OpenShard>> = HashMap::new();
        if let Some(before) = before.filter(|before| before.source == source) {
            open.extend(before.numbers.iter().copied().zip(before.shards.iter().cloned()));
        }
        let mut wanted: Vec<u32> = Vec::with_capacity(window.shards.len());
        for number in &window.shards {
            if !open.contains_key(number) && !wanted.contains(number) {
                wanted.push(*number);
            }
        }
        for (number, shard) in wanted.iter().zip(dataset.open_shards(source, &wanted)?) {
            let (info, counted) = (&from.shards[*number as usize], from.counts[*number as usize] as usize);
            if shard.len() != counted {
                let (path, found, origin) = (info.path.clone(), shard.len(), info.counted.clone());
                return Err(LoaderError::Count { path, found, counted, origin });
            }
            open.insert(*number, Arc::new(shard));
        }
        let shards = window.shards.iter().filter_map(|number| open.get(number).map(Arc::clone)).collect();
        let order = WindowOrder::new(window, &from.counts, config.order, config.seed, source as u64, pass.0);
        Ok(Self { source, pass: pass.0, start: window.start, order, numbers: window.shards.clone(), shards })
    }

    /// The sample at position `at` of the window.
    pub fn sample(&self, at: u64) -> Option<Found<'_>> {
        let (shard, sample) = self.order.sample(at)?;
        Some(Found { shard: &self.shards[shard], shard_number: self.numbers[shard], sample })
    }

    /// The files, for messages.
    pub fn paths(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.shards.iter().map(|shard| shard.path.as_path())
    }
}

type Opening = JoinHandle<Result<OpenWindow, LoaderError>>;

/// The windows of one source, one open and the next being opened.
pub(crate) struct Windows {
    source: usize,
    pass: Option<(u64, Arc<Pass>)>,
    open: Option<Arc<OpenWindow>>,
    next: Option<((u64, u64), Opening)>,
}

impl Windows {
    pub fn new(source: usize) -> Self {
        Self { source, pass: None, open: None, next: None }
    }

    /// The open window that position `at` of pass `pass` lies in.
    pub fn at(
        &mut self,
        dataset: &Dataset,
        config: &LoaderConfig,
        pass: u64,
        at: u64,
    ) -> Result<Arc<OpenWindow>, LoaderError> {
        if let Some(open) = &self.open {
            let inside = open.start <= at && at < open.start + open.order.len();
            if open.pass == pass && inside {
                return Ok(Arc::clone(open));
            }
        }
        let plan = self.pass(dataset, config, pass);
        let number = plan.window_at(at).map_or(0, |window| window.number);
        let opened = match self.next.take() {
            Some((id, opening)) if id == (pass, number) => {
                opening.join().map_err(|_| LoaderError::Thread("that opened shards has died"))??
            }
            _ => OpenWindow::open(dataset, config, self.source, (pass, &plan), number, self.open.as_deref())?,
        };
        let opened = Arc::new(opened);
        self.open = Some(Arc::clone(&opened));
        self.open_next(dataset, config, pass, number, &plan);
        Ok(opened)
    }

    fn pass(&mut self, dataset: &Dataset, config: &LoaderConfig, number: u64) -> Arc<Pass> {
        match &self.pass {
            Some((have, pass)) if *have == number => Arc::clone(pass),
            _ => {
                let pass = Arc::new(new_pass(dataset, config, self.source, number));
                self.pass = Some((number, Arc::clone(&pass)));
                pass
            }
        }
    }

    /// Opens the window after this one on a thread of its own. Failing to start one costs only time.
    fn open_next(
        &mut self,
        dataset: &Dataset,
        config: &LoaderConfig,
        pass: u64,
        number: u64,
        plan: &Arc<Pass>,
    ) {
        let (next_pass, next_number, plan) = match plan.windows().get(number as usize + 1) {
            Some(_) => (pass, number + 1, Some(Arc::clone(plan))),
            None => (pass + 1, 0, None),
        };
        let (dataset, config, source) = (dataset.clone(), config.clone(), self.source);
        let before = self.open.clone();
        let open = move || {
            let plan = plan.unwrap_or_else(|| Arc::new(new_pass(&dataset, &config, source, next_pass)));
            let pass = (next_pass, plan.as_ref());
            OpenWindow::open(&dataset, &config, source, pass, next_number, before.as_deref())
        };
        let opening = std::thread::Builder::new().name("loader-open".to_owned()).spawn(open);
        self.next = opening.ok().map(|opening| ((next_pass, next_number), opening));
    }
}

fn new_pass(dataset: &Dataset, config: &LoaderConfig, source: usize, number: u64) -> Pass {
    let counts = &dataset.sources()[source].counts;
    Pass::new(counts, config.order, config.seed, source as u64, number, config.window_shards)
}
