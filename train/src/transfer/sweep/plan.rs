//! From a grid to runs, and from runs to units of work. Everything that can be wrong with the input is found here, before
//! anything is computed. The units depend on the grid alone, not on what is done already, so that any number of processes
//! divide them without a word ([`Part`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use pairmill_shards::results::{Protocol, Shots};

use super::config::{SweepConfig, TaskConfig};
use crate::error::TrainError;
use crate::transfer::config::{
    HeadStart, Method, Preset, TransferConfig, TransformConfig, TuneConfig, hex16,
};
use crate::transfer::draw::Draw;
use crate::transfer::protocol::{ClassOrder, Rules};
use crate::transfer::source::Source;
use pairmill_datasets::{LabelledSet, Part as SetPart, prompt_name};

/// A dataset with what all runs on it share.
#[derive(Debug)]
pub struct Task {
    /// Its images and classes.
    pub set: LabelledSet,
    /// Names its content in its order, as runs are named by it.
    pub fingerprint: String,
    /// Names its content whatever the order: the same of a folder and of an archive.
    pub content: String,
    /// Class names as prompts want them, in the order the protocol gives a zero-shot head.
    pub prompts: Vec<String>,
}

/// One run of the grid.
#[derive(Debug, Clone)]
pub struct Point {
    /// Its config.
    pub config: TransferConfig,
    /// Its name.
    pub run: String,
    /// Which source of the plan.
    pub source: usize,
    /// Which task of the plan.
    pub task: usize,
    /// Which draw of the plan.
    draw: usize,
}

impl Point {
    /// Side of the tower's pictures.
    pub fn side(&self, plan: &Plan) -> u32 {
        u32::try_from(plan.sources[self.source].architecture.image_size()).unwrap_or(0)
    }
}

/// Runs that are done together.
#[derive(Debug, Clone)]
pub enum Unit {
    /// Runs of one source on one task whose tower stays as it is: they share its features.
    Frozen(Vec<usize>),
    /// Runs that see the same images in the same order.
    Cohort(Vec<usize>),
}

impl Unit {
    /// Its runs, as positions in [`Plan::points`].
    pub fn points(&self) -> &[usize] {
        match self {
            Self::Frozen(points) | Self::Cohort(points) => points,
        }
    }
}

/// A unit and which of its runs are not done yet. What is left changes nothing about how the unit is computed: threads
/// and batches are those of the whole unit, so a sweep that was killed ends with the numbers of one that was not.
#[derive(Debug, Clone)]
pub struct Todo<'a> {
    /// The whole unit.
    pub unit: &'a Unit,
    /// Its runs that are left, at least one.
    pub left: Vec<usize>,
}

/// Everything to be done.
#[derive(Debug)]
pub struct Plan {
    /// The pretrained towers.
    pub sources: Vec<Source>,
    /// The tasks.
    pub tasks: Vec<Task>,
    /// The runs.
    pub points: Vec<Point>,
    /// Their images, each draw once.
    draws: Vec<Draw>,
    /// What is done together, by task.
    pub units: Vec<Unit>,
    /// What was left out and why.
    pub notes: Vec<String>,
}

