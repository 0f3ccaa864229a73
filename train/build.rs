//! Compiles the C++ shim of `src/torch` against the libtorch that LIBTORCH names (the `torch` folder of a PyTorch
//! wheel), and the CUDA half of it where CUDA's headers lie beside that folder.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};

const SHIM: &str = "src/torch/shim";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={SHIM}");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let torch = PathBuf::from(env::var("LIBTORCH").map_err(
        |_| "LIBTORCH is not set: build through `./justw`, or name the torch folder of PyTorch 2.11.0 in it",
    )?);
    let includes = [torch.join("include"), torch.join("include/torch/csrc/api/include")];
    if !includes[1].is_dir() {
        return Err(format!("LIBTORCH={} holds no C++ headers of PyTorch", torch.display()).into());
    }

    println!("cargo:rustc-env=PAIRMILL_TORCH_VERSION={}", version(&includes[0])?);
    compiler(&includes)
        .include(format!("{SHIM}/gloo_stub"))
        .files(["tensors.cpp", "distributed.cpp", "recompute.cpp"].map(|file| format!("{SHIM}/{file}")))
        .try_compile("pairmill_shim")?;
    println!("cargo:rustc-link-lib=dylib=torch_cpu");
    println!("cargo:rustc-link-lib=dylib=c10");

    cuda_half(&torch, &includes)?;

    // Where libtorch lay at build time. It becomes a RUNPATH, which LD_LIBRARY_PATH overrides on another machine.
    let lib = torch.join("lib");
    println!("cargo:rustc-link-arg=-Wl,--enable-new-dtags,-rpath,{}", lib.display());
    Ok(())
}

/// PyTorch's version by its headers, for the records of runs.
fn version(include: &Path) -> Result<String, Box<dyn Error>> {
    let header = include.join("torch/headeronly/version.h");
    let text = std::fs::read_to_string(&header).map_err(|error| format!("{}: {error}", header.display()))?;
    let part = |name: &str| {
        let prefix = format!("#define TORCH_VERSION_{name} ");
        let number = text.lines().find_map(|line| line.strip_prefix(&prefix)).map(str::trim);
        number.ok_or_else(|| format!("{}: no TORCH_VERSION_{name}", header.display()))
    };
    Ok(format!("{}.{}.{}", part("MAJOR")?, part("MINOR")?, part("PATCH")?))
}

fn compiler(includes: &[PathBuf]) -> cc::Build {
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").warnings(false).opt_level(1).debug(false).pic(true).includes(includes);
    build
}

/// A shared object with open symbols, embedded in the binary (`cuda.rs`); an empty file where it cannot be built.
fn cuda_half(torch: &Path, includes: &[PathBuf]) -> Result<(), Box<dyn Error>> {
    let object = PathBuf::from(env::var("OUT_DIR")?).join("libpairmill_cuda.so");
    println!("cargo:rustc-env=PAIRMILL_CUDA_HALF={}", object.display());
    let nvidia = torch.join("../nvidia");
    let cuda = nvidia.join("cu13/include");
    if !cuda.join("cuda_runtime_api.h").is_file() || !cuda.join("crt/host_defines.h").is_file() {
        std::fs::write(&object, b"")?;
        return Ok(());
    }
    let mut build = compiler(includes);
    build.include(&cuda);
    // NCCL's process group wants the headers of more libraries. A full install of PyTorch has them; otherwise the
    // declarations in cuda_stub, which come last, do.
    build.include(nvidia.join("nccl/include")).include(format!("{SHIM}/cuda_stub"));
    let status = build
        .get_compiler()
        .to_command()
        .args(["-shared", "-s", "-o"])
        .arg(&object)
        .arg(format!("{SHIM}/cuda.cpp"))
        .status()?;
    if !status.success() {
        return Err(format!("the CUDA half of the shim does not compile against {}", cuda.display()).into());
    }
    Ok(())
}
