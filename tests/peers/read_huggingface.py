#!/usr/bin/env python3
"""read_huggingface.py TAR_FOLDER [PARQUET_FOLDER]: Hugging Face datasets streams the tars, and loads Parquet shards."""

import importlib.metadata
import io
import itertools
import json
import pathlib
import sys

import datasets
import PIL.Image
import PIL.ImageOps

import plain_tar

DECODED = {"jpg", "jpeg", "png", "webp"}


def pixels(image):
    # datasets applies the EXIF orientation while decoding.
    return PIL.ImageOps.exif_transpose(image).tobytes()


def read_tars(folder):
    tars = plain_tar.tars(folder)
    streamed = datasets.load_dataset(
        "webdataset", data_files={"train": [str(t) for t in tars]}, split="train", streaming=True
    )
    expected = ((tar, *sample) for tar in tars for sample in plain_tar.samples(tar))
    total = 0
    for row, (tar, key, members) in itertools.zip_longest(streamed, expected, fillvalue=(None, None, None)):
        if not isinstance(row, dict) or key is None:
            raise plain_tar.Difference(f"{folder}: {total} samples, then one side ends")
        plain_tar.expect(tar, "key", row["__key__"], key)
        for extension, data in members.items():
            value = row[extension]
            if extension in DECODED:
                same = pixels(value) == pixels(PIL.Image.open(io.BytesIO(data)))
                plain_tar.expect(tar, f"pixels of {key}.{extension} equal to PIL's", same, True)
            elif extension == "json":
                plain_tar.expect(tar, f"{key}.json", dict(value), json.loads(data))
            else:
                plain_tar.expect(tar, f"{key}.{extension}", value, data.decode())
        total += 1
    plain_tar.expect(folder, "the number of samples", total, sum(plain_tar.count(t) for t in tars))
    return f"{total} samples from {len(tars)} tars"


def read_parquet(folder):
    """Every row comes through, the image column casts to Image, and failures are the rows without one."""
    shards = sorted(pathlib.Path(folder).glob("*.parquet"))
    if not shards:
        raise plain_tar.Difference(f"{folder}: no *.parquet in it")
    table = datasets.load_dataset("parquet", data_files=[str(s) for s in shards], split="train", streaming=True)
    column = next(name for name in ("jpg", "png", "webp") if name in table.features)
    table = table.cast_column(column, datasets.Image())
    images = rows = 0
    for row in table:
        rows += 1
        where = f"{folder}, row {row['key']}"
        if row["status"] == "success":
            plain_tar.expect(where, "size", row[column].size, (row["width"], row["height"]))
            images += 1
        else:
            plain_tar.expect(where, "the image of a failed row", row[column], None)
    stats = [json.loads(s.with_name(f"{s.stem}_stats.json").read_text()) for s in shards]
    plain_tar.expect(folder, "rows", rows, sum(s["count"] for s in stats))
    plain_tar.expect(folder, "images", images, sum(s["successes"] for s in stats))
    return f"{images} images in {rows} rows of Parquet"


def read(folders):
    version = importlib.metadata.version("datasets")
    done = [read_tars(folders[0])] + [read_parquet(folder) for folder in folders[1:2]]
    return f"HF datasets {version}: {', '.join(done)}, all equal"


if __name__ == "__main__":
    plain_tar.report(lambda: read(sys.argv[1:]))
