//! Commands that are more than a call of the library and a line of output.

pub mod transfer;
