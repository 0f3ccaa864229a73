//! Gradient checkpointing: a part of a model whose inner results are thrown away and computed again in backward. Time
//! for memory: one more forward pass, and only the part's input is kept.

use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};

use libc::{c_int, c_void};
use tch::Tensor;
use torch_sys::C_tensor;

use super::{TorchError, ffi, length, own, raw, raw_all};

/// Whether a part is computed for the first time or again, in backward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// For its output.
    First,
    /// For the gradients; what the first pass left behind (running statistics) must not be left twice.
    Again,
}

type Part = Box<dyn Fn(&Tensor, Pass) -> Result<Tensor, TorchError> + Send>;

/// `part` of `input`, keeping nothing of it for backward but `input`. `parameters` are the leaves that `part` uses:
/// those not listed get no gradient. In backward `part` runs again, on libtorch's thread, under the autocast of now.
/// It must return a fresh tensor and give the same values both times.
///
/// # Errors
/// Those of `part`; in backward they are the backward's.
pub fn recomputed(
    input: &Tensor,
    parameters: &[Tensor],
    part: impl Fn(&Tensor, Pass) -> Result<Tensor, TorchError> + Send + 'static,
) -> Result<Tensor, TorchError> {
    let list = raw_all(parameters);
    let n = length(list.len())?;
    let part: Part = Box::new(part);
    let context = Box::into_raw(Box::new(part)).cast::<c_void>();
    // SAFETY: n + 1 live tensors; the shim calls `run` with the context until it calls `drop_part` once, also when it
    // fails; returns an owned tensor.
    own(unsafe { ffi::pm_recomputed(raw(input), list.as_ptr(), n, context, run, drop_part) })
}

extern "C" fn run(context: *mut c_void, input: *mut C_tensor, again: c_int) -> *mut C_tensor {
    // SAFETY: the context is the box of `recomputed`, alive until `drop_part`; the shim gives up the input.
    let (part, input) = unsafe { (&*context.cast::<Part>(), own(input)) };
    let pass = if again == 0 { Pass::First } else { Pass::Again };
    // A panic must not cross into C++.
    let output = catch_unwind(AssertUnwindSafe(|| part(&input?, pass)))
        .unwrap_or_else(|_| Err(TorchError("a recomputed part panicked".to_string())));
    match output {
        Ok(tensor) => {
            let pointer = raw(&tensor);
            std::mem::forget(tensor);
            pointer
        }
        Err(TorchError(message)) => {
            let message = CString::new(message.replace('\0', " ")).unwrap_or_default();
            // SAFETY: the string lives for the call, which copies it.
            unsafe { ffi::pm_fail(message.as_ptr()) };
            std::ptr::null_mut()
        }
    }
}

extern "C" fn drop_part(context: *mut c_void) {
    // SAFETY: made by Box::into_raw in `recomputed`, dropped once.
    drop(unsafe { Box::from_raw(context.cast::<Part>()) });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tch::{Device, Kind};

    use super::super::autocast::Autocast;
    use super::*;

    const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

    #[test]
    fn gradients_are_those_of_the_part_and_it_runs_again_for_them() {
        let x = Tensor::rand([3, 4], CPU).set_requires_grad(true);
        let w = Tensor::rand([4, 4], CPU).set_requires_grad(true);
        let again = Arc::new(AtomicUsize::new(0));
        let (counter, weight) = (Arc::clone(&again), w.shallow_clone());
        let part = move |x: &Tensor, pass: Pass| {
            if pass == Pass::Again {
                counter.fetch_add(1, Ordering::Relaxed);
            }
            Ok(x.f_matmul(&weight)?.f_sigmoid()?)
        };
        let y = recomputed(&x, &[w.shallow_clone()], part).unwrap();
        assert_eq!(again.load(Ordering::Relaxed), 0);
        (&y * &y).sum(Kind::Float).backward();
        let found = [x.grad().copy(), w.grad().copy()];
        assert_eq!(again.load(Ordering::Relaxed), 1);

        super::super::gradients::drop_gradients(&[x.shallow_clone(), w.shallow_clone()]).unwrap();
        let y = x.matmul(&w).sigmoid();
        (&y * &y).sum(Kind::Float).backward();
        assert_eq!(found, [x.grad(), w.grad()]);
    }

    #[test]
    fn the_second_run_is_under_the_autocast_of_the_first() {
        let x = Tensor::rand([8, 8], CPU).set_requires_grad(true);
        let w = Tensor::rand([8, 8], CPU).set_requires_grad(true);
        let run = |whole: bool| {
            super::super::gradients::drop_gradients(&[x.shallow_clone(), w.shallow_clone()]).unwrap();
            let y = {
                let _autocast = Autocast::begin(Device::Cpu, Kind::BFloat16).unwrap();
                let weight = w.shallow_clone();
                let part = move |x: &Tensor, _: Pass| Ok(x.f_matmul(&weight)?.f_sigmoid()?);
                if whole {
                    part(&x, Pass::First).unwrap()
                } else {
                    recomputed(&x, &[w.shallow_clone()], part).unwrap()
                }
            };
            assert_eq!(y.kind(), Kind::BFloat16);
            y.to_kind(Kind::Float).sum(Kind::Float).backward();
            [x.grad().copy(), w.grad().copy()]
        };
        assert_eq!(run(true), run(false));
    }

    #[test]
    fn a_failing_part_fails_with_its_words() {
        let x = Tensor::rand([3], CPU).set_requires_grad(true);
        let error = recomputed(&x, &[], |_, _| Err(TorchError("no such luck".to_string()))).unwrap_err();
        assert!(error.0.contains("no such luck"), "{error}");
        let y = recomputed(&x, &[], |x, pass| match pass {
            Pass::First => Ok(x.f_exp()?),
            Pass::Again => Err(TorchError("not twice".to_string())),
        })
        .unwrap();
        let error = TorchError::from(y.sum(Kind::Float).f_backward().unwrap_err());
        assert!(error.0.contains("not twice"), "{error}");
    }
}