/// Part `index` of `of`, counted from 1: `2/8`. Slurm's array tasks take `$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT`
/// for an array that begins at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// From 1.
    pub index: usize,
    /// Number of parts.
    pub of: usize,
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        match parts {
            Some((index, of)) if (1..=of).contains(&index) => Ok(Self { index, of }),
            _ => Err(format!("`{text}` is no part; write I/N with I from 1 to N, such as 2/8")),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl Plan {
    /// Opens every source and dataset, and lays the grid out.
    ///
    /// # Errors
    /// The first thing that would keep a run from its end, naming the file or setting.
    pub fn new(config: &SweepConfig) -> Result<Self, TrainError> {
        config.check()?;
        let sources: Vec<_> = config.source.iter().map(Source::open).collect::<Result<_, _>>()?;
        let tasks: Vec<_> =
            config.task.iter().map(|task| Task::open(config.protocol, task)).collect::<Result<_, _>>()?;
        let mut plan = Self {
            sources,
            tasks,
            points: Vec::new(),
            draws: Vec::new(),
            units: Vec::new(),
            notes: Vec::new(),
        };
        for (task, task_config) in config.task.iter().enumerate() {
            let templates = config.templates(task_config, plan.tasks[task].set.templates.as_deref())?;
            for source in 0..plan.sources.len() {
                for &method in &config.methods {
                    plan.lay_out(config, (task, task_config), source, method, &templates)?;
                }
            }
        }
        let mut names = BTreeSet::new();
        plan.points.retain(|point| names.insert(point.run.clone()));
        plan.draw_images()?;
        plan.group(config.runtime.together.max(1));
        Ok(plan)
    }

    fn lay_out(
        &mut self,
        config: &SweepConfig,
        (task, task_config): (usize, &TaskConfig),
        source: usize,
        method: Method,
        templates: &[String],
    ) -> Result<(), TrainError> {
        let from = &self.sources[source];
        let published = config.protocol == Protocol::AsPublished;
        if from.is_scratch() && matches!(method, Method::ZeroShot | Method::LinearProbe | Method::LpFt) {
            let name = &from.config.name;
            let note = format!("{name}: nothing was pretrained, so there is no {method} of it");
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
            return Ok(());
        }
        let over = &task_config.over;
        let shots = match method {
            Method::ZeroShot => &vec![Shots::Zero],
            _ => over.shots.as_ref().unwrap_or(&config.shots),
        };
        let preset = if method.tunes() || published { Preset::Timm } else { Preset::Clip };
        let usual = if published { pairmill_pixels::Normalisation::Imagenet } else { from.statistics };
        let transform = TransformConfig {
            preset: config.transform.preset.unwrap_or(preset),
            statistics: config.transform.statistics.unwrap_or(usual),
        };
        let head = match (config.tune.head, from.is_scratch() && !published) {
            (Some(head), _) => head,
            (None, true) => HeadStart::Random,
            (None, false) => HeadStart::ZeroShot,
        };
        let tunes: Vec<Option<TuneConfig>> = match method.tunes() {
            false => vec![None],
            true => {
                let mut all = Vec::new();
                for &epochs in over.epochs.as_ref().unwrap_or(&config.tune.epochs) {
                    for &batch_size in over.batch_size.as_ref().unwrap_or(&config.tune.batch_size) {
                        for &lr in over.lr.as_ref().unwrap_or(&config.tune.lr) {
                            all.push(Some(TuneConfig {
                                head,
                                epochs,
                                batch_size,
                                lr,
                                weight_decay: config.tune.weight_decay,
                                warmup_steps: config.tune.warmup_steps,
                                precision: config.tune.precision,
                            }));
                        }
                    }
                }
                all
            }
        };
        let selection = config.selection.unwrap_or(Rules::of(config.protocol).selection);
        for &shots in shots {
            // Without a draw and without anything random every seed gives the same numbers.
            let one_seed =
                matches!(shots, Shots::Zero) || (method == Method::LinearProbe && shots == Shots::All);
            let seeds = if one_seed && !published { &config.seeds[..1] } else { &config.seeds[..] };
            for &seed in if shots == Shots::Zero { &seeds[..1] } else { seeds } {
                for &tune in &tunes {
                    let point = TransferConfig {
                        protocol: config.protocol,
                        source: from.config.clone(),
                        dataset: task_config.dataset.clone(),
                        templates: match (method, tune.map(|tune| tune.head)) {
                            // Prompts that nothing is made of are no part of the run.
                            (Method::LinearProbe | Method::LpFt, _) if !published => Vec::new(),
                            (Method::FineTune, Some(HeadStart::Random)) => Vec::new(),
                            _ => templates.to_vec(),
                        },
                        shots,
                        method,
                        seed,
                        selection,
                        transform,
                        tune,
                        strengths: match (method, published) {
                            (Method::LinearProbe | Method::LpFt, false) => config.strengths.clone(),
                            _ => Vec::new(),
                        },
                        alphas: if method.tunes() { config.alphas.clone() } else { Vec::new() },
                    };
                    let run = point.hash(&from.fingerprint, &self.tasks[task].fingerprint)?;
                    self.points.push(Point { config: point, run, source, task, draw: 0 });
                }
            }
        }
        Ok(())
    }

    /// Every draw once; so a class with too few images is told of now.
    fn draw_images(&mut self) -> Result<(), TrainError> {
        let mut known = BTreeMap::new();
        for point in &mut self.points {
            let TransferConfig { protocol, shots, seed, .. } = point.config;
            point.draw = match known.get(&(point.task, shots, seed)) {
                Some(&draw) => draw,
                None => {
                    self.draws.push(self.tasks[point.task].draw(protocol, shots, seed)?);
                    let draw = self.draws.len() - 1;
                    known.insert((point.task, shots, seed), draw);
                    draw
                }
            };
        }
        Ok(())
    }

    /// The images of a run.
    pub fn draw(&self, point: &Point) -> &Draw {
        &self.draws[point.draw]
    }

    /// Units by task; within a task the frozen ones first, whose results come soonest.
    fn group(&mut self, together: usize) {
        let mut frozen: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
        let mut cohorts: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, point) in self.points.iter().enumerate() {
            match point.config.tune {
                None => frozen.entry((point.task, point.source)).or_default().push(index),
                Some(tune) => {
                    let TransformConfig { preset, statistics } = point.config.transform;
                    let bits = |values: [f64; 3]| values.map(f64::to_bits);
                    let same = (
                        point.task,
                        point.config.shots,
                        (point.config.seed, tune.epochs, tune.batch_size),
                        (preset, bits(statistics.mean()), bits(statistics.std()), point.side(self)),
                    );
                    cohorts.entry(same).or_default().push(index);
                }
            }
        }
        let mut units: Vec<(usize, Unit)> = Vec::new();
        units.extend(frozen.into_iter().map(|((task, _), points)| (task, Unit::Frozen(points))));
        for ((task, ..), points) in cohorts {
            units.extend(points.chunks(together).map(|part| (task, Unit::Cohort(part.to_vec()))));
        }
        units.sort_by_key(|(task, _)| *task);
        self.units = units.into_iter().map(|(_, unit)| unit).collect();
    }

    /// The units of one part: the costliest unit goes to the part that has least, and so on, so all parts take about as
    /// long. Every process that has the same grid finds the same division.
    pub fn part(&self, part: Option<Part>) -> Vec<&Unit> {
        let Some(Part { index, of }) = part else { return self.units.iter().collect() };
        let mut costs: Vec<_> =
            self.units.iter().enumerate().map(|(number, unit)| (self.cost(unit), number)).collect();
        costs.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut loads = vec![0.0; of];
        let mut mine = Vec::new();
        for (cost, number) in costs {
            let least = (0..of).min_by(|&a, &b| f64::total_cmp(&loads[a], &loads[b])).unwrap_or(0);
            loads[least] += cost;
            if least + 1 == index {
                mine.push(number);
            }
        }
        mine.sort_unstable();
        mine.into_iter().map(|number| &self.units[number]).collect()
    }

    /// Work of a unit, for comparison with others: images through towers, a step counting as three looks, weighted by
    /// pixels and width.
    pub fn cost(&self, unit: &Unit) -> f64 {
        unit.points().iter().map(|&index| self.cost_of(&self.points[index])).sum()
    }

    /// Work of one run.
    pub fn cost_of(&self, point: &Point) -> f64 {
        let passes = Passes::of(point, self.draw(point));
        let architecture = &self.sources[point.source].architecture;
        let side = architecture.image_size() as f64;
        (3.0 * passes.trained + passes.looked_at) * side * side * architecture.embed_dim as f64
    }
}

