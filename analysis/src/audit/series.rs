//! Checks of rows against each other: repeated ones, contradicting ones, and series that are not what they say.

use std::collections::BTreeMap;

use pairmill_shards::results::{ResultRow, Shots, SourcedRow, Split};

use super::{Defect, listed};
use crate::study::{shots_label, task_label};
use crate::transfer::Study;

/// A line of the file: its values by shots. Rows of a Parquet file are lines of one value.
struct Line<'a> {
    number: u64,
    row: &'a ResultRow,
    values: BTreeMap<Shots, u64>,
}

fn lines<'a>(study: &'a Study<'_>) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'a>> = Vec::new();
    let mut at: BTreeMap<(&str, u64), usize> = BTreeMap::new();
    for SourcedRow { row, origin } in &study.results.rows {
        if row.metric != "acc1" || row.split != Split::Test {
            continue;
        }
        let n = *at.entry((&origin.file, origin.row)).or_insert_with(|| {
            lines.push(Line { number: origin.row, row, values: BTreeMap::new() });
            lines.len() - 1
        });
        lines[n].values.insert(row.shots, row.value.to_bits());
    }
    lines
}

/// What two lines must share for one to repeat the other; runs of different seeds do not.
fn settings(row: &ResultRow) -> (String, Option<u64>) {
    (row.config.hash(), row.seed)
}

/// Lines that repeat another, every value.
pub fn repeated_rows(study: &Study<'_>) -> Defect {
    let mut groups: BTreeMap<_, Vec<(u64, &str)>> = BTreeMap::new();
    let lines = lines(study);
    for line in &lines {
        let values: Vec<(Shots, u64)> = line.values.iter().map(|(s, v)| (*s, *v)).collect();
        groups.entry((settings(line.row), values)).or_default().push((line.number, &line.row.config.ds));
    }
    let mut tasks: BTreeMap<&str, (usize, Vec<String>)> = BTreeMap::new();
    let mut found = 0;
    for group in groups.values().filter(|g| g.len() > 1) {
        found += group.len() - 1;
        let task = tasks.entry(group[0].1).or_default();
        task.0 += group.len() - 1;
        task.1.push(group.iter().map(|g| g.0.to_string()).collect::<Vec<_>>().join(" = "));
    }
    let details = tasks
        .iter()
        .map(|(ds, (n, rows))| format!("{}: {n} (rows {})", task_label(ds), listed(rows, 3)))
        .collect();
    let statement = "Rows that repeat another row of the same settings, every value: counted twice wherever rows are counted.";
    Defect::counted("repeated-rows", statement, found, lines.len()).with(details)
}

/// Settings with two values.
pub fn contradicting_rows(study: &Study<'_>) -> Defect {
    let mut cells: BTreeMap<_, BTreeMap<u64, Vec<u64>>> = BTreeMap::new();
    let all = lines(study);
    for line in &all {
        for (shots, value) in &line.values {
            let key = (line.row.config.ds.as_str(), line.row.config.us.as_str(), settings(line.row), *shots);
            cells.entry(key).or_default().entry(*value).or_default().push(line.number);
        }
    }
    let mut examples = Vec::new();
    for ((ds, us, _, shots), values) in &cells {
        if values.len() > 1 {
            let shown: Vec<String> =
                values.iter().map(|(v, rows)| format!("{} (row {})", f64::from_bits(*v), rows[0])).collect();
            examples.push(format!(
                "{us} on {}, {}: {}",
                task_label(ds),
                shots_label(*shots),
                shown.join(" and ")
            ));
        }
    }
    let found = examples.len();
    let of = cells.values().filter(|v| v.values().map(Vec::len).sum::<usize>() > 1).count();
    // Without settings that were run twice nothing can contradict.
    let statement =
        "Settings that were run more than once with different values; a maximum takes the luckier one.";
    let mut details: Vec<String> = examples.iter().take(6).cloned().collect();
    if found > details.len() {
        details.push(format!("and {} more", found - details.len()));
    }
    Defect::counted("contradicting-rows", statement, found, of).with(details)
}

/// The full-data values of one series on one task.
struct FullValues<'a> {
    ds: &'a str,
    loss: String,
    us: &'a str,
    arch: &'a str,
    values: Vec<f64>,
    rows: Vec<u64>,
}

/// Values printed with fewer digits in one place than in another are still the same.
const SAME: f64 = 0.0105;

