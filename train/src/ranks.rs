//! The processes of a run as one: collectives that are nothing at all when there is one process. Gathering and reducing
//! live here, so the objective and the evaluation are written once for any number of ranks. [`meeting`] is how they find
//! each other, compare what they are about to do ([`facts`]) and learn of each other's end.

pub mod content;
pub mod facts;
pub mod meeting;

use tch::{Device, Kind, Tensor};

pub use self::facts::Facts;
pub use self::meeting::{Meeting, RankError, refuse};
use crate::error::TrainError;
use crate::launch::Launch;
use crate::objective::features::Exchange;
use crate::torch::TorchError;
use crate::torch::group::{Buckets, Group, Reduce, Work};
use crate::torch::layout::contiguous;
use crate::torch::memory::Readback;
use crate::weights::{Role, Weights};

/// Gradients travel in pieces of about this many bytes, as PyTorch's DDP sends them.
pub const BUCKET_BYTES: usize = 25 << 20;

/// Does `work` with the other ranks of `launch`. Whatever ends it early here is told to the others, and whatever ended
/// another rank early is what this one reports: none waits for a rank that is gone.
///
/// # Errors
/// As `work`; [`RankError`] where another rank was the first to end.
pub fn together<T>(
    launch: &Launch,
    work: impl FnOnce(&Meeting) -> Result<T, TrainError>,
) -> Result<T, TrainError> {
    let meeting = Meeting::open(launch)?;
    let outcome = work(&meeting).map_err(|error| match error {
        // A collective fails where a rank is lost, sometimes before the reason is here.
        error if error.may_be_a_lost_rank() => meeting.lost().map_or(error, TrainError::from),
        error => error,
    });
    let failure = outcome.as_ref().err().map(|error| (error.to_string(), error.is_bad_input()));
    meeting.end(failure);
    outcome
}

/// This process, and the others if there are any.
#[derive(Debug)]
pub struct Ranks {
    meeting: Meeting,
    group: Option<Group>,
}

impl Ranks {
    /// Connects to the others of a meeting for collectives on `device`; returns when all are there.
    ///
    /// # Errors
    /// When they do not come in time.
    pub fn connect(meeting: &Meeting, device: Device) -> Result<Self, TorchError> {
        let group = match (meeting.store(), device) {
            (None, _) => None,
            (Some(store), Device::Cuda(index)) => Some(Group::nccl(&store, index)?),
            (Some(store), _) => Some(Group::gloo(&store)?),
        };
        if let Some(group) = &group {
            meeting.watch(group.aborter());
        }
        Ok(Self { meeting: meeting.clone(), group })
    }

    /// One process.
    pub fn single() -> Self {
        Self { meeting: Meeting::alone(), group: None }
    }

    /// This process, 0 to `world` - 1.
    pub fn rank(&self) -> usize {
        self.meeting.rank()
    }

    /// Number of processes.
    pub fn world(&self) -> usize {
        self.meeting.world()
    }

    /// Whether this process writes logs and checkpoints.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// Sums numbers over all ranks.
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn sum_numbers(&self, numbers: &mut [f64], device: Device) -> Result<(), TorchError> {
        if self.group.is_none() {
            return Ok(());
        }
        let tensor = Tensor::f_from_slice(numbers)?.f_to_device(device)?;
        Exchange::sum(self, &tensor)?;
        tensor.f_to_device(Device::Cpu)?.f_copy_data(numbers, numbers.len())?;
        Ok(())
    }

    /// Whether any rank says yes; waits for all of them and for the device.
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn any(&self, yes: bool, device: Device) -> Result<bool, TorchError> {
        let mut votes = [f64::from(u8::from(yes))];
        self.sum_numbers(&mut votes, device)?;
        Ok(votes[0] > 0.0)
    }

    /// Begins a vote; nobody waits for the others or for the device until it is counted.
    ///
    /// # Errors
    /// When a rank is lost.
    fn vote(&self, yes: bool, device: Device) -> Result<Option<Ballot>, TorchError> {
        let Some(group) = &self.group else { return Ok(None) };
        // Filled on the device: a copy from the host would be waited for.
        let ballot = Tensor::f_full([1], f64::from(u8::from(yes)), (Kind::Float, device))?;
        let work = group.begin_all_reduce(&ballot, Reduce::Max)?;
        if !device.is_cuda() {
            return Ok(Some(Ballot::Travelling(ballot, work)));
        }
        // On a GPU only the stream waits; the way back begins before the next step is queued.
        work.wait()?;
        Ok(Some(Ballot::Returning(Readback::begin(&ballot)?)))
    }

    /// Returns when `facts` are the same on every rank.
    ///
    /// # Errors
    /// As [`Meeting::agree`].
    pub fn agree(&self, facts: Facts) -> Result<(), RankError> {
        self.meeting.agree(|_| Ok(facts))
    }

