#!/usr/bin/env python3
"""read_dali.py FOLDER: DALI's WebDataset reader with our `.idx` files delivers every member, byte for byte, and its
CPU decoder takes every image."""

import importlib.metadata
import re
import sys

from nvidia.dali import fn, pipeline_def

import plain_tar

BATCH = 16


@pipeline_def(batch_size=BATCH, num_threads=2, device_id=None)
def reader(paths, index_paths, extensions):
    members = fn.readers.webdataset(
        paths=paths, index_paths=index_paths, ext=extensions, missing_component_behavior="error", name="reader"
    )
    return (*members, fn.decoders.image(members[0], device="cpu"))


def read(folder):
    # DALI refuses a shard without samples, so leave those out.
    tars = [tar for tar in plain_tar.tars(folder) if plain_tar.count(tar)]
    indexes = [tar.with_suffix(".idx") for tar in tars]
    for index in indexes:
        plain_tar.expect(index, "the index file's presence", index.exists(), True)
    expected = [sample for tar in tars for sample in plain_tar.samples(tar)]
    image = next(e for e in ("jpg", "png", "webp") if e in expected[0][1])
    extensions = [image, *sorted(set(expected[0][1]) - {image})]
    pipeline = reader([str(t) for t in tars], [str(i) for i in indexes], extensions)
    pipeline.build()
    plain_tar.expect(folder, "the epoch size", pipeline.epoch_size("reader"), len(expected))
    for start in range(0, len(expected), BATCH):
        *members, decoded = pipeline.run()
        for row, (key, wanted) in enumerate(expected[start : start + BATCH]):
            for extension, column in zip(extensions, members, strict=True):
                data = column.at(row).tobytes()
                plain_tar.expect(folder, f"{key}.{extension}", plain_tar.digest(data), plain_tar.digest(wanted[extension]))
            plain_tar.expect(folder, f"channels of {key}", decoded.at(row).shape[2], 3)
    version = importlib.metadata.version("nvidia-dali-cuda120")
    return f"DALI {version} (CPU): {len(expected)} samples by index, every byte equal, every image decoded"


def read_or_say_why(folder):
    """DALI's errors run over many lines, the reason in the middle."""
    try:
        return read(folder)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reasons = [line for line in lines if re.search(r"^\[|Assert|rror[: ]|nvalid|annot", line)] or lines
        raise plain_tar.Difference(f"{folder}: DALI fails: {' / '.join(reasons)[:400]}") from None


if __name__ == "__main__":
    plain_tar.report(lambda: read_or_say_why(sys.argv[1]))
