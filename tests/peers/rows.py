#!/usr/bin/env python3
"""rows.py IMAGES CAPTIONS BASE_URL COUNT OUT.parquet: a table of COUNT rows whose URLs cycle through the files of the
folder IMAGES, served under BASE_URL, with the captions of the Parquet file CAPTIONS (column TEXT) and a running uid."""

import pathlib
import sys
import urllib.parse

import pyarrow as pa
import pyarrow.parquet as pq


def main():
    images, captions, base, count, out = sys.argv[1:]
    names = sorted(p.name for p in pathlib.Path(images).iterdir() if p.is_file())
    texts = pq.read_table(captions, columns=["TEXT"])["TEXT"].to_pylist()
    rows = range(int(count))
    table = pa.table(
        {
            "url": [f"{base}/{urllib.parse.quote(names[i % len(names)])}" for i in rows],
            "caption": [texts[i % len(texts)] for i in rows],
            "uid": pa.array(rows, pa.int64()),
        }
    )
    pq.write_table(table, out)


if __name__ == "__main__":
    main()
