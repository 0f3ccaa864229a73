//! The CUDA half without a GPU: it was compiled, and everything it leaves open is defined by a library that is there at
//! run time, by name. `./justw test-cuda-half` loads it for good.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

/// Names of a library's dynamic symbols, without versions.
#[derive(Default)]
struct Symbols {
    defined: BTreeSet<String>,
    /// Weak ones may stay open.
    wanted: BTreeSet<String>,
}

impl Symbols {
    fn of(library: &Path) -> Self {
        let output = Command::new("readelf").args(["-W", "--dyn-syms"]).arg(library).output().unwrap();
        assert!(output.status.success(), "readelf {}", library.display());
        let mut found = Self::default();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            // Num: Value Size Type Bind Vis Ndx Name[@version]
            if let [number, _, _, _, bind, _, section, name, ..] =
                line.split_whitespace().collect::<Vec<_>>()[..]
                && number.ends_with(':')
            {
                let name = name.split('@').next().unwrap_or(name).to_string();
                match (section, bind) {
                    ("UND", "GLOBAL") => found.wanted.insert(name),
                    ("UND", _) => false,
                    _ => found.defined.insert(name),
                };
            }
        }
        found
    }
}

/// The libraries of the process, and those of PyTorch's that come with CUDA.
fn libraries() -> Vec<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut all: BTreeSet<PathBuf> =
        maps.lines().filter_map(|line| line.find('/').map(|at| PathBuf::from(&line[at..]))).collect();
    all.retain(|path| path.to_string_lossy().contains(".so"));
    let torch = all.iter().find(|path| path.ends_with("libtorch_cpu.so")).unwrap().clone();
    all.insert(torch.with_file_name("libtorch_cuda.so"));
    all.insert(torch.with_file_name("libc10_cuda.so"));
    all.into_iter().filter(|path| path.exists()).collect()
}

/// Symbols that `half` wants and nobody has. NCCL's library need not be installed: what libtorch_cuda itself wants of
/// it is there wherever libtorch_cuda can be loaded.
fn unresolved(half: &Symbols, libraries: &BTreeMap<String, Symbols>) -> Vec<String> {
    let nccl = |name: &str| {
        name.starts_with("nccl") && libraries.get("libtorch_cuda.so").is_some_and(|l| l.wanted.contains(name))
    };
    half.wanted
        .iter()
        .filter(|name| !libraries.values().any(|library| library.defined.contains(*name)) && !nccl(name))
        .cloned()
        .collect()
}

#[test]
fn every_symbol_of_the_cuda_half_exists() {
    if CUDA_HALF.is_empty() || Command::new("readelf").arg("--version").output().is_err() {
        eprintln!("SKIPPED: CUDA's headers or readelf are not installed, so the CUDA half was NOT checked");
        return;
    }
    // The shim's CPU half is linked, so libtorch_cpu is in the process.
    assert!(super::super::rng::state(tch::Device::Cpu).is_ok());
    let mut half = Symbols::of(Path::new(env!("PAIRMILL_CUDA_HALF")));
    for name in FUNCTIONS {
        assert!(half.defined.contains(name.to_str().unwrap()), "{name:?} is not in the CUDA half");
    }
    let libraries: BTreeMap<String, Symbols> = libraries()
        .iter()
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), Symbols::of(path)))
        .collect();
    if !libraries.contains_key("libtorch_cuda.so") {
        eprintln!("SKIPPED: this libtorch has no libtorch_cuda.so, so the CUDA half was NOT checked");
        return;
    }
    assert!(half.wanted.iter().any(|name| name.contains("ProcessGroupNCCL")), "NCCL is in the half");
    assert_eq!(unresolved(&half, &libraries), Vec::<String>::new());
    // The check can fail.
    for name in ["_ZN4c10d16ProcessGroupNCCL7nowhereEv", "ncclNowhere"] {
        half.wanted.insert(name.to_string());
    }
    assert_eq!(unresolved(&half, &libraries).len(), 2);
}
