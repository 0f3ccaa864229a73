//! Loads libtorch's CUDA library and the CUDA half of the shim, and lists the functions it found. A symbol that does not
//! resolve, there or here, is an error. `tests/peers/cuda.sh` runs it on a machine without a GPU.

use pairmill_train::torch::cuda::{self, Cuda, FUNCTIONS};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    match cuda::load() {
        Cuda::Loaded => {}
        Cuda::Absent => {
            return Err("no libtorch_cuda.so beside libtorch_cpu.so, or PAIRMILL_NO_CUDA is set".into());
        }
        Cuda::Unusable(why) => return Err(format!("libtorch_cuda.so does not load: {why}").into()),
    }
    let half = cuda::load_half()?;
    let missing = half.missing();
    if !missing.is_empty() {
        return Err(format!("the CUDA half lacks {missing:?}").into());
    }
    #[expect(clippy::print_stdout, reason = "its one line of output")]
    {
        println!(
            "libtorch_cuda and the CUDA half loaded, {} functions, {} GPUs",
            FUNCTIONS.len(),
            tch::Cuda::device_count()
        );
    }
    Ok(())
}
