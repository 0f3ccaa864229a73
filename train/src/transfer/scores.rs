//! What a classifier said of a labelled set: one count for every pair of true and given class, and what follows from it.

use std::fmt::Write as _;

use tch::{Kind, Tensor};

use crate::torch::TorchError;

/// A confusion matrix, and how often the true class was among the five best.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Scores {
    classes: usize,
    /// Row: the true class, column: the one that scored highest.
    confusion: Vec<u32>,
    /// Of each class, samples with it among the five best.
    top5: Vec<u32>,
}

impl Scores {
    /// Nothing counted yet.
    pub fn new(classes: usize) -> Self {
        Self { classes, confusion: vec![0; classes * classes], top5: vec![0; classes] }
    }

    /// Adds one batch: `logits` N×classes, `labels` one class number a row.
    ///
    /// # Errors
    /// When shapes do not fit.
    pub fn add(&mut self, logits: &Tensor, labels: &[u32]) -> Result<(), TorchError> {
        let k = 5.min(self.classes as i64);
        let (_, best) = logits.f_topk(k, -1, true, true)?;
        let best = best.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Int64)?;
        let best = Vec::<Vec<i64>>::try_from(&best)?;
        for (best, &label) in best.iter().zip(labels) {
            let label = label as usize;
            let given = best.first().and_then(|&first| usize::try_from(first).ok()).unwrap_or(0);
            if label < self.classes && given < self.classes {
                self.confusion[label * self.classes + given] += 1;
                self.top5[label] += u32::from(best.contains(&(label as i64)));
            }
        }
        Ok(())
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
        self.confusion[label * self.classes..(label + 1) * self.classes].iter().sum()
    }

    /// All samples.
    pub fn num_samples(&self) -> u64 {
        self.confusion.iter().map(|&n| u64::from(n)).sum()
    }

    /// Percentage of samples whose class scored highest, 0–100; NaN of none.
    pub fn acc1(&self) -> f64 {
        let right: u64 = (0..self.classes).map(|class| u64::from(self.count(class, class))).sum();
        100.0 * right as f64 / self.num_samples() as f64
    }

    /// Percentage of samples whose class was among the five best, 0–100; `None` with five classes or fewer.
    pub fn acc5(&self) -> Option<f64> {
        let right: u64 = self.top5.iter().map(|&n| u64::from(n)).sum();
        (self.classes > 5).then(|| 100.0 * right as f64 / self.num_samples() as f64)
    }

    /// Mean over the classes with samples of their percentage of right answers, 0–100; NaN of none.
    pub fn mean_per_class_recall(&self) -> f64 {
        let recalls: Vec<f64> = (0..self.classes)
            .filter(|&class| self.total(class) > 0)
            .map(|class| 100.0 * f64::from(self.count(class, class)) / f64::from(self.total(class)))
            .collect();
        recalls.iter().sum::<f64>() / recalls.len() as f64
    }

    /// All metrics by CLIP_benchmark's names, percentages.
    pub fn metrics(&self) -> Vec<(&'static str, f64)> {
        let mut metrics = vec![("acc1", self.acc1())];
        metrics.extend(self.acc5().map(|value| ("acc5", value)));
        metrics.push(("mean_per_class_recall", self.mean_per_class_recall()));
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
        assert_eq!((scores.num_samples(), scores.acc1(), scores.acc5()), (4, 50.0, None));
        // Class 0: two of two; class 1: none of two; class 2 has no samples.
        assert_eq!(scores.mean_per_class_recall(), 50.0);
        assert_eq!((scores.count(1, 2), scores.count(1, 0), scores.total(2)), (1, 1, 0));
    }

    #[test]
    fn five_best_of_six() {
        let mut scores = Scores::new(6);
        let logits = Tensor::from_slice2(&[[6f32, 5.0, 4.0, 3.0, 2.0, 1.0], [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]]);
        scores.add(&logits, &[4, 5]).unwrap();
        assert_eq!((scores.acc1(), scores.acc5()), (0.0, Some(50.0)));
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
}
