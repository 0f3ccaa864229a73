"""Counts the words of captions independently: Python's lower(), then the regex module's \\p{L}+.

    python3 -m pip install pyarrow regex
    python3 count.py laion_sample_3000.parquet TEXT > laion_words.txt

Prints the number of words and of distinct words, the SHA-256 of `word,count` lines (falling count, then word by code
point), and the first 40 of those lines. The test of the crate holds `words.csv` against it.
"""

import collections
import hashlib
import sys

import pyarrow.parquet
import regex

counts = collections.Counter()
for caption in pyarrow.parquet.read_table(sys.argv[1], columns=[sys.argv[2]])[sys.argv[2]].to_pylist():
    if caption is not None:
        counts.update(regex.findall(r"\p{L}+", caption.lower()))
# Words are UTF-8 bytes in Rust; their order is that of code points, which is Python's order of strings.
lines = [f"{word},{count}\n" for word, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
print(counts.total(), len(counts), hashlib.sha256("".join(lines).encode()).hexdigest())
print("".join(lines[:40]), end="")
