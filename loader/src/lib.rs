//! Shards to batches in memory: the trainer's feed. It knows `shards`, `pixels` and `tokens`, and no libtorch.
