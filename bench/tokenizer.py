"""open_clip's tokenizer and Pairmill's on the same captions in one run, one thread; called by tokenizer.sh.

Writes bench/<date>-tokenizer/README.md. What is measured is the thread's CPU time from caption to row of 77 ids in
memory; start-up and reading are not counted. Both tools see each set once as new tokenizers, then again.
"""

import argparse
import csv
import datetime
import importlib.metadata
import os
import pathlib
import random
import subprocess
import sys
import time

from open_clip.tokenizer import SimpleTokenizer
from setting import git_commit, machine

HERE = pathlib.Path(__file__).parent
GOAL = 100
SOURCES = ["laion", "wit", "yfcc", "redcaps", "cc12m"]


def arguments():
    parser = argparse.ArgumentParser(prog="./justw bench-tokenizer", description=__doc__.splitlines()[0])
    parser.add_argument("--distinct", type=int, default=40_000, help="distinct captions of the world [%(default)s]")
    parser.add_argument("--runs", type=int, default=3, help="turns of both tools, the best counts [%(default)s]")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / f"{datetime.date.today().isoformat()}-tokenizer")
    parser.add_argument("--work", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--tokenize", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def distinct_captions(work, number):
    """The world's captions, each once, shuffled."""
    seen = {}
    for source in SOURCES:
        with open(work / f"{source}.tsv", newline="") as table:
            seen.update(dict.fromkeys(row["caption"].replace("\n", " ") for row in csv.DictReader(table, delimiter="\t")))
    captions = list(seen)
    random.Random(1).shuffle(captions)
    return captions[:number]


def theirs(captions):
    """Microseconds of CPU a caption, first and second time round."""
    tokenizer, times = SimpleTokenizer(), []
    for _ in range(2):
        began = time.thread_time()
        for caption in captions:
            tokenizer(caption)
        times.append((time.thread_time() - began) / len(captions) * 1e6)
    return times


def ours(tokenize, captions):
    text = "\n".join(captions).encode()
    done = subprocess.run([tokenize, "time", "2"], input=text, capture_output=True, check=True)
    numbers = dict(line.split(maxsplit=1) for line in done.stdout.decode().splitlines())
    return [float(numbers[name].removesuffix(" ns")) / 1000 for name in ("first", "later")], numbers["start-up"]


def main():
    args = arguments()
    load = os.getloadavg()[0]
    real = (args.work / "real.txt").read_text().splitlines()
    sets = {"real web captions": real, "distinct captions of the world": distinct_captions(args.work, args.distinct)}
    rows, start_up = [], ""
    for name, captions in sets.items():
        turns = []
        for _ in range(args.runs):
            mine, start_up = ours(args.tokenize, captions)
            turns.append((theirs(captions), mine))
        for index, turn in enumerate(("first time", "again")):
            reference, mine = (min(t[tool][index] for t in turns) for tool in (0, 1))
            rows.append(f"| {name}, {turn} | {len(captions):,} | {reference:.1f} | {mine:.3f} | {1e6 / reference:,.0f} "
                        f"| {1e6 / mine:,.0f} | {reference / mine:.0f} |")
    versions = " · ".join(f"{name} {importlib.metadata.version(name)}" for name in ("open_clip_torch", "ftfy", "regex"))
    wide = sum(not caption.isascii() for caption in real) / len(real)
    given = sys.argv[1:][sys.argv[1:].index("--tokenize") + 2 :]
    text = [
        f"# Tokenizer against open_clip, {datetime.date.today().isoformat()}", "",
        " ".join(["    ./justw bench-tokenizer", *given]), "",
        f"{machine()}; Pairmill {git_commit()}; Python {sys.version.split()[0]} · {versions}. Load average before "
        f"and after: {load:.1f}, {os.getloadavg()[0]:.1f}.", "",
        f"CPU time of one thread from caption to row of 77 ids in memory, the best of {args.runs} turns of both tools. Of the "
        f"real captions {wide:.0%} are not plain ASCII. *First time*: new tokenizers, each caption once (Pairmill's cache begins "
        f"with the vocabulary's words); *again*: the same captions with warm caches. Building Pairmill's tables takes {start_up}.", "",
        "| captions | number | open_clip, µs | Pairmill, µs | open_clip / CPU-s | Pairmill / CPU-s | ratio |",
        "|---|---|---|---|---|---|---|", *rows, "", f"Goal: at least {GOAL} times.",
    ]
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "README.md").write_text("\n".join(text) + "\n")
    print((args.out / "README.md").read_text())


if __name__ == "__main__":
    main()
