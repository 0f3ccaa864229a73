//! All rules in their order over one batch after another.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::Schema;

use super::address::{self, AddressRule};
use super::check::{Check, Lengths, for_places};
use super::column::Column;
use super::config::FilterConfig;
use super::distinct::Distinct;
use super::error::FilterError;
use super::funnel::{Funnel, Rule};
use super::predicate::{Cells, Judge};
use super::subset::{Smallest, SubsetConfig, Threshold};
use super::words::WordList;

/// The rules of a run, and their counters.
#[derive(Debug)]
pub struct Sieve {
    steps: Vec<Step>,
    funnel: Funnel,
    /// Rows left of the batch at hand; kept for its memory.
    alive: Vec<u32>,
}

#[derive(Debug)]
enum Step {
    Rule(Rule, Check),
    Address { rule: AddressRule, wanted: u32 },
}

impl Sieve {
    /// The rules that `config` switches on, `address` after the URL is known to be there, and the table's own word
    /// before what is computed. `wanted` is the shorter side in pixels that the run needs.
    ///
    /// # Errors
    /// When a list of words cannot be read, or a rule needs a caption and `has_captions` is false.
    pub fn new(
        config: &FilterConfig,
        address: Option<AddressRule>,
        wanted: u32,
        has_captions: bool,
    ) -> Result<Self, FilterError> {
        if let Some(setting) = config.caption_setting().filter(|_| !has_captions) {
            return Err(FilterError::NoCaption { setting });
        }
        let mut sieve = Self { steps: Vec::new(), funnel: Funnel::default(), alive: Vec::new() };
        sieve.add(Rule::NoUrl, Some(Check::HasUrl));
        sieve.add_one_of(Rule::Status, Column::Status, &config.status);
        sieve.add_one_of(Rule::MimeType, Column::MimeType, &config.mime_types);
        sieve.add_one_of(Rule::Language, Column::Language, &config.languages);
        if let Some(rule) = address {
            sieve.steps.push(Step::Address { rule, wanted });
        }
        sieve.add(Rule::BlankCaption, config.blank_caption.then_some(Check::HasCaption));
        let bounds = |least: Option<u64>, most: Option<u64>| (least.unwrap_or(0), most.unwrap_or(u64::MAX));
        let lengths = Lengths {
            chars: bounds(config.min_caption_chars, config.max_caption_chars),
            words: bounds(config.min_caption_words, config.max_caption_words),
        };
        let unbounded = Lengths { chars: (0, u64::MAX), words: (0, u64::MAX) };
        sieve.add(Rule::CaptionLength, (lengths != unbounded).then_some(Check::CaptionLength(lengths)));
        sieve.add_one_of(Rule::Nsfw, Column::Nsfw, &config.nsfw);
        let within = |column, low, high| Check::Within { column, low, high };
        let similarity = config.min_similarity.map(|low| within(Column::Similarity, low, 1.0));
        sieve.add(Rule::Similarity, similarity);
        sieve.add(Rule::Punsafe, config.max_punsafe.map(|high| within(Column::Punsafe, 0.0, high)));
        sieve.add(Rule::Pwatermark, config.max_pwatermark.map(|high| within(Column::Pwatermark, 0.0, high)));
        let (width, height) = (config.min_width.unwrap_or(0), config.min_height.unwrap_or(0));
        let size = Check::Size { width: width as f64, height: height as f64 };
        sieve.add(Rule::Size, (width > 0 || height > 0).then_some(size));
        sieve.add(Rule::AspectRatio, config.max_aspect_ratio.map(Check::AspectRatio));
        let expression = config.predicate.clone();
        sieve.add(Rule::Where, expression.map(|expression| Check::True(expression, None)));
        let words = config.profanity.as_deref().map(WordList::read).transpose()?;
        sieve.add(Rule::Profanity, words.map(Check::Clean));
        sieve.add(Rule::NotEnglish, config.english.then_some(Check::English));
        let first = |column, setting| {
            let seen = Distinct::new(config.max_distinct);
            Some(Check::First { column, setting, seen })
        };
        if config.duplicate_url {
            sieve.add(Rule::DuplicateUrl, first("url", "duplicate_url"));
        }
        if config.duplicate_caption {
            sieve.add(Rule::DuplicateCaption, first("caption", "duplicate_caption"));
        }
        Ok(sieve)
    }

    fn add(&mut self, rule: Rule, check: Option<Check>) {
        if let Some(check) = check {
            self.funnel.activate(rule);
            self.steps.push(Step::Rule(rule, check));
        }
    }

