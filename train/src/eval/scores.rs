//! What a classifier said of a labelled set: one count for every pair of true and given class, and what follows from it.
//! Counts are sums, so ranks add them up.

use std::fmt::Write as _;

use tch::{Kind, Tensor};

use crate::torch::TorchError;

/// In what accuracies and recalls are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// 0–1, as CLIP_benchmark has them.
    Share,
    /// 0–100, as the paper's tables have them.
    Percent,
}

impl Scale {
    fn of(self, right: u64, all: u64) -> f64 {
        let whole = match self {
            Self::Share => 1.0,
            Self::Percent => 100.0,
        };
        whole * right as f64 / all.max(1) as f64
    }
}

/// A confusion matrix, and how often the true class was among the five best.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Scores {
    classes: usize,
    /// Row: the true class, column: the one that scored highest.
    confusion: Vec<u32>,
    /// Of each class, samples with it among the five best.
    top5: Vec<u32>,
    /// Of each class, samples with a score that is not finite: nothing can be called the best.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unranked: Vec<u32>,
}

impl Scores {
    /// Nothing counted yet.
    pub fn new(classes: usize) -> Self {
        Self { classes, confusion: vec![0; classes * classes], top5: vec![0; classes], unranked: Vec::new() }
    }

    /// Adds one batch: `logits` N×classes, `labels` one class number a row, -1 for none.
    ///
    /// # Errors
    /// When shapes do not fit.
    pub fn add(&mut self, logits: &Tensor, labels: &[i64]) -> Result<(), TorchError> {
        let k = 5.min(self.classes as i64);
        let (_, best) = logits.f_topk(k, -1, true, true)?;
        let best = best.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Int64)?;
        let best = Vec::<Vec<i64>>::try_from(&best)?;
        let finite = logits.f_isfinite()?.f_all_dim(-1, false)?.f_to_device(tch::Device::Cpu)?;
        let finite = Vec::<i64>::try_from(&finite.f_to_kind(Kind::Int64)?)?;
        let class = |number: i64| usize::try_from(number).ok().filter(|&class| class < self.classes);
        for ((best, &number), finite) in best.iter().zip(labels).zip(finite) {
            let (Some(label), Some(given)) = (class(number), best.first().and_then(|&first| class(first)))
            else {
                continue;
            };
            if finite == 0 {
                self.unranked.resize(self.classes, 0);
                self.unranked[label] += 1;
                continue;
            }
            self.confusion[label * self.classes + given] += 1;
            self.top5[label] += u32::from(best.contains(&number));
        }
        Ok(())
    }

    /// All counts behind each other, for a sum over ranks.
    pub fn numbers(&self) -> Vec<f64> {
        let unranked = (0..self.classes).map(|class| self.unranked_of(class));
        self.confusion.iter().chain(&self.top5).copied().chain(unranked).map(f64::from).collect()
    }

    /// The same for so many classes with the counts of [`Scores::numbers`].
    pub fn from_numbers(classes: usize, numbers: &[f64]) -> Self {
        let counts: Vec<u32> = numbers.iter().map(|&count| count as u32).collect();
        let (confusion, rest) = counts.split_at((classes * classes).min(counts.len()));
        let (top5, unranked) = rest.split_at(classes.min(rest.len()));
        let unranked = if unranked.iter().all(|&n| n == 0) { Vec::new() } else { unranked.to_vec() };
        Self { classes, confusion: confusion.to_vec(), top5: top5.to_vec(), unranked }
    }

    /// Samples of class `label` with a score that is not finite.
    fn unranked_of(&self, label: usize) -> u32 {
        self.unranked.get(label).copied().unwrap_or(0)
    }

    /// Samples with a score that is not finite. Where there are any, every accuracy is NaN.
    pub fn num_unranked(&self) -> u64 {
        self.unranked.iter().map(|&n| u64::from(n)).sum()
    }

    /// A share of the samples, or NaN where some have no rank.
    fn share(&self, scale: Scale, right: u64, all: u64) -> f64 {
        if self.num_unranked() > 0 { f64::NAN } else { scale.of(right, all) }
    }

    /// Number of classes.
    pub fn num_classes(&self) -> usize {
        self.classes
    }

    /// How often samples of class `label` were called `given`.
    pub fn count(&self, label: usize, given: usize) -> u32 {
        self.confusion[label * self.classes + given]
    }

    /// Samples of class `label`.
    pub fn total(&self, label: usize) -> u32 {
        let ranked: u32 = self.confusion[label * self.classes..(label + 1) * self.classes].iter().sum();
        ranked + self.unranked_of(label)
    }

    /// All samples.
    pub fn num_samples(&self) -> u64 {
        self.confusion.iter().map(|&n| u64::from(n)).sum::<u64>() + self.num_unranked()
    }

    /// How many of the samples' classes scored highest; 0 of no samples.
    pub fn acc1(&self, scale: Scale) -> f64 {
        let right = (0..self.classes).map(|class| u64::from(self.count(class, class))).sum();
        self.share(scale, right, self.num_samples())
    }

    /// How many of the samples' classes were among the five best; 0 of no samples.
    pub fn acc5(&self, scale: Scale) -> f64 {
        self.share(scale, self.top5.iter().map(|&n| u64::from(n)).sum(), self.num_samples())
    }

    /// Mean over the classes with samples of how many were right; 0 of no samples.
    pub fn mean_per_class_recall(&self, scale: Scale) -> f64 {
        let recalls: Vec<f64> = (0..self.classes)
            .filter(|&class| self.total(class) > 0)
            .map(|class| self.share(scale, self.count(class, class).into(), self.total(class).into()))
            .collect();
        recalls.iter().sum::<f64>() / recalls.len().max(1) as f64
    }

    /// All metrics by CLIP_benchmark's names; `acc5` with more than five classes.
    pub fn metrics(&self, scale: Scale) -> Vec<(&'static str, f64)> {
        let mut metrics = vec![("acc1", self.acc1(scale))];
        if self.classes > 5 {
            metrics.push(("acc5", self.acc5(scale)));
        }
        metrics.push(("mean_per_class_recall", self.mean_per_class_recall(scale)));
        metrics
    }

    /// A line per class: name, samples, right ones, recall, precision, and what it was most often taken for.
    pub fn per_class_tsv(&self, names: &[String]) -> String {
        let mut text =
            String::from("class\tsamples\tright\trecall\tprecision\tmost_confused_with\tconfused\n");
        let name = |class: usize| names.get(class).map_or("?", String::as_str);
        for class in 0..self.classes {
            let (total, right) = (self.total(class), self.count(class, class));
            let called: u32 = (0..self.classes).map(|label| self.count(label, class)).sum();
            let share = |of: u32| {
                if of == 0 {
                    String::new()
                } else {
                    format!("{:.2}", 100.0 * f64::from(right) / f64::from(of))
                }
            };
            let (other, most) = (0..self.classes)
                .filter(|&other| other != class)
                .map(|other| (other, self.count(class, other)))
                .fold((class, 0), |best, found| if found.1 > best.1 { found } else { best });
            let other = if most > 0 { name(other) } else { "" };
            let _ = writeln!(
                text,
                "{}\t{total}\t{right}\t{}\t{}\t{other}\t{most}",
                name(class),
                share(total),
                share(called)
            );
        }
        text
    }

    /// The matrix: a row per true class, a column per given one, names at the edges.
    pub fn confusion_tsv(&self, names: &[String]) -> String {
        let mut text = String::from("true\\given");
        for name in names.iter().take(self.classes) {
            let _ = write!(text, "\t{name}");
        }
        text.push('\n');
        for (row, name) in self.confusion.chunks(self.classes.max(1)).zip(names) {
            text.push_str(name);
            for count in row {
                let _ = write!(text, "\t{count}");
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted() -> Scores {
        let mut scores = Scores::new(3);
        let logits =
            Tensor::from_slice2(&[[3f32, 1.0, 2.0], [1.0, 2.0, 3.0], [1.0, 0.0, 0.5], [9.0, 8.0, 0.0]]);
        scores.add(&logits, &[0, 1, 0, 1]).unwrap();
        scores
    }

    #[test]
    fn the_matrix_gives_every_metric() {
        let scores = counted();
        assert_eq!((scores.num_samples(), scores.acc1(Scale::Percent)), (4, 50.0));
        // Class 0: two of two; class 1: none of two; class 2 has no samples.
        assert_eq!(scores.mean_per_class_recall(Scale::Percent), 50.0);
        // Three classes have no five best.
        assert_eq!(scores.metrics(Scale::Share), [("acc1", 0.5), ("mean_per_class_recall", 0.5)]);
        assert_eq!((scores.count(1, 2), scores.count(1, 0), scores.total(2)), (1, 1, 0));
    }

    #[test]
    fn t03_scores_that_are_not_numbers_make_every_accuracy_nan() {
        let mut scores = counted();
        let logits = Tensor::from_slice2(&[[f32::NAN, 1.0, 2.0], [f32::INFINITY, 1.0, 2.0]]);
        scores.add(&logits, &[0, -1]).unwrap();
        // The row without a label does not count.
        assert_eq!((scores.num_samples(), scores.total(0), scores.num_unranked()), (5, 3, 1));
        assert!(scores.metrics(Scale::Percent).iter().all(|(_, value)| value.is_nan()));
        // And stays so over ranks and over a file.
        assert_eq!(Scores::from_numbers(3, &scores.numbers()), scores);
        let text = serde_json::to_string(&scores).unwrap();
        assert_eq!(serde_json::from_str::<Scores>(&text).unwrap(), scores);
        assert!(!serde_json::to_string(&counted()).unwrap().contains("unranked"));
    }

    #[test]
    fn five_best_of_six() {
        let mut scores = Scores::new(6);
        let logits = Tensor::from_slice2(&[[6f32, 5.0, 4.0, 3.0, 2.0, 1.0], [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]]);
        scores.add(&logits, &[4, 5]).unwrap();
        assert_eq!((scores.acc1(Scale::Percent), scores.acc5(Scale::Percent)), (0.0, 50.0));
        assert!(scores.metrics(Scale::Percent).contains(&("acc5", 50.0)));
    }

    #[test]
    fn tables_name_classes_and_leave_empty_what_has_no_samples() {
        let names = ["cat", "dog", "eel"].map(String::from);
        let table = counted().per_class_tsv(&names);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[1], "cat\t2\t2\t100.00\t66.67\t\t0");
        assert_eq!(lines[2], "dog\t2\t0\t0.00\t\tcat\t1");
        assert_eq!(lines[3], "eel\t0\t0\t\t0.00\t\t0");
        assert_eq!(counted().confusion_tsv(&names).lines().nth(2), Some("dog\t1\t0\t1"));
    }

    #[test]
    fn accuracies_count_by_class_and_ignore_empty_slots() {
        let logits =
            Tensor::from_slice2(&[[3f32, 1.0, 2.0], [1.0, 2.0, 3.0], [1.0, 0.0, 0.5], [9.0, 9.0, 0.0]]);
        let mut scores = Scores::new(3);
        scores.add(&logits, &[0, 1, 0, -1]).unwrap();
        let (acc1, acc5) = (scores.acc1(Scale::Share), scores.acc5(Scale::Share));
        assert_eq!((scores.num_samples(), acc1, acc5), (3, 2.0 / 3.0, 1.0));
        assert_eq!(scores.mean_per_class_recall(Scale::Share), 0.5);
        assert_eq!(Scores::from_numbers(3, &scores.numbers()), scores);
    }
}
