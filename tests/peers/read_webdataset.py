#!/usr/bin/env python3
"""read_webdataset.py FOLDER [--print]: webdataset sees exactly the samples of the tars, in their order.

With --print, one JSON line per sample: key and SHA-256 of each member."""

import importlib.metadata
import itertools
import json
import sys

import webdataset

import plain_tar


def read(folder, show):
    tars = plain_tar.tars(folder)
    dataset = webdataset.WebDataset([str(t) for t in tars], shardshuffle=False)
    expected = ((tar, key, members) for tar in tars for key, members in plain_tar.samples(tar))
    total = 0
    for sample, (tar, key, members) in itertools.zip_longest(dataset, expected, fillvalue=(None, None, None)):
        if not isinstance(sample, dict) or key is None:
            raise plain_tar.Difference(f"{folder}: {total} samples, then one side ends")
        seen = {name: data for name, data in sample.items() if not name.startswith("__")}
        plain_tar.expect(tar, "key", sample["__key__"], key)
        plain_tar.expect(tar, f"the members of {key}", sorted(seen), sorted(members))
        for extension, data in members.items():
            plain_tar.expect(tar, f"{key}.{extension}", plain_tar.digest(seen[extension]), plain_tar.digest(data))
        if show:
            print(json.dumps({"key": key} | {e: plain_tar.digest(d) for e, d in sorted(seen.items())}))
        total += 1
    promised = sum(plain_tar.count(tar) for tar in tars)
    plain_tar.expect(folder, "the number of samples", total, promised)
    version = importlib.metadata.version("webdataset")
    return f"webdataset {version}: {total} samples in {len(tars)} tars, every byte equal"


if __name__ == "__main__":
    plain_tar.report(lambda: read(sys.argv[1], "--print" in sys.argv[2:]))
