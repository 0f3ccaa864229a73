#!/usr/bin/env python3
"""token_reference.py CAPTIONS.json [> tests/pipeline/tokens_laion.txt]: open_clip's ids of real captions, as hashes.

One line for every ten captions: 64-bit FNV-1a of their ids, each caption as start token, ids and end token, not
truncated, 16 bits little-endian. The captions are the TEXT column of the 3,000 real ones as a JSON list (any Python with
pyarrow: `json.dump(pyarrow.parquet.read_table(P).column("TEXT").to_pylist(), file)`); they are not ours to commit. Runs
in the venv `install.sh open_clip` makes. `--merges` instead prints the hash that tokens/build.rs holds.
"""

import json
import struct
import sys

from open_clip import tokenizer as reference

BLOCK = 10


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def merges():
    tokenizer = reference.SimpleTokenizer()
    data = b"".join(struct.pack("<HH", *(tokenizer.encoder[part] for part in pair)) for pair in tokenizer.bpe_ranks)
    return f"{fnv(data):#x}"


def hashes(captions):
    tokenizer = reference.SimpleTokenizer()
    for start in range(0, len(captions), BLOCK):
        rows = [[tokenizer.sot_token_id, *tokenizer.encode(caption or ""), tokenizer.eot_token_id]
                for caption in captions[start : start + BLOCK]]
        yield fnv(b"".join(struct.pack(f"<{len(row)}H", *row) for row in rows))


if __name__ == "__main__":
    if sys.argv[1:] == ["--merges"]:
        print(merges())
    else:
        with open(sys.argv[1], encoding="utf-8") as file:
            captions = json.load(file)
        print(*(f"{value:016x}" for value in hashes(captions)), sep="\n")