    /// Gives every rank the tensors of rank 0.
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn share<'a>(&self, tensors: impl IntoIterator<Item = &'a Tensor>) -> Result<(), TorchError> {
        if let Some(group) = &self.group {
            for tensor in tensors {
                tch::no_grad(|| group.broadcast(tensor, 0))?;
            }
        }
        Ok(())
    }

    /// Gives every rank the buffers of rank 0: the running statistics of batch norm, which every rank gathers from its
    /// own share of the data. Rank 0's and not their mean, because that is what open_clip has: DDP broadcasts the
    /// buffers of rank 0 before every forward pass.
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn share_buffers(&self, weights: &Weights) -> Result<(), TorchError> {
        let Some(group) = &self.group else { return Ok(()) };
        let _no_grad = tch::no_grad_guard();
        let mut buffers = weights.all();
        buffers.retain(|weight| weight.role == Role::Buffer);
        // One collective for each type of number instead of one for each of 159 tensors.
        for kind in [Kind::Float, Kind::Double, Kind::Int64] {
            let mut same: Vec<Tensor> = Vec::new();
            same.extend(buffers.iter().filter(|b| b.tensor.kind() == kind).map(|b| b.tensor.shallow_clone()));
            if same.is_empty() {
                continue;
            }
            let rows: Vec<Tensor> = same.iter().map(|t| t.f_reshape([-1])).collect::<Result<_, _>>()?;
            let flat = Tensor::f_cat(&rows, 0)?;
            group.broadcast(&flat, 0)?;
            let mut start = 0;
            for buffer in &mut same {
                let length = buffer.numel() as i64;
                buffer.f_copy_(&flat.f_narrow(0, start, length)?.f_reshape(buffer.size())?)?;
                start += length;
            }
        }
        Ok(())
    }

    /// The orderly end of the collectives, when all ranks have come through. What is not ended so is aborted.
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn finish(&self) -> Result<(), TorchError> {
        self.group.as_ref().map_or(Ok(()), Group::shutdown)
    }

    /// Returns when every rank is here.
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn wait(&self) -> Result<(), TorchError> {
        self.group.as_ref().map_or(Ok(()), Group::barrier)
    }

    /// Averages gradients of those of `params` that learn over the ranks while backward runs; `None` for one process,
    /// and where nothing learns.
    ///
    /// # Errors
    /// When a tensor is not a leaf.
    pub fn buckets(&self, params: &[Tensor]) -> Result<Option<Buckets>, TorchError> {
        let learning: Vec<Tensor> =
            params.iter().filter(|param| param.requires_grad()).map(Tensor::shallow_clone).collect();
        let group = self.group.as_ref().filter(|_| !learning.is_empty());
        group.map(|group| Buckets::new(group, &learning, BUCKET_BYTES)).transpose()
    }
}

/// A vote of all ranks on its way.
#[derive(Debug)]
enum Ballot {
    Travelling(Tensor, Work),
    Returning(Readback),
}

impl Ballot {
    fn count(self) -> Result<bool, TorchError> {
        let back = match self {
            Self::Travelling(ballot, work) => {
                work.wait()?;
                Readback::begin(&ballot)?
            }
            Self::Returning(back) => back,
        };
        Ok(back.wait()?.first().is_some_and(|&yes| yes > 0.0))
    }
}

/// Whether any rank wants to stop, asked after every step. Several ranks learn it one step later: by then the vote has
/// arrived, and the device is busy with the next step instead of waiting for it.
#[derive(Debug, Default)]
pub struct StopVote {
    before: Option<Ballot>,
}

impl StopVote {
    /// Votes, and tells what the vote before came to; the same on every rank. One process decides at once.
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn ask(&mut self, ranks: &Ranks, yes: bool, device: Device) -> Result<bool, TorchError> {
        let Some(ballot) = ranks.vote(yes, device)? else { return Ok(yes) };
        self.before.replace(ballot).map_or(Ok(false), Ballot::count)
    }
}

impl Exchange for Ranks {
    fn rank(&self) -> usize {
        self.meeting.rank()
    }

    fn world(&self) -> usize {
        self.meeting.world()
    }

    fn gather(&self, local: &Tensor) -> Result<Tensor, TorchError> {
        match &self.group {
            Some(group) => Ok(Tensor::f_cat(&group.all_gather(&contiguous(local)?)?, 0)?),
            None => Ok(local.shallow_clone()),
        }
    }

    fn sum(&self, tensor: &Tensor) -> Result<(), TorchError> {
        self.group.as_ref().map_or(Ok(()), |group| group.all_reduce(tensor, Reduce::Sum))
    }
}