    fn add_one_of(&mut self, rule: Rule, column: Column, values: &[String]) {
        self.add(rule, (!values.is_empty()).then(|| Check::OneOf(column, values.to_vec())));
    }

    /// Leaves out the rules whose column `schema` does not have, which are those that may do without, and makes the user's
    /// expression ready for its columns, in which text is what `cells` says.
    ///
    /// # Errors
    /// When the expression is not over them.
    pub fn fit(mut self, schema: &Schema, cells: Cells) -> Result<Self, FilterError> {
        let funnel = &mut self.funnel;
        self.steps.retain(|step| match step {
            Step::Rule(rule, check) => {
                let there =
                    check.column().is_none_or(|column| schema.column_with_name(column.name()).is_some());
                if !there {
                    funnel.skip(*rule);
                }
                there
            }
            Step::Address { .. } => true,
        });
        for step in &mut self.steps {
            if let Step::Rule(_, Check::True(expression, judge)) = step {
                *judge = Some(Judge::new(expression, schema, cells)?);
            }
        }
        Ok(self)
    }

    /// Adds the last rule: the subset, drawn with `threshold` unless it is a prefix or everything.
    #[must_use]
    pub fn with_subset(mut self, subset: &SubsetConfig, threshold: Option<Threshold>) -> Self {
        let check = match (subset.prefix, threshold) {
            (Some(left), _) => Some(Check::Prefix { left }),
            (None, Some(threshold)) => Some(Check::Drawn { seed: subset.seed, threshold }),
            (None, None) => None,
        };
        if subset.leaves_out() {
            self.funnel.activate(Rule::Subset);
        }
        self.add(Rule::Subset, check);
        self
    }

    /// The rows of `batch` that pass, all columns of it, the addresses of the pictures in `url`.
    ///
    /// # Errors
    /// When a column cannot be filtered on, or more values must be remembered than were allowed.
    pub fn sift(&mut self, mut batch: RecordBatch) -> Result<RecordBatch, FilterError> {
        let num_rows = u32::try_from(batch.num_rows()).unwrap_or(u32::MAX);
        self.funnel.rows_in += u64::from(num_rows);
        self.alive.clear();
        self.alive.extend(0..num_rows);
        for step in &mut self.steps {
            match step {
                Step::Rule(rule, check) => {
                    let before = self.alive.len();
                    check.retain(&batch, &mut self.alive)?;
                    self.funnel.drop_rows(*rule, before - self.alive.len());
                }
                Step::Address { rule, wanted } => {
                    let (urls, lost) = address::resolve(&batch, *rule, *wanted, &mut self.alive)?;
                    // Sources differ in what their links may lead to, so these are shown once they occur.
                    for rule in lost {
                        self.funnel.activate(rule);
                        self.funnel.drop_rows(rule, 1);
                    }
                    batch = with_column(batch, "url", Arc::new(urls))?;
                }
            }
            if self.alive.is_empty() {
                break;
            }
        }
        if self.alive.len() == batch.num_rows() {
            return Ok(batch);
        }
        let indices = UInt32Array::from_iter_values(self.alive.iter().copied());
        take_record_batch(&batch, &indices).map_err(|error| broken("url", &error))
    }

    /// Puts the places in the draw of `seed` of the rows that pass into `smallest`.
    ///
    /// # Errors
    /// As [`Self::sift`].
    pub fn draw(
        &mut self,
        batch: RecordBatch,
        seed: u64,
        smallest: &mut Smallest,
    ) -> Result<(), FilterError> {
        let kept = self.sift(batch)?;
        self.alive.clear();
        self.alive.extend(0..u32::try_from(kept.num_rows()).unwrap_or(u32::MAX));
        for_places(&kept, seed, &mut self.alive, |place| {
            smallest.push(place);
            true
        })
    }

    /// Whether a prefix is full, so that no further row can pass.
    pub fn is_full(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Rule(_, Check::Prefix { left: 0 })))
    }

    /// What was dropped so far.
    pub fn funnel(&self) -> Funnel {
        self.funnel
    }
}

fn with_column(batch: RecordBatch, name: &'static str, column: ArrayRef) -> Result<RecordBatch, FilterError> {
    let Some((place, _)) = batch.schema_ref().column_with_name(name) else { return Ok(batch) };
    let (schema, mut columns, _) = batch.into_parts();
    columns[place] = column;
    RecordBatch::try_new(schema, columns).map_err(|error| broken(name, &error))
}

fn broken(column: &'static str, error: &arrow::error::ArrowError) -> FilterError {
    FilterError::Column { column, reason: error.to_string().replace('\n', " ") }
}
