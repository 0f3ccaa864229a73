//! What the ranks of a run must have in common before they begin, and the first thing in which two of them differ.

use std::collections::BTreeMap;

use pairmill_shards::printable::excerpt;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest value that is shown in a message.
const MAX_SHOWN: usize = 80;

/// Named facts in the order in which they are compared: what explains most comes first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts(Vec<Fact>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Fact {
    name: String,
    /// The whole of it in a few words; empty where the first difference says enough.
    summary: String,
    value: Value,
}

impl Facts {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more. `summary` is the whole of it in a few words, or nothing.
    ///
    /// # Errors
    /// When the value has no JSON form.
    pub fn with(
        mut self,
        name: &str,
        summary: impl Into<String>,
        value: &impl Serialize,
    ) -> Result<Self, serde_json::Error> {
        let value = serde_json::to_value(value)?;
        self.0.push(Fact { name: name.to_owned(), summary: summary.into(), value });
        Ok(self)
    }

    /// The value of one of them.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|fact| fact.name == name).map(|fact| &fact.value)
    }

    /// The first difference of `other`, the facts of rank `rank`, from these of rank 0.
    pub fn difference(&self, other: &Self, rank: usize) -> Option<String> {
        let differing = |index: usize| match (self.0.get(index), other.0.get(index)) {
            (Some(ours), Some(theirs)) if ours.name == theirs.name && ours.value == theirs.value => None,
            pair => Some(pair),
        };
        let (ours, theirs) = (0..self.0.len().max(other.0.len())).find_map(differing)?;
        let (Some(ours), Some(theirs)) = (ours, theirs) else {
            // Versions that differ are told by the first fact; this is the same version in two minds.
            return Some(format!("rank {rank} and rank 0 do not compare the same things"));
        };
        let mut message = format!("rank {rank} differs from rank 0 in {}", ours.name);
        if !(ours.summary.is_empty() && theirs.summary.is_empty()) && ours.summary != theirs.summary {
            message += &format!(": {} on rank 0, {} on rank {rank}", ours.summary, theirs.summary);
        }
        let (ours, theirs) = (leaves(&ours.value), leaves(&theirs.value));
        let first = |index: usize| match (ours.get(index), theirs.get(index)) {
            (a, b) if a == b => None,
            pair => Some(pair),
        };
        if let Some((a, b)) = (0..ours.len().max(theirs.len())).find_map(first) {
            let name = match (a, b) {
                // A leaf that only one has comes before what stands there in the other.
                (Some((a, _)), Some((b, _))) => {
                    if theirs.iter().any(|(path, _)| path == a) && a != b {
                        b
                    } else {
                        a
                    }
                }
                (Some((path, _)), None) | (None, Some((path, _))) => path,
                (None, None) => return Some(message),
            };
            let show = |all: &[(String, &Value)]| match all.iter().find(|(path, _)| path == name) {
                Some((_, Value::String(text))) => excerpt(text, MAX_SHOWN),
                Some((_, value)) => excerpt(&value.to_string(), MAX_SHOWN),
                None => "absent".to_owned(),
            };
            if !name.is_empty() {
                message += &format!(
                    "; first difference: {} is {} on rank 0 and {} on rank {rank}",
                    excerpt(name, MAX_SHOWN),
                    show(&ours),
                    show(&theirs)
                );
            }
        }
        Some(message)
    }
}

/// Values that are no tables and no lists, each with its path, such as `optim.lr` or `sources[0].shards[2]`; in order.
fn leaves(value: &Value) -> Vec<(String, &Value)> {
    fn walk<'a>(value: &'a Value, path: String, found: &mut Vec<(String, &'a Value)>) {
        match value {
            Value::Object(table) => {
                // By name, whatever order a rank read them in.
                for (key, value) in table.iter().collect::<BTreeMap<_, _>>() {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    walk(value, path, found);
                }
            }
            Value::Array(list) => {
                for (index, value) in list.iter().enumerate() {
                    walk(value, format!("{path}[{index}]"), found);
                }
            }
            leaf => found.push((path, leaf)),
        }
    }
    let mut found = Vec::new();
    walk(value, String::new(), &mut found);
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts(step: u64, lr: f64, shards: &[&str]) -> Facts {
        Facts::new()
            .with("the checkpoint", format!("step {step}"), &json!({ "step": step }))
            .and_then(|facts| {
                facts.with("the settings", "", &json!({ "batch_size": 8, "optim": { "lr": lr } }))
            })
            .and_then(|facts| facts.with("the shards", format!("{} shards", shards.len()), &shards))
            .unwrap()
    }

    #[test]
    fn t02_the_first_difference_is_named_with_both_values() {
        let zero = facts(6, 0.1, &["a 16", "b 16"]);
        let difference = |other: Facts| zero.difference(&other, 3);
        assert_eq!(difference(zero.clone()), None);
        for (other, expected) in [
            (
                facts(0, 0.2, &["a 16"]),
                "rank 3 differs from rank 0 in the checkpoint: step 6 on rank 0, step 0 on rank 3; \
                 first difference: step is 6 on rank 0 and 0 on rank 3",
            ),
            (
                facts(6, 0.2, &["a 16"]),
                "rank 3 differs from rank 0 in the settings; first difference: optim.lr is 0.1 on rank 0 and 0.2 on rank 3",
            ),
            (
                facts(6, 0.1, &["a 16"]),
                "rank 3 differs from rank 0 in the shards: 2 shards on rank 0, 1 shards on rank 3; \
                 first difference: [1] is b 16 on rank 0 and absent on rank 3",
            ),
            (
                facts(6, 0.1, &["a 16", "b 17"]),
                "rank 3 differs from rank 0 in the shards; first difference: [1] is b 16 on rank 0 and b 17 on rank 3",
            ),
        ] {
            assert_eq!(difference(other).as_deref(), Some(expected));
        }
        let more = facts(6, 0.1, &["a 16", "b 16"]).with("more", "", &1).unwrap();
        assert!(difference(more).unwrap().contains("do not compare the same things"));
    }

    #[test]
    fn t02_a_setting_that_only_one_rank_has_is_absent_on_the_other() {
        let of = |value: Value| Facts::new().with("the settings", "", &value).unwrap();
        let (without, with) = (of(json!({ "a": 1, "c": 3 })), of(json!({ "a": 1, "b": 2, "c": 3 })));
        assert!(without.difference(&with, 1).unwrap().ends_with("b is absent on rank 0 and 2 on rank 1"));
        assert!(with.difference(&without, 1).unwrap().ends_with("b is 2 on rank 0 and absent on rank 1"));
    }
}
