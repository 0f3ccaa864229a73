//! The names of the paper: its seven sources and nine tasks, with the sizes needed to judge a value. Results with
//! other names work too; they only lack labels and sizes.

use pairmill_shards::results::Shots;

/// A pretraining source of the comparison.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// Its name in result rows.
    pub us: &'static str,
    /// Its name in figures.
    pub label: &'static str,
}

/// The seven sources compared at about 2.7 million pairs each, RN50 and CLIP.
pub const SOURCES: [Source; 7] = [
    Source { us: "Shutterstock2.7m", label: "Shutterstock" },
    Source { us: "Redcaps2.7m", label: "RedCaps" },
    Source { us: "YFCC2.7m", label: "YFCC" },
    Source { us: "LAION2.7m", label: "LAION" },
    Source { us: "CC12m", label: "CC12M" },
    Source { us: "CC3m", label: "CC3M" },
    Source { us: "WIT2.7m", label: "WIT" },
];

/// Other series of the paper, by name in result rows and in figures.
const OTHER_LABELS: [(&str, &str); 15] = [
    ("Scratch", "from scratch"),
    ("IN1K", "ImageNet, supervised"),
    ("IN_1K_CLIP_captions", "ImageNet, template captions"),
    ("IN1K-Captions", "ImageNet, Flickr captions"),
    ("LAION1m", "“LAION 1M”"),
    ("YFCC_0.5m", "YFCC 0.5M"),
    ("LAION15m", "LAION 15M"),
    ("LAION2B", "LAION 2B"),
    ("LAION400m", "LAION 400M"),
    ("OpenAI400m", "OpenAI 400M"),
    ("YFCC15m", "YFCC 15M"),
    ("LAION5m", "LAION 5M"),
    ("LAION7.5m", "LAION 7.5M"),
    ("LAION9.6m", "LAION 9.6M"),
    ("LAION0m", "LAION 0"),
];

/// A downstream task.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    /// Its name in result rows.
    pub ds: &'static str,
    /// Its name in figures.
    pub label: &'static str,
    /// Classes.
    pub num_classes: u32,
    /// Training images in all.
    pub num_train: u32,
    /// Test images the study measured on, recovered from the granularity of its values.
    pub num_test: u32,
    /// The published code measured few-shot runs on as many test images per class as there were shots.
    pub few_shot_test_subset: bool,
}

/// The nine tasks.
pub const TASKS: [Task; 9] = [
    task("CIFAR100", "CIFAR-100", 100, 50_000, 10_000, false),
    task("DTD", "DTD", 47, 1_880, 1_880, false),
    task("CALTECH101", "Caltech-101", 102, 3_060, 6_084, false),
    task("PETS", "Pets", 37, 3_680, 3_668, false),
    task("REAL", "Real", 345, 120_906, 52_041, true),
    task("CLIPART", "Clipart", 345, 33_525, 14_603, true),
    task("EuroSAT", "EuroSAT", 10, 21_600, 5_400, true),
    task("CassavaLeafDisease", "Cassava", 5, 17_117, 4_280, true),
    task("CameraTraps", "CameraTraps", 15, 14_071, 15_215, true),
];

const fn task(
    ds: &'static str,
    label: &'static str,
    num_classes: u32,
    num_train: u32,
    num_test: u32,
    few_shot_test_subset: bool,
) -> Task {
    Task { ds, label, num_classes, num_train, num_test, few_shot_test_subset }
}

/// The shots of the paper's common figures.
pub const SHOTS: [Shots; 5] =
    [Shots::PerClass(1), Shots::PerClass(5), Shots::PerClass(10), Shots::PerClass(20), Shots::All];

/// Loss of the main comparison.
pub const CLIP: &str = "CLIP";
/// Architecture of the main comparison.
pub const RN50: &str = "RN50";
/// Source name of runs without pretraining.
pub const SCRATCH: &str = "Scratch";

/// The paper's task of that name.
pub fn task_named(ds: &str) -> Option<&'static Task> {
    TASKS.iter().find(|task| task.ds == ds)
}

/// What a figure calls a task.
pub fn task_label(ds: &str) -> &str {
    task_named(ds).map_or(ds, |task| task.label)
}

/// What a figure calls a source.
pub fn source_label(us: &str) -> &str {
    let ours = SOURCES.iter().find(|s| s.us == us).map(|s| s.label);
    ours.or_else(|| OTHER_LABELS.iter().find(|(name, _)| *name == us).map(|(_, label)| *label)).unwrap_or(us)
}

/// `1 shot`, `5 shots`, `all images`.
pub fn shots_label(shots: Shots) -> String {
    match shots {
        Shots::Zero => "zero-shot".to_owned(),
        Shots::PerClass(1) => "1 shot".to_owned(),
        Shots::PerClass(n) => format!("{n} shots"),
        Shots::All => "all images".to_owned(),
    }
}
