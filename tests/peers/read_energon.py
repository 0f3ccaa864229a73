#!/usr/bin/env python3
"""read_energon.py FOLDER: our `.tar.idx` files equal those `energon prepare` makes, and Energon reads every sample
through them."""

import importlib.metadata
import io
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy
import PIL.Image
from megatron.energon import WorkerConfig, get_savable_loader, get_val_dataset

import plain_tar


def prepare(folder):
    command = [
        str(pathlib.Path(sys.executable).with_name("energon")),
        "prepare",
        "--non-interactive",
        "--no-progress",
        "--num-workers=1",
        "--split-ratio=1,0,0",
        "--sample-type=CaptioningSample",
        f"--field-map={json.dumps({'image': 'jpg', 'caption': 'txt'})}",
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise plain_tar.Difference(f"energon prepare fails: {(done.stderr or done.stdout).strip().splitlines()[-1]}")


def read(folder):
    tars = plain_tar.tars(folder)
    with tempfile.TemporaryDirectory() as scratch:
        copy = pathlib.Path(scratch)
        for tar in tars:
            shutil.copy(tar, copy)
        prepare(copy)
        for tar in tars:
            ours = tar.with_name(f"{tar.name}.idx")
            theirs = (copy / ours.name).read_bytes()
            plain_tar.expect(ours, "the index file's presence", ours.exists(), True)
            offsets = [numpy.frombuffer(data, "<u8").tolist() for data in (ours.read_bytes(), theirs)]
            plain_tar.expect(ours, "the sample offsets", *offsets)
            shutil.copy(ours, copy)

        workers = WorkerConfig(rank=0, world_size=1, num_workers=0)
        dataset = get_val_dataset(copy, split_part="train", worker_config=workers, batch_size=None)
        seen = {sample.__key__: sample for sample in get_savable_loader(dataset)}
        total = 0
        for tar in tars:
            for key, members in plain_tar.samples(tar):
                sample = seen.pop(f"{tar.name}/{key}", None) or seen.pop(key, None)
                plain_tar.expect(tar, f"presence of {key} in Energon's samples", sample is not None, True)
                plain_tar.expect(tar, f"{key}.txt", sample.caption, members["txt"].decode())
                width, height = PIL.Image.open(io.BytesIO(members["jpg"])).size
                plain_tar.expect(tar, f"height and width of {key}", tuple(sample.image.shape[-2:]), (height, width))
                total += 1
        plain_tar.expect(folder, "samples beyond those of the tars", sorted(seen), [])
    version = importlib.metadata.version("megatron-energon")
    return f"Energon {version}: {len(tars)} .tar.idx equal to its own, {total} samples read through them"


if __name__ == "__main__":
    plain_tar.report(lambda: read(sys.argv[1]))
