//! Which sample stands at which position: pure functions of (seed, epoch, position) and the shards' counts, with no
//! state in between. Ranks, batches, threads and time do not enter.
//!
//! A *pass* goes once over a source. Its shards are put in an order and cut into *windows*; the samples of a window are
//! shuffled together, so at most one window's shards are open. Position `p` of a pass is found by looking up its
//! window and, inside it, the window's permutation. Several sources are interleaved by [`Mixer`].

mod mixer;
mod pass;
mod rng;

pub use mixer::{MIX_CYCLE, Mixer};
pub use pass::{Pass, Window, WindowOrder};
pub use rng::Rng;
