//! The fence against what PyTorch documents: each wrapper does what its name says, and fails with words.

use tch::{Device, Kind, Tensor};

use super::autocast::Autocast;
use super::gradients::{AdamwLists, AdamwStep, adamw, backward, clip_norm, drop_gradients, unscale};
use super::group::{Buckets, Group, Reduce, Rendezvous, Store};
use super::*;

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.flatten(0, -1).to_kind(Kind::Float)).unwrap()
}

#[test]
fn channels_last_keeps_values_and_turns_memory() {
    let x = Tensor::rand([2, 3, 4, 5], CPU);
    let turned = layout::channels_last(&x).unwrap();
    assert!(layout::is_channels_last(&turned).unwrap() && !layout::is_channels_last(&x).unwrap());
    assert_eq!(turned, x);
    assert_eq!(turned.stride(), [60, 1, 15, 3]);
    assert!(layout::channels_last(&Tensor::zeros([2, 3], CPU)).is_err());
}

#[test]
fn backward_weighs_outputs_and_dropped_gradients_are_gone() {
    let x = Tensor::from_slice(&[1f32, 2.0, 3.0]).set_requires_grad(true);
    let (double, square) = (&x * 2.0, &x * &x);
    let ones = Tensor::ones([3], CPU);
    backward(&[&double, &square], &[&ones, &(&ones * 10.0)]).unwrap();
    assert_eq!(values(&x.grad()), [22.0, 42.0, 62.0]);
    drop_gradients(&[x.shallow_clone()]).unwrap();
    assert!(!x.grad().defined());
    assert!(backward(&[&ones], &[&ones]).is_err(), "no graph");
}

#[test]
fn clipping_scales_to_the_norm_and_returns_the_old_one() {
    let g = [Tensor::from_slice(&[3f32]), Tensor::from_slice(&[4f32])];
    assert_eq!(clip_norm(&g, None).unwrap().double_value(&[]), 5.0);
    assert_eq!(values(&g[0]), [3.0]);
    assert_eq!(clip_norm(&g, Some(1.0)).unwrap().double_value(&[]), 5.0);
    assert!((values(&g[1])[0] - 0.8).abs() < 1e-5);
}

#[test]
fn an_overflown_step_changes_nothing() {
    let zeros = || vec![Tensor::zeros([2], CPU)];
    let params = vec![Tensor::ones([2], CPU)];
    let gradients = vec![Tensor::from_slice(&[f32::INFINITY, 1.0])];
    let (m, v, steps) = (zeros(), zeros(), vec![Tensor::zeros([0i64; 0], CPU)]);
    let found_inf = Tensor::zeros([0i64; 0], CPU);
    unscale(&gradients, &found_inf, &Tensor::ones([0i64; 0], CPU)).unwrap();
    assert_eq!(found_inf.double_value(&[]), 1.0);
    let lists =
        AdamwLists { params: &params, gradients: &gradients, exp_avgs: &m, exp_avg_sqs: &v, steps: &steps };
    let step = AdamwStep { lr: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 };
    adamw(lists, step, Some(&found_inf)).unwrap();
    assert_eq!((values(&params[0]), steps[0].double_value(&[])), (vec![1.0, 1.0], 0.0));
    // The first step of AdamW moves every weight by lr against the sign of its gradient.
    let finite = vec![Tensor::from_slice(&[5f32, -1.0])];
    adamw(AdamwLists { gradients: &finite, ..lists }, step, None).unwrap();
    let moved = values(&params[0]);
    assert!((moved[0] - 0.9).abs() < 1e-6 && (moved[1] - 1.1).abs() < 1e-6, "{moved:?}");
    assert!(adamw(AdamwLists { steps: &[], ..lists }, step, None).is_err());
}

#[test]
fn autocast_holds_until_dropped_and_nests() {
    let x = Tensor::rand([4, 4], CPU);
    let outer = Autocast::begin(Device::Cpu, Kind::BFloat16).unwrap();
    assert_eq!(x.matmul(&x).kind(), Kind::BFloat16);
    drop(Autocast::begin(Device::Cpu, Kind::BFloat16).unwrap());
    drop(outer);
    assert_eq!(x.matmul(&x).kind(), Kind::Float);
}

#[test]
fn t12_the_end_of_an_inner_autocast_puts_the_outer_one_back() {
    let x = Tensor::rand([4, 4], CPU);
    let outer = Autocast::begin(Device::Cpu, Kind::BFloat16).unwrap();
    let inner = Autocast::begin(Device::Cpu, Kind::Half).unwrap();
    assert_eq!(x.matmul(&x).kind(), Kind::Half);
    drop(inner);
    assert_eq!(x.matmul(&x).kind(), Kind::BFloat16, "the outer one still holds, with its own type");
    drop(outer);
    assert_eq!(x.matmul(&x).kind(), Kind::Float);
}

