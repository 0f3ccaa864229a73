#!/usr/bin/env python3
"""read_tensorboard.py FOLDER METRICS: TensorBoard's own reader on the event files of a run, against its metrics.jsonl.

Every scalar of every line must be there at its step, and nothing else: what a killed run wrote beyond its checkpoint is
dropped by the reader."""

import importlib.metadata
import json
import math
import pathlib
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import plain_tar

TAGS = {
    "loss": "train/loss",
    "accuracy": "train/accuracy",
    "logit_scale": "train/scale",
    "lr": "train/lr",
    "samples_per_s": "train/samples_per_second",
    "data_wait": "train/data_wait",
    "gradient_norm": "train/gradient_norm",
    "loss_scale": "train/loss_scale",
}


def f32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def wanted(metrics):
    """{tag: [(step, value)]} of the JSON lines."""
    series = {}
    for line in pathlib.Path(metrics).read_text().splitlines():
        line = json.loads(line)
        if line["kind"] == "step":
            tagged = {tag: line[name] for name, tag in TAGS.items() if name in line}
        else:
            tagged = {f"val/{name}": value for name, value in line["metrics"].items()}
        for tag, value in tagged.items():
            series.setdefault(tag, []).append((line["step"], math.nan if value is None else f32(value)))
    return series


def read(folder, metrics):
    # 0 keeps every point instead of a sample of them.
    events = EventAccumulator(folder, size_guidance={"scalars": 0})
    events.Reload()
    expected = wanted(metrics)
    plain_tar.expect(folder, "tags", sorted(events.Tags()["scalars"]), sorted(expected))
    points = 0
    for tag, series in expected.items():
        found = [(event.step, event.value) for event in events.Scalars(tag)]
        plain_tar.expect(folder, tag, found, series)
        points += len(series)
    version = importlib.metadata.version("tensorboard")
    files = len(list(pathlib.Path(folder).glob("*tfevents*")))
    return f"tensorboard {version}: {points} points of {len(expected)} tags from {files} files equal metrics.jsonl"


if __name__ == "__main__":
    plain_tar.report(lambda: read(sys.argv[1], sys.argv[2]))