/// Images through a tower in a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Passes {
    /// With gradients.
    pub trained: f64,
    /// Without.
    pub looked_at: f64,
}

impl Passes {
    /// Of one run.
    pub fn of(point: &Point, draw: &Draw) -> Self {
        let (train, val, test) = (draw.train.len() as f64, draw.val.len() as f64, draw.test.len() as f64);
        let published = point.config.protocol == Protocol::AsPublished;
        match point.config.tune {
            None => Self { trained: 0.0, looked_at: train + val + test },
            Some(tune) => {
                let epochs = f64::from(tune.epochs);
                let mixtures = point.config.alphas.len() as f64;
                // As published every pass is judged on the test set, and the start as well; corrected tests once.
                let judged = if published { test } else { val };
                Self { trained: epochs * train, looked_at: epochs * judged + (1.0 + mixtures) * test }
            }
        }
    }
}

impl Task {
    fn open(protocol: Protocol, config: &TaskConfig) -> Result<Self, TrainError> {
        let set = LabelledSet::open(&config.dataset)?;
        let prompts = match Rules::of(protocol).class_order {
            ClassOrder::OfLabels => prompt_name::clean(set.kind, &set.classes),
            ClassOrder::Published => prompt_name::published(set.kind, &set.classes)?,
        };
        let mut text = set.classes.join("\n");
        let mut sorted = text.clone();
        for part in SetPart::ALL {
            let mut lines: Vec<String> = set
                .part(part)
                .iter()
                .map(|example| format!("\n{} {}", example.label, example.name))
                .collect();
            text.push_str(part.as_str());
            lines.iter().for_each(|line| text.push_str(line));
            lines.sort_unstable();
            sorted.push_str(part.as_str());
            lines.iter().for_each(|line| sorted.push_str(line));
        }
        Ok(Self { fingerprint: hex16(text.as_bytes()), content: hex16(sorted.as_bytes()), prompts, set })
    }

    /// The images of a run.
    ///
    /// # Errors
    /// When a class has fewer images than shots, or the run would have none.
    fn draw(&self, protocol: Protocol, shots: Shots, seed: u64) -> Result<Draw, TrainError> {
        let task = &self.set.name;
        let draw = Draw::new(&self.set, protocol, shots, seed)
            .map_err(|error| TrainError::Shots { task: task.clone(), error })?;
        let nothing = |what| Err(TrainError::Transfer(format!("{task}: there are no images to {what} on")));
        match (draw.train.is_empty() && shots != Shots::Zero, draw.test.is_empty()) {
            (true, _) => nothing("train"),
            (_, true) => nothing("test"),
            _ => Ok(draw),
        }
    }

    /// Class numbers of some examples.
    pub fn labels(&self, keys: &[(SetPart, usize)]) -> Vec<i64> {
        keys.iter()
            .map(|&(part, index)| self.set.part(part).get(index).map_or(0, |e| i64::from(e.label)))
            .collect()
    }
}