#[test]
fn the_generator_can_be_put_back() {
    rng::seed(7);
    let state = rng::state(Device::Cpu).unwrap();
    let first = Tensor::rand([5], CPU);
    rng::set_state(Device::Cpu, &state).unwrap();
    assert_eq!(Tensor::rand([5], CPU), first);
    assert!(rng::set_state(Device::Cpu, &Tensor::zeros([3], CPU)).is_err());
    assert!(rng::state(Device::Cuda(99)).is_err(), "no such device");
}

#[test]
fn slots_write_into_the_tensor_and_come_back_only_together() {
    let mut slots = memory::HostBytes::new(13, Device::Cpu).unwrap().split(4, 3);
    for (i, slot) in slots.iter_mut().enumerate() {
        slot.as_mut().fill(i as u8 + 1);
    }
    let last = slots.pop().unwrap();
    assert!(memory::HostBytes::join(slots).is_empty(), "a slot is missing");
    let whole = memory::HostBytes::join(vec![last]);
    let copy = whole.copy_to(&[2, 2, 3], Device::Cpu).unwrap();
    assert_eq!(values(&copy), [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 4.0, 4.0, 4.0]);
    assert!(whole.copy_to(&[5, 3], Device::Cpu).is_err());
}

#[test]
fn a_message_is_one_line() {
    let error = rng::set_state(Device::Cpu, &Tensor::zeros([3], (Kind::Uint8, Device::Cpu))).unwrap_err();
    assert!(!error.to_string().contains('\n') && error.to_string().starts_with("libtorch: "), "{error}");
}

