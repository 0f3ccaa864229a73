//! Captions to CLIP token ids: the part that the trainer's loader and the reports share. It knows no other crate.
//!
//! The ids are those of open_clip 3.3's `SimpleTokenizer` with its default cleaning. In the order of the flow:
//!
//! | module | place in the flow |
//! |---|---|
//! | `clean` | one caption to clean text; plain ASCII takes a short cut |
//! | `repair`, `entity` | for the others: what ftfy and `html.unescape` do |
//! | `split`, `classes` | clean text to words |
//! | `cache`, `vocabulary` | a word to ids, and back |
//! | `tokenizer`, `truncation` | all of that for one caption: [`Tokenizer`], [`Encoder`] |
//! | [`lines`] | streams of captions, on several threads |
//!
//! ```
//! use pairmill_tokens::{CONTEXT_LENGTH, Tokenizer, Truncation};
//!
//! let tokenizer = Tokenizer::new()?;
//! let mut encoder = tokenizer.encoder(); // one per thread
//! let mut row = [0; CONTEXT_LENGTH];
//! encoder.tokenize_into("A person riding a motorcycle", Truncation::EndToken, &mut row);
//! assert_eq!(row[..8], [49406, 320, 2533, 6765, 320, 10297, 49407, 0]);
//! # Ok::<(), pairmill_tokens::Error>(())
//! ```

mod cache;
mod classes;
mod clean;
mod entity;
mod error;
pub mod lines;
mod repair;
mod split;
mod tokenizer;
mod truncation;
mod vocabulary;

pub use error::Error;
pub use tokenizer::{Encoder, Tokenizer};
pub use truncation::{Truncation, UnknownTruncation};

/// The id before every caption.
pub const START: u32 = 49_406;
/// The id behind every caption, and the largest: the text tower reads its features there.
pub const END: u32 = 49_407;
/// How many ids there are.
pub const VOCABULARY: usize = 49_408;
/// Places in a row of CLIP's own models.
pub const CONTEXT_LENGTH: usize = 77;
