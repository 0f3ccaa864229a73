//! Threads over the pieces of a source. A piece is read by whoever holds its lock, a batch at a time; batches are
//! worked on outside. So one large piece keeps every thread busy as long as decoding is the smaller part, and many
//! pieces never wait for each other.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use super::error::CaptionsError;
use super::read::{Batch, Piece, Reader};

/// What a thread does with batches.
pub trait Worker: Send {
    /// Takes a batch of piece number `piece`; `row` is the number of its first row in the piece.
    ///
    /// # Errors
    /// When counting fails.
    fn take(&mut self, batch: &Batch, piece: usize, row: u64) -> Result<(), CaptionsError>;
}

enum State {
    Closed,
    Open { reader: Reader, row: u64 },
    Done,
}

/// Reads all pieces with one thread for each worker and hands the workers back.
///
/// # Errors
/// The first error of a file or worker.
pub fn scan<W: Worker>(pieces: &[Piece], workers: Vec<W>) -> Result<Vec<W>, CaptionsError> {
    let states: Vec<Mutex<State>> = pieces.iter().map(|_| Mutex::new(State::Closed)).collect();
    let stop = AtomicBool::new(false);
    let run = |mut worker: W| {
        let mut first = 0;
        while !stop.load(Ordering::Relaxed) {
            let next = next_batch(pieces, &states, &mut first);
            let taken = next.and_then(|next| match next {
                Some((batch, piece, row)) => worker.take(&batch, piece, row).map(|()| true),
                None => Ok(false),
            });
            match taken {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    stop.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(worker)
    };
    let run = &run;
    std::thread::scope(|scope| {
        let threads: Vec<_> = workers.into_iter().map(|worker| scope.spawn(move || run(worker))).collect();
        threads
            .into_iter()
            .map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// The next batch of the first piece that nobody is reading or, when there is none, of one that somebody is.
fn next_batch(
    pieces: &[Piece],
    states: &[Mutex<State>],
    first: &mut usize,
) -> Result<Option<(Batch, usize, u64)>, CaptionsError> {
    loop {
        let mut busy = None;
        for number in *first..pieces.len() {
            let state = match states[number].try_lock() {
                Ok(state) => state,
                Err(TryLockError::Poisoned(e)) => e.into_inner(),
                Err(TryLockError::WouldBlock) => {
                    busy = busy.or(Some(number));
                    continue;
                }
            };
            if let Some((batch, row)) = advance(&pieces[number], state)? {
                return Ok(Some((batch, number, row)));
            }
            if number == *first {
                *first += 1;
            }
        }
        let Some(number) = busy else { return Ok(None) };
        let state = states[number].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((batch, row)) = advance(&pieces[number], state)? {
            return Ok(Some((batch, number, row)));
        }
    }
}

fn advance(piece: &Piece, mut state: MutexGuard<'_, State>) -> Result<Option<(Batch, u64)>, CaptionsError> {
    if let State::Closed = *state {
        *state = State::Open { reader: Reader::open(piece)?, row: 0 };
    }
    let State::Open { reader, row } = &mut *state else { return Ok(None) };
    match reader.next_batch()? {
        Some(batch) => {
            let first = *row;
            *row += arrow::array::Array::len(&batch.captions) as u64;
            Ok(Some((batch, first)))
        }
        None => {
            *state = State::Done;
            Ok(None)
        }
    }
}

/// Cores there are.
pub fn num_cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}