/// A scalar as a number; waits for the device.
pub fn number(tensor: &Tensor) -> Result<f64, TorchError> {
    Ok(tensor.f_to_kind(Kind::Double)?.f_double_value(&[])?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::gradients::drop_gradients;
    use crate::torch::group::Rendezvous;
    use crate::weights::Init;

    /// Two ranks in two threads of one process.
    fn two_ranks<T: Send + 'static>(work: impl Fn(Ranks) -> T + Copy + Send + 'static) -> Vec<T> {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let ranks: Vec<_> = (0..2)
            .map(|rank| {
                std::thread::spawn(move || {
                    let timeout = std::time::Duration::from_secs(30);
                    let host = "127.0.0.1".to_string();
                    let rendezvous = Rendezvous { host, port, rank, world: 2, agent_attempt: None, timeout };
                    let launch = Launch { rank, world: 2, local_rank: 0, rendezvous: Some(rendezvous) };
                    together(&launch, |meeting| {
                        let ranks = Ranks::connect(meeting, Device::Cpu)?;
                        let barrier = ranks.meeting.clone();
                        let found = work(ranks);
                        barrier.agree(|_| Ok::<_, TrainError>(Facts::new()))?;
                        Ok(found)
                    })
                    .unwrap()
                })
            })
            .collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    }

    fn values(tensor: &Tensor) -> Vec<f64> {
        Vec::try_from(tensor.flatten(0, -1).to_kind(Kind::Double)).unwrap()
    }

    #[test]
    fn t12_frozen_parameters_stay_out_of_the_buckets() {
        let seen = two_ranks(|ranks| {
            let scale = ranks.rank() as f64 + 1.0;
            let ones = |n: i64| Tensor::ones([n], (Kind::Float, Device::Cpu));
            let params = [ones(2), ones(3).set_requires_grad(true), ones(4)];
            let buckets = ranks.buckets(&params).unwrap().unwrap();
            drop_gradients(&params).unwrap();
            buckets.arm().unwrap();
            params.iter().map(|p| (p * scale).sum(Kind::Float)).reduce(|a, b| a + b).unwrap().backward();
            buckets.finish().unwrap();
            assert!(ranks.buckets(&[ones(2)]).unwrap().is_none(), "nothing learns");
            (values(&params[1].grad()), params[0].grad().defined())
        });
        assert_eq!(seen, vec![(vec![1.5; 3], false); 2]);
    }

    #[test]
    fn t12_every_rank_gets_the_statistics_of_rank_0_and_keeps_its_parameters() {
        let seen = two_ranks(|ranks| {
            let mine = ranks.rank() as f64 + 1.0;
            let weights = Weights::new(Device::Cpu);
            let bn = weights.root().part("bn");
            let _ = bn.parameter("weight", &[2], Init::Constant(mine)).unwrap();
            let _ = bn.buffer("running_mean", &[2, 3], Kind::Float, mine).unwrap();
            let _ = bn.buffer("running_var", &[2], Kind::Float, 10.0 * mine).unwrap();
            let _ = bn.buffer("num_batches_tracked", &[], Kind::Int64, 100.0 * mine).unwrap();
            ranks.share_buffers(&weights).unwrap();
            weights.all().iter().map(|weight| values(&weight.tensor)).collect::<Vec<_>>()
        });
        let of = |own: f64| vec![vec![own; 2], vec![1.0; 6], vec![10.0; 2], vec![100.0]];
        assert_eq!(seen, [of(1.0), of(2.0)]);
    }

    #[test]
    fn t12_a_vote_is_counted_one_step_later_and_alike_on_every_rank() {
        let seen = two_ranks(|ranks| {
            let mut vote = StopVote::default();
            // Rank 1 wants to stop at its third step.
            (0..5)
                .map(|step| vote.ask(&ranks, ranks.rank() == 1 && step == 2, Device::Cpu).unwrap())
                .collect::<Vec<_>>()
        });
        assert_eq!(seen, vec![vec![false, false, false, true, false]; 2]);
        let mut vote = StopVote::default();
        assert!(vote.ask(&Ranks::single(), true, Device::Cpu).unwrap(), "one process waits for nobody");
    }

    #[test]
    fn t02_ranks_that_differ_learn_the_same_and_a_failure_reaches_the_others() {
        let seen = two_ranks(|ranks| {
            let facts =
                |value: usize| Facts::new().with("it", "", &serde_json::json!({ "value": value })).unwrap();
            let agreed = ranks.agree(facts(7)).is_ok();
            let error = ranks.agree(facts(ranks.rank())).unwrap_err();
            (agreed, error.is_bad_input(), error.to_string())
        });
        let message = "rank 1 differs from rank 0 in it; first difference: value is 0 on rank 0 and 1 on rank 1; \
                       give every rank the same program, settings and files";
        assert_eq!(seen, vec![(true, true, message.to_owned()); 2]);
    }
}
