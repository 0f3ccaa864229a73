#!/usr/bin/env python3
"""compare_img2dataset.py TABLE SCRATCH: the same run by both tools, row for row.

Sidecar columns of img2dataset come first, in its order and with its types, and hold the same values; the JSON of each
sample is the same text; the images have the same size and differ by less than JPEG noise. Of EXIF tags, which another
library prints in other words, only some are compared.
Needs PAIRMILL_INGEST, the path of the binary."""

import importlib.metadata
import json
import pathlib
import shutil
import sys

import cv2
import numpy as np
import pyarrow.parquet as pq

import both_tools
import plain_tar

# Two codecs at quality 95 on the same resize stay above this; a shifted or blurred image falls below.
MIN_PSNR_DB = 33.0
SAME_TAGS = ["Image Make", "Image Model", "Image Orientation", "Image DateTime", "EXIF ExposureTime", "EXIF ExifImageWidth"]


def decode(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).astype(np.float64)


def psnr(a, b):
    error = np.mean((a - b) ** 2)
    return 99.0 if error == 0 else 10 * np.log10(255**2 / error)


def without_exif(row):
    """The row, its EXIF reduced to tags that every library prints alike."""
    tags = json.loads(row.get("exif") or "{}")
    return row | {"exif": {tag: tags.get(tag) for tag in SAME_TAGS}}


def compare_shard(theirs, ours, shard):
    name = f"shard {shard:05d}"
    schemas = [pq.read_schema(folder / f"{shard:05d}.parquet") for folder in (theirs, ours)]
    fields = [[(f.name, str(f.type)) for f in schema] for schema in schemas]
    plain_tar.expect(name, "the first sidecar columns", fields[1][: len(fields[0])], fields[0])
    their_rows, our_rows = (both_tools.sidecar(folder, shard) for folder in (theirs, ours))
    for key, row in their_rows.items():
        our_row = {column: our_rows[key][column] for column in row}
        plain_tar.expect(name, f"the sidecar row {key}", without_exif(our_row), without_exif(row))
    their_samples, our_samples = (dict(plain_tar.samples(folder / f"{shard:05d}.tar")) for folder in (theirs, ours))
    quality = []
    for key, members in their_samples.items():
        plain_tar.expect(name, f"the members of {key}", sorted(our_samples[key]), sorted(members))
        plain_tar.expect(name, f"{key}.txt", our_samples[key]["txt"], members["txt"])
        texts = [sample["json"].decode() for sample in (our_samples[key], members)]
        fields = [json.loads(text) for text in texts]
        plain_tar.expect(name, f"{key}.json", *(without_exif(f) for f in fields))
        # But for the EXIF the text is the same to the byte.
        bare = [text.replace(json.dumps(f.get("exif")), "") for text, f in zip(texts, fields)]
        plain_tar.expect(name, f"the text of {key}.json", *bare)
        pictures = [decode(sample["jpg"]) for sample in (members, our_samples[key])]
        plain_tar.expect(name, f"height and width of {key}.jpg", pictures[1].shape, pictures[0].shape)
        quality.append(psnr(*pictures))
        if quality[-1] < MIN_PSNR_DB:
            raise plain_tar.Difference(f"{name}: {key}.jpg is {quality[-1]:.1f} dB from img2dataset's")
    return quality


def compare(table, scratch):
    table = pathlib.Path(table)
    theirs, ours = (pathlib.Path(scratch, name) for name in ("compare-theirs", "compare-ours"))
    for folder in (theirs, ours):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    both_tools.run(both_tools.their_command(table, theirs))
    both_tools.run(both_tools.our_command(table, ours))
    quality = [db for shard in range(both_tools.shards_of(table)) for db in compare_shard(theirs, ours, shard)]
    both_tools.account(ours, table)
    version = importlib.metadata.version("img2dataset")
    return (
        f"img2dataset {version}: {len(quality)} samples with equal JSON, captions and sidecar rows; "
        f"images {np.median(quality):.1f} dB apart (median), {min(quality):.1f} (worst)"
    )


if __name__ == "__main__":
    plain_tar.report(lambda: compare(*sys.argv[1:]))
