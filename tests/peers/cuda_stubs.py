#!/usr/bin/env python3
"""Lets `import torch` of the PyPI CUDA wheel work on a machine without CUDA's libraries (2 GB less to install).

Usage: cuda_stubs.py SITE_PACKAGES

torch's Python library links cuBLAS, cuDNN, NCCL and the rest even when only the CPU is used. This writes, into
torch/lib, a library of each missing name whose functions have the right names and symbol versions and abort when
called. Needs cc and readelf, and the packages nvidia-cuda-runtime and nvidia-cuda-cupti, which are used for real.
"""

import collections
import pathlib
import re
import subprocess
import sys
import tempfile

# The libraries of the wheel that link CUDA, and those that only define symbols for them.
LINK_CUDA = ["libtorch_cuda.so", "libtorch_cuda_linalg.so", "libtorch_nvshmem.so", "libtorch_python.so"]
DEFINE_ONLY = ["libc10.so", "libc10_cuda.so", "libtorch_cpu.so", "libtorch.so", "libshm.so"]
REAL = ["libcudart.so.13", "libcupti.so.13"]

# Functions without a symbol version are told apart by their prefix; the longest that fits counts.
LIBRARY_OF_PREFIX = {
    "cublas": "libcublas.so.13",
    "cublasLt": "libcublasLt.so.13",
    "cudnn": "libcudnn.so.9",
    "cuFile": "libcufile.so.0",
    "cufft": "libcufft.so.12",
    "curand": "libcurand.so.10",
    "cusolver": "libcusolver.so.12",
    "cusparse": "libcusparse.so.12",
    "cusparseLt": "libcusparseLt.so.0",
    "nccl": "libnccl.so.2",
    "nvshmem": "libnvshmem_host.so.3",
    "pnccl": "libnccl.so.2",
}


def readelf(flag, library):
    command = ["readelf", "-W", flag, str(library)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def symbols(library):
    """(name, version, defined, binding) of each dynamic symbol."""
    for line in readelf("--dyn-syms", library).splitlines():
        column = line.split()
        if len(column) >= 8 and re.fullmatch(r"\d+:", column[0]):
            name, _, version = column[7].partition("@")
            yield name, version.lstrip("@"), column[6] != "UND", column[4]


def missing_functions(torch_lib, cuda_lib):
    """Library name -> set of (version, function) that nothing installed defines."""
    defined = set()
    for library in [torch_lib / n for n in DEFINE_ONLY + LINK_CUDA] + [cuda_lib / n for n in REAL]:
        defined |= {name for name, _, is_defined, _ in symbols(library) if is_defined}
    missing = collections.defaultdict(set)
    for user in LINK_CUDA:
        for name in re.findall(r"\(NEEDED\).*\[(.*)\]", readelf("-d", torch_lib / user)):
            if re.match(r"lib(cu|nccl|nvshmem)", name) and name not in REAL:
                missing[name]  # a library that is named must exist, even without functions
    for user in LINK_CUDA:
        for name, version, is_defined, binding in symbols(torch_lib / user):
            if is_defined or binding != "GLOBAL" or name in defined:
                continue
            prefixes = [p for p in LIBRARY_OF_PREFIX if name.startswith(p)]
            if version in missing:
                missing[version].add((version, name))
            elif prefixes:
                missing[LIBRARY_OF_PREFIX[max(prefixes, key=len)]].add((version, name))
    return missing


def write_stub(path, functions):
    by_version = collections.defaultdict(list)
    for version, name in sorted(functions):
        by_version[version].append(name)
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "stub.c")
        body = "".join(
            f'void {name}(void) {{ fputs("stub of {name} called\\n", stderr); abort(); }}\n'
            for _, name in sorted(functions)
        )
        source.write_text("#include <stdio.h>\n#include <stdlib.h>\n" + body)
        command = ["cc", "-shared", "-fPIC", "-O1", "-s", "-w", f"-Wl,-soname,{path.name}", "-o", str(path)]
        versions = "".join(f"{v} {{ global: {'; '.join(n)}; }};\n" for v, n in by_version.items() if v)
        if versions:
            script = pathlib.Path(folder, "stub.map")
            script.write_text(versions)
            command.append(f"-Wl,--version-script,{script}")
        subprocess.run([*command, str(source)], check=True)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    site_packages = pathlib.Path(sys.argv[1])
    torch_lib = site_packages / "torch" / "lib"
    for library, functions in sorted(missing_functions(torch_lib, site_packages / "nvidia/cu13/lib").items()):
        write_stub(torch_lib / library, functions)


if __name__ == "__main__":
    main()
