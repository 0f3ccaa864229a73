//! A wish to end that whoever waits for a store hears at once.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Set once, for all its clones. A semaphore without permits, whose end wakes all who wait.
#[derive(Debug, Clone)]
pub struct Stop(Arc<Semaphore>);

impl Default for Stop {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Stop {
    /// Ends every wait that watches it.
    pub fn set(&self) {
        self.0.close();
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.0.is_closed()
    }

    /// Returns once it is set.
    pub(super) async fn wait(&self) {
        // There is no permit to be had, so only the end of the semaphore comes back from here.
        let _ = self.0.acquire().await;
    }
}
