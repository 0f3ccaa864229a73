//! The threads that hold the runs of a cohort. Work reaches all runs in the order it was given; each thread does it to its
//! own runs one after the other, so with as many runs as cores a small model keeps every core busy where its operations
//! alone could not.

use std::thread::{Scope, ScopedJoinHandle};

use crossbeam_channel::{Sender, bounded};

use super::member::{EpochLine, Job, Member};
use crate::error::TrainError;

/// Jobs that wait for a thread: the next batch while it computes on the one before.
const AHEAD: usize = 2;

enum Message {
    Job(Job),
    /// Answers when everything before it is done.
    Report(Sender<Report>),
}

/// How the runs of one thread stand.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The last pass of each run that goes on.
    pub passes: Vec<EpochLine>,
}

/// The threads of a cohort, within a scope.
pub struct Crew<'scope> {
    lanes: Vec<Sender<Message>>,
    threads: Vec<ScopedJoinHandle<'scope, Vec<Member>>>,
}

impl<'scope> Crew<'scope> {
    /// Gives each of at most `threads` threads its share of `members`. Each computes on `cores` cores, which is part of
    /// what the numbers are: sums are taken in another order on another number.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        members: Vec<Member>,
        threads: usize,
        cores: usize,
    ) -> Result<Self, TrainError> {
        let threads = threads.min(members.len()).max(1);
        let inner = i32::try_from(cores).unwrap_or(1).max(1);
        let mut shares: Vec<Vec<Member>> = (0..threads).map(|_| Vec::new()).collect();
        for (index, member) in members.into_iter().enumerate() {
            shares[index % threads].push(member);
        }
        let mut crew = Self { lanes: Vec::new(), threads: Vec::new() };
        for (number, mut share) in shares.into_iter().enumerate() {
            let (send, receive) = bounded(AHEAD);
            let work = move || {
                // libtorch's number of threads is a matter of each thread that calls it.
                tch::set_num_threads(inner);
                for message in receive {
                    match message {
                        Message::Job(job) => share.iter_mut().for_each(|member| job.apply(member)),
                        Message::Report(answer) => {
                            // The other end waits for it, or has gone with its error.
                            let _ = answer.send(report(&share));
                        }
                    }
                }
                share
            };
            let builder = std::thread::Builder::new().name(format!("run-{number}"));
            let spawned = builder.spawn_scoped(scope, work);
            crew.threads.push(spawned.map_err(|error| TrainError::Transfer(error.to_string()))?);
            crew.lanes.push(send);
        }
        Ok(crew)
    }

    /// Gives work to every run; waits while a thread has enough.
    pub fn give(&self, job: &Job) {
        for lane in &self.lanes {
            // A thread that has gone has panicked; `finish` says so.
            let _ = lane.send(Message::Job(job.share()));
        }
    }

    /// Waits until everything given is done.
    pub fn wait(&self) -> Report {
        let (send, receive) = bounded(self.lanes.len().max(1));
        for lane in &self.lanes {
            let _ = lane.send(Message::Report(send.clone()));
        }
        drop(send);
        Report { passes: receive.iter().flat_map(|report| report.passes).collect() }
    }

    /// Waits until everything given is done and returns the runs.
    ///
    /// # Errors
    /// When a thread has panicked.
    pub fn finish(self) -> Result<Vec<Member>, TrainError> {
        drop(self.lanes);
        let mut members = Vec::new();
        for thread in self.threads {
            let share = thread.join();
            members.extend(share.map_err(|_| TrainError::Transfer("a thread of runs panicked".into()))?);
        }
        Ok(members)
    }
}

fn report(members: &[Member]) -> Report {
    let going = members.iter().filter(|member| member.failed.is_none());
    Report { passes: going.filter_map(|member| member.history.last().cloned()).collect() }
}
