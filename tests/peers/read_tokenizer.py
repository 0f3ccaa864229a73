#!/usr/bin/env python3
"""read_tokenizer.py TOKENIZE CAPTIONS.json TABLE.tsv...: our token ids against those of open_clip's tokenizer.

TOKENIZE is the built example of pairmill-tokens. Captions: the real ones; those of the world's tables; both mangled, by
reading their UTF-8 in another encoding once or twice and losing a byte or a no-break space; and strings of characters
that mean something to the cleaning, or of any. Both truncations.

Python's Unicode and that of the `regex` package differ from each other and from ours, so captions whose cleaned text has
a character unknown to Python are left out and counted.
"""

import csv
import html.entities
import importlib.metadata
import json
import random
import subprocess
import sys
import unicodedata

import ftfy.bad_codecs  # noqa: F401, it registers the sloppy encodings
from open_clip.tokenizer import SimpleTokenizer

import plain_tar

ENCODINGS = ["latin-1", *(f"sloppy-windows-{n}" for n in (1250, 1251, 1252, 1253, 1254, 1257)), "iso-8859-2",
             "macroman", "cp437"]
FOREIGN = [
    "Zażółć gęślą jaźń", "Привет, мир — это тест", "Καλημέρα κόσμε ΟΔΥΣΣΕΥΣ", "「東京」の写真", "مرحبا بالعالم", "नमस्ते दुनिया",
    "ภาษาไทย", "한국어 텍스트", "İstanbul IŞIK", "“it’s” – ‘so’ … •", "€100 £20 ½ 10³", "😀👍🏽🇩🇪", "à la carte déjà vu", "Ņēķļš",
]
SPECIAL = [
    "<start_of_text>", "<end_of_text>", "<", "'s", "'ſ", "'LL", "\u0345", "Σ", "ς", "İ", "K", "\u0301", "_", "1²Ⅷ", "&amp;", "&#x41;",
    "&#0;", "&eacute", "&notit;", "&EACUTE;", "&#128;", "&am", "&;", "&#;", "&#xfdd0;", "\x1b[1;3m", "\x1b[", "\t", "\r",
    "\x0b", "\x1a", "\x1f", "\x7f", "\x85", "\u2028", "\u3000", "\xa0", "\xad", "ﬁ", "ŉ", "Ａ", "ｶﾞ", "\u02bc", "\ufeff",
    "\ufffd", "Ã ", " Â ", "â€", "Ð", "Ø§Ù", "┬", "√±", "¬†", "вЂ",
]
SEED, MANGLED, INVENTED = 20, 12_000, 20_000


def mangle(choose, text):
    for _ in range(choose.choice([1, 1, 1, 2])):
        text = text.encode().decode(choose.choice(ENCODINGS), "replace")
    if choose.random() < 0.3:
        text = text.replace("\xa0", " ")
    if choose.random() < 0.1:
        text = text.replace("\ufffd", "?")
    return text


def invent(choose, misread, assigned):
    pick = {
        "misread": lambda: choose.choice(misread),
        "special": lambda: choose.choice(SPECIAL),
        "any": lambda: choose.choice(assigned),
        "ascii": lambda: chr(choose.randrange(32, 127)),
        "entity": lambda: "&" + choose.choice(list(html.entities.html5)).rstrip(choose.choice([";", ""])),
    }
    kinds = choose.choices(list(pick), k=2)
    return "".join(pick[choose.choice(kinds)]() for _ in range(choose.randrange(1, 14)))


def captions(real, tables):
    choose = random.Random(SEED)
    world = [row["caption"] for table in tables for row in csv.DictReader(open(table, newline=""), delimiter="\t")]
    yield from (("real", text) for text in real)
    yield from (("world", text) for text in world)
    wide = [text for text in real + world if not text.isascii()] + FOREIGN * 20
    for _ in range(MANGLED):
        text = mangle(choose, choose.choice(wide) + choose.choice(["", " " + choose.choice(FOREIGN)]))
        yield "mangled", choose.choice(["", choose.choice(real) + " "]) + text
    misread = sorted({c for name in ENCODINGS for c in bytes(range(128, 256)).decode(name, "replace")})
    assigned = [chr(c) for c in range(1, 0x30000) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]
    for _ in range(INVENTED):
        yield "invented", invent(choose, misread, assigned)


def rows_of(command, lines):
    output = subprocess.run(command, input="".join(lines).encode(), capture_output=True, check=True).stdout
    return [[int(number) for number in line.split()] for line in output.splitlines()]


def compare(tokenize, real, tables):
    reference = SimpleTokenizer()
    counts, skipped, lines, wanted = {}, 0, [], []
    for kind, text in captions(real, tables):
        text = text.replace("\n", " ")
        if any(unicodedata.category(c) == "Cn" for c in reference.clean_fn(text)):
            skipped += 1
            continue
        counts[kind] = counts.get(kind, 0) + 1
        lines.append(text + "\n")
        wanted.append([reference.sot_token_id, *reference.encode(text), reference.eot_token_id])
    for truncation in ("end-token", "cut"):
        rows = rows_of([tokenize, truncation, "2"], lines)
        plain_tar.expect(truncation, "the number of rows", len(rows), len(lines))
        for line, row, ids in zip(lines, rows, wanted, strict=True):
            if truncation == "end-token" and len(ids) > 77:
                ids = [*ids[:76], reference.eot_token_id]
            plain_tar.expect(f"{truncation}, {ascii(line)}", "the row", row, [*ids[:77], *[0] * (77 - len(ids))])
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("open_clip_torch", "ftfy", "regex"))
    kinds = ", ".join(f"{number} {kind}" for kind, number in counts.items())
    return f"{versions}: {kinds} captions equal, both truncations ({skipped} with characters too new for Python left out)"


if __name__ == "__main__":
    with open(sys.argv[2], encoding="utf-8") as file:
        REAL = json.load(file)
    plain_tar.report(lambda: compare(sys.argv[1], REAL, sys.argv[3:]))