#[test]
fn want_of_memory_is_told_from_other_errors() {
    use memory::FailedAllocation;
    // What libtorch really says, of a petabyte.
    let error = TorchError::from(Tensor::f_empty([1 << 48], CPU).unwrap_err());
    let bytes = Some("1125899906842624 bytes".to_string());
    assert_eq!(
        FailedAllocation::of(&error.0),
        Some(FailedAllocation { on_gpu: false, size: bytes }),
        "{error}"
    );
    // What it says on GPUs, from its source and NVIDIA's.
    let gpu = |size: Option<&str>| Some(FailedAllocation { on_gpu: true, size: size.map(str::to_string) });
    let caching =
        "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 79.10 GiB of which";
    assert_eq!(FailedAllocation::of(caching), gpu(Some("2.50 GiB")));
    assert_eq!(FailedAllocation::of("CUDA error: out of memory"), gpu(None));
    let handle = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`";
    assert_eq!(FailedAllocation::of(handle), gpu(None));
    // Any other error stays what it is.
    let shapes = TorchError::from(Tensor::zeros([2], CPU).f_add(&Tensor::zeros([3], CPU)).unwrap_err());
    assert_eq!(FailedAllocation::of(&shapes.0), None);
    assert_eq!(FailedAllocation::of("CUDA error: an illegal memory access was encountered"), None);
}

/// Two ranks in two threads of one process.
fn two_ranks<T: Send + 'static>(work: impl Fn(Group) -> T + Copy + Send + 'static) -> Vec<T> {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ranks: Vec<_> = (0..2)
        .map(|rank| {
            std::thread::spawn(move || {
                let meeting = Rendezvous {
                    host: "127.0.0.1".into(),
                    port,
                    rank,
                    world: 2,
                    agent_attempt: None,
                    timeout: std::time::Duration::from_secs(30),
                };
                work(Group::gloo(&Store::connect(&meeting).unwrap()).unwrap())
            })
        })
        .collect();
    ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
}

#[test]
fn ranks_gather_reduce_and_broadcast() {
    let seen = two_ranks(|group| {
        let mine = Tensor::from_slice(&[group.rank() as f32 + 1.0]);
        let all = group.all_gather(&mine).unwrap();
        let (sum, largest, first) = (mine.copy(), mine.copy(), mine.copy());
        group.all_reduce(&sum, Reduce::Sum).unwrap();
        group.all_reduce(&largest, Reduce::Max).unwrap();
        group.broadcast(&first, 0).unwrap();
        group.barrier().unwrap();
        [values(&all[0])[0], values(&all[1])[0], values(&sum)[0], values(&largest)[0], values(&first)[0]]
    });
    assert_eq!(seen, [[1.0, 2.0, 3.0, 2.0, 1.0]; 2]);
}

#[test]
fn buckets_leave_the_mean_gradient_on_every_rank() {
    let seen = two_ranks(|group| {
        let scale = group.rank() as f64 + 1.0;
        let params: Vec<_> = (0..5).map(|i| Tensor::ones([i + 1, 3], CPU).set_requires_grad(true)).collect();
        // 24 bytes: nearly every parameter is a bucket of its own.
        let buckets = Buckets::new(&group, &params, 24).unwrap();
        let mut means = vec![];
        for _ in 0..2 {
            drop_gradients(&params).unwrap();
            // Unarmed: the gradients stay at home and accumulate.
            (&params[0].sum(Kind::Float) * scale).backward();
            buckets.arm().unwrap();
            // The last parameter is reached on rank 1 only.
            let reached = if group.rank() == 0 { 4 } else { 5 };
            let loss = params[..reached].iter().map(|p| (p * scale).sum(Kind::Float)).reduce(|a, b| a + b);
            loss.unwrap().backward();
            buckets.finish().unwrap();
            means = params.iter().map(|p| values(&p.grad())[0]).collect::<Vec<_>>();
        }
        means
    });
    assert_eq!(seen, [[3.0, 1.5, 1.5, 1.5, 1.0]; 2]);
}

#[test]
fn t12_averaged_gradients_are_views_of_their_bucket_in_the_layout_of_their_parameter() {
    let seen = two_ranks(|group| {
        let scale = group.rank() as f64 + 1.0;
        let kernel = layout::channels_last(&Tensor::rand([3, 2, 5, 5], CPU)).unwrap();
        let params = [
            Tensor::ones([7], CPU).set_requires_grad(true),
            kernel.set_requires_grad(true),
            Tensor::ones([], CPU).set_requires_grad(true),
            Tensor::ones([4, 6], CPU).set_requires_grad(true),
        ];
        let buckets = Buckets::new(&group, &params, 1 << 20).unwrap();
        let weights: Vec<_> = params
            .iter()
            .map(|p| Tensor::arange(p.numel() as i64, CPU).reshape(p.size().as_slice()) + 1.0)
            .collect();
        buckets.arm().unwrap();
        let terms = params.iter().zip(&weights).map(|(p, w)| (p * w * scale).sum(Kind::Float));
        terms.reduce(|a, b| a + b).unwrap().backward();
        buckets.finish().unwrap();
        for (param, weight) in params.iter().zip(&weights) {
            let grad = param.grad();
            // The mean of 1 and 2 times the weight.
            assert_eq!(grad, weight * 1.5);
            assert_eq!(grad.stride(), param.stride());
            // Where vector loads may begin.
            assert_eq!(grad.data_ptr() as usize % 16, 0);
        }
        // One bucket, last parameter first, one behind the other: 24, 1 (and 3 of padding), 150 (and 2), 7.
        let at = |i: usize| params[i].grad().data_ptr() as usize;
        [at(2) - at(3), at(1) - at(2), at(0) - at(1)]
    });
    assert_eq!(seen, [[24 * 4, 4 * 4, 152 * 4]; 2]);
}

#[test]
fn t12_a_frozen_parameter_is_refused_by_the_buckets() {
    let seen = two_ranks(|group| {
        let params = [Tensor::ones([2], CPU).set_requires_grad(true), Tensor::ones([2], CPU)];
        Buckets::new(&group, &params, 1 << 20).unwrap_err().0
    });
    assert!(seen.iter().all(|message| message.contains("parameter 1 is frozen")), "{seen:?}");
}

#[test]
fn t02_a_value_set_by_one_rank_is_read_by_the_other() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ranks: Vec<_> = (0..2)
        .map(|rank| {
            std::thread::spawn(move || {
                let timeout = std::time::Duration::from_secs(30);
                let host = "127.0.0.1".to_string();
                let meeting = Rendezvous { host, port, rank, world: 2, agent_attempt: None, timeout };
                let store = Store::connect(&meeting).unwrap();
                store.set(&format!("from {rank}"), &format!("value {rank}")).unwrap();
                let read = store.get(&format!("from {}", 1 - rank)).unwrap();
                // Rank 0 hosts the store: it stays until the other has read.
                if rank == 0 {
                    store.get("done").unwrap();
                } else {
                    store.set("done", "").unwrap();
                }
                read
            })
        })
        .collect();
    let seen: Vec<_> = ranks.into_iter().map(|rank| rank.join().unwrap()).collect();
    assert_eq!(seen, ["value 1", "value 0"]);
}

#[test]
fn t12_numbers_come_back_from_the_device_in_order() {
    let numbers = Tensor::from_slice(&[1.5f32, -2.0]).set_requires_grad(true);
    let back = memory::Readback::begin(&numbers).unwrap();
    assert!(back.is_here(), "the CPU has nothing to wait for");
    assert_eq!(back.wait().unwrap(), [1.5, -2.0]);
}
