//! The memory that bodies above [`FREE_BYTES`] hold together, counted by the bytes they really hold.
//!
//! A body asks for each further piece before it takes it. Once the budget is spent, bodies wait in the order they
//! asked, and one at a time is the *finisher*: it goes on beyond the budget, up to the byte cap of one body. So
//! whatever the others hold, one body can always end and give back what it has. Bodies cannot block each other for
//! good, and together they hold at most the budget and one body of the largest size.
//!
//! A body that waits gives its fetch slot to another row. A bounded number may wait so, for a bounded time; a body for
//! which there is no place, or whose time is over, gives back what it has, and its row is asked for again later.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

/// A body up to this size needs no permit; the bodies in flight times this bounds what small bodies hold.
pub(super) const FREE_BYTES: usize = 512 << 10;

/// Bodies in flight beyond the fetch slots, because they wait for memory or have waited: a share of the slots.
pub(super) fn waiting_places(concurrency: usize) -> usize {
    concurrency.div_ceil(4).clamp(1, Semaphore::MAX_PERMITS)
}

/// What all bodies share.
#[derive(Debug)]
pub(super) struct BodyMemory {
    budget: u64,
    state: Mutex<State>,
    places: Arc<Semaphore>,
    num_places: usize,
    /// Told when a body gives its slot away.
    pub slot_given: Notify,
}

#[derive(Debug)]
struct State {
    left: u64,
    has_finisher: bool,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    bytes: u64,
    granted: oneshot::Sender<Grant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grant {
    /// The bytes, of the budget.
    Budget,
    /// Any further bytes, beyond the budget.
    Finisher,
}

impl BodyMemory {
    /// `budget` bytes for all bodies; `num_places` of them may wait at a time.
    pub fn new(budget: u64, num_places: usize) -> Self {
        Self {
            budget,
            state: Mutex::new(State { left: budget, has_finisher: false, waiting: VecDeque::new() }),
            places: Arc::new(Semaphore::new(num_places)),
            num_places,
            slot_given: Notify::new(),
        }
    }

    /// Bodies in flight that hold no fetch slot.
    pub fn without_slot(&self) -> usize {
        self.num_places.saturating_sub(self.places.available_permits())
    }

    /// Bytes a body that is asked for now may count on: none while others wait, and any number when nothing is held.
    pub fn available(&self) -> u64 {
        let state = self.lock();
        if state.left == self.budget && !state.has_finisher {
            u64::MAX
        } else if state.waiting.is_empty() && self.places.available_permits() > 0 {
            state.left
        } else {
            0
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every critical section leaves the numbers whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one body holds; given back when dropped.
#[derive(Debug)]
pub(super) struct Held {
    memory: Arc<BodyMemory>,
    of_budget: u64,
    is_finisher: bool,
    /// An answer that has not been taken note of.
    pending: Option<(u64, oneshot::Receiver<Grant>)>,
}

/// A place among the bodies that hold no slot, kept until the body's end.
#[derive(Debug)]
pub(super) struct WithoutSlot(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Held {
    pub fn nothing(memory: &Arc<BodyMemory>) -> Self {
        Self { memory: memory.clone(), of_budget: 0, is_finisher: false, pending: None }
    }

    /// Takes `bytes` more, if they can be had at once.
    pub fn try_grow(&mut self, bytes: u64) -> bool {
        if self.is_finisher {
            return true;
        }
        let mut state = self.memory.lock();
        if state.waiting.is_empty() && state.left >= bytes {
            state.left -= bytes;
            self.of_budget += bytes;
            return true;
        }
        if state.has_finisher {
            return false;
        }
        // Nobody waits while there is no finisher.
        state.has_finisher = true;
        self.is_finisher = true;
        true
    }

    /// Gives the fetch slot away, if there is a place to wait at.
    pub fn give_slot(&self) -> Option<WithoutSlot> {
        let place = self.memory.places.clone().try_acquire_owned().ok()?;
        self.memory.slot_given.notify_one();
        Some(WithoutSlot(place))
    }

    /// Waits for `bytes` more, at most for `longest`. Says whether they came.
    pub async fn wait_to_grow(&mut self, bytes: u64, longest: Duration) -> bool {
        if self.try_grow(bytes) {
            return true;
        }
        let (granted, answer) = oneshot::channel();
        self.memory.lock().waiting.push_back(Waiting { bytes, granted });
        let (_, answer) = self.pending.insert((bytes, answer));
        // Somebody may have given bytes back between the two locks.
        self.memory.lock().grant();
        if let Ok(Ok(grant)) = timeout(longest, answer).await {
            self.pending = None;
            self.note(grant, bytes);
            return true;
        }
        self.note_answer()
    }

    fn note(&mut self, grant: Grant, bytes: u64) {
        match grant {
            Grant::Budget => self.of_budget += bytes,
            Grant::Finisher => self.is_finisher = true,
        }
    }

    /// Takes note of the answer to a question that is over, whether or not it has come. Says whether it was yes.
    fn note_answer(&mut self) -> bool {
        let Some((bytes, mut answer)) = self.pending.take() else { return false };
        answer.close();
        match answer.try_recv() {
            Ok(grant) => self.note(grant, bytes),
            Err(_) => {
                let mut state = self.memory.lock();
                state.waiting.retain(|waiting| !waiting.granted.is_closed());
                // Those after it may want less.
                state.grant();
                return false;
            }
        }
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.note_answer();
        let mut state = self.memory.lock();
        state.left += self.of_budget;
        state.has_finisher &= !self.is_finisher;
        state.grant();
    }
}

impl State {
    /// Lets those who wait go on, as far as there is room.
    fn grant(&mut self) {
        while let Some(first) = self.waiting.front() {
            let grant = if self.left >= first.bytes {
                Grant::Budget
            } else if !self.has_finisher {
                Grant::Finisher
            } else {
                return;
            };
            let Some(Waiting { bytes, granted }) = self.waiting.pop_front() else { return };
            // One that has stopped waiting takes nothing.
            if granted.send(grant).is_ok() {
                match grant {
                    Grant::Budget => self.left -= bytes,
                    Grant::Finisher => self.has_finisher = true,
                }
            }
        }
    }
}
