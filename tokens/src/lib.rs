//! Captions to CLIP token ids.
mod classes;
mod split;
mod vocabulary;
/// x
pub const START: u32 = 49_406;
/// x
pub const END: u32 = 49_407;
/// x
#[derive(Debug)]
pub enum Error { /// x
Merges{ /// x
bytes:usize} }