impl<'a> FullValues<'a> {
    fn all(lines: &[Line<'a>]) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for line in lines {
            let Some(bits) = line.values.get(&Shots::All) else { continue };
            let c = &line.row.config;
            let loss = c.loss();
            let is_same = |f: &&mut Self| f.ds == c.ds && f.loss == loss && f.us == c.us && f.arch == c.arch;
            let value = f64::from_bits(*bits);
            match all.iter_mut().find(is_same) {
                Some(found) => {
                    found.values.push(value);
                    found.rows.push(line.number);
                }
                None => all.push(Self {
                    ds: &c.ds,
                    loss,
                    us: &c.us,
                    arch: &c.arch,
                    values: vec![value],
                    rows: vec![line.number],
                }),
            }
        }
        all
    }

    /// The same source under another architecture, or the same architecture under another source.
    fn is_sibling(&self, other: &Self) -> bool {
        self.ds == other.ds && self.loss == other.loss && ((self.us == other.us) != (self.arch == other.arch))
    }

    /// Whether every value of this is one of `other`'s.
    fn repeats(&self, other: &Self) -> bool {
        self.values.iter().all(|v| other.values.iter().any(|o| (o - v).abs() < SAME))
    }
}

/// Series that repeat another series' values under a different name.
pub fn same_values_elsewhere(study: &Study<'_>) -> Defect {
    let lines = lines(study);
    let all = FullValues::all(&lines);
    let (mut found, mut pairs) = (BTreeMap::<String, Vec<String>>::new(), 0);
    for (n, a) in all.iter().enumerate() {
        for b in all[n + 1..].iter().filter(|b| a.is_sibling(b)) {
            pairs += 1;
            // The smaller series is the copy.
            let (copy, of) = if a.rows.len() <= b.rows.len() { (a, b) } else { (b, a) };
            if copy.repeats(of) {
                let name = format!("{} {} repeats {} {}", copy.us, copy.arch, of.us, of.arch);
                let rows: Vec<String> = copy.rows.iter().map(ToString::to_string).collect();
                found.entry(name).or_default().push(format!(
                    "{} (row {})",
                    task_label(copy.ds),
                    listed(&rows, 2)
                ));
            }
        }
    }
    // One value may coincide; two tasks do not.
    found.retain(|_, tasks| tasks.len() >= 2);
    let num: usize = found.values().map(Vec::len).sum();
    let details = found.iter().map(|(name, tasks)| format!("{name}: {}", tasks.join(", "))).collect();
    let statement = "Series whose full-data values are those of another series on two tasks or more: one of the two labels is wrong, or a run was copied.";
    Defect::counted("relabelled-series", statement, num, pairs).with(details)
}

/// One source name over two pretraining recipes.
pub fn mixed_batches(study: &Study<'_>) -> Defect {
    let mut recipes: BTreeMap<(&str, String, &str), BTreeMap<String, Vec<u64>>> = BTreeMap::new();
    for line in &lines(study) {
        let c = &line.row.config;
        let recipe = format!(
            "{} epochs, batch {}",
            c.us_epochs.map_or_else(|| "?".to_owned(), |n| n.to_string()),
            c.us_bs.map_or_else(|| "?".to_owned(), |n| n.to_string())
        );
        recipes.entry((&c.us, c.loss(), &c.arch)).or_default().entry(recipe).or_default().push(line.number);
    }
    let found: Vec<_> = recipes.iter().filter(|(_, r)| r.len() > 1).collect();
    let mut details: Vec<String> = found
        .iter()
        .map(|((us, loss, arch), recipes)| {
            let shown: Vec<String> = recipes
                .iter()
                .map(|(recipe, rows)| {
                    let first = rows.first().copied().unwrap_or(0);
                    let last = rows.last().copied().unwrap_or(0);
                    format!("{recipe} ({} rows, {first}–{last})", rows.len())
                })
                .collect();
            format!("{us}, {loss} {arch}: {}", shown.join("; "))
        })
        .collect();
    // Compared at one scale, sources should share a recipe.
    let mut shared: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for ((us, loss, arch), own) in &recipes {
        if study.lineup.sources.iter().any(|s| s == us)
            && loss == study.lineup.loss()
            && *arch == study.lineup.arch()
        {
            for recipe in own.keys() {
                shared.entry(recipe.clone()).or_default().push(us);
            }
        }
    }
    let mut num = found.len();
    if shared.len() > 1 {
        num += 1;
        let shown: Vec<String> = shared.iter().map(|(r, us)| format!("{r}: {}", us.join(", "))).collect();
        details.push(format!("compared sources differ too: {}", shown.join("; ")));
    }
    let statement = "Sources whose rows come from more than one pretraining recipe under one name, so they are two models.";
    Defect::counted("mixed-recipes", statement, num, recipes.len() + usize::from(shared.len() > 1))
        .with(details)
}
