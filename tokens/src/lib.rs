//! Captions to CLIP token ids: the part that the trainer and the reports share. It knows no other crate.
