"""Words of captions: Pairmill against Polars and DuckDB, memory with a Zipf vocabulary, scaling, nouns against NLTK.

Every tool runs with one thread, in turn, on the same file, and the counts are compared. CPU seconds of Pairmill are
those of the whole process; those of a peer are given twice, for the whole process and for the work alone (without
starting Python and importing), and ratios are to the smaller one.
"""

import argparse
import datetime
import os
import pathlib
import platform
import random
import statistics

import measure
import numpy
import pyarrow
import pyarrow.compute
import pyarrow.parquet

HERE = pathlib.Path(__file__).resolve().parent
COLUMN = "TEXT"
ZIPF_WORDS_EACH = 10
# So that starting the process and writing the words do not count for much.
SCALING_TIMES = 8


def write_varied(path, real, num):
    """`num` captions: a real one, with words moved, replaced by words of other captions, or cut off."""
    draw = random.Random(7)
    captions = [c for c in pyarrow.parquet.read_table(real)[COLUMN].to_pylist() if c]
    words = [word for caption in captions for word in caption.split()]
    varied = []
    for _ in range(num):
        text = draw.choice(captions).split(" ")
        for _ in range(draw.randrange(3)):
            text[draw.randrange(len(text))] = draw.choice(words)
        if draw.random() < 0.3:
            at = draw.randrange(len(text))
            text = text[at:] + text[:at]
        varied.append(" ".join(text))
    pyarrow.parquet.write_table(pyarrow.table({COLUMN: varied}), path)


def write_zipf(path, num_captions, num_words):
    """Captions of ten words: every word of the vocabulary once, all others drawn by Zipf's law (exponent 1). Returns
    the counts by word."""
    draw = numpy.random.default_rng(7)
    letters = numpy.frombuffer(b"etaoinshrdlucmfwypvbgkjqxz", dtype=numpy.uint8)
    ranks = numpy.arange(num_words)
    digits = numpy.stack([letters[ranks // 26**k % 26] for k in range(5)], axis=1)
    # Five letters of base 26, and for length a tail that repeats them: 5 to 19 bytes.
    spelled = [digits[n, :].tobytes().decode() for n in range(num_words)]
    vocabulary = pyarrow.array([w + (w * 3)[: 7 * (n % 3)] for n, w in enumerate(spelled)])
    total = num_captions * ZIPF_WORDS_EACH
    cumulative = numpy.cumsum(1 / (ranks + 1))
    drawn = numpy.searchsorted(cumulative, draw.random(total - num_words) * cumulative[-1]).astype(numpy.int32)
    drawn = numpy.concatenate([drawn, ranks.astype(numpy.int32)])
    draw.shuffle(drawn)
    counts = numpy.bincount(drawn, minlength=num_words)
    per_block = 250_000
    with pyarrow.parquet.ParquetWriter(path, pyarrow.schema([(COLUMN, pyarrow.string())])) as writer:
        for start in range(0, num_captions, per_block):
            num = min(per_block, num_captions - start)
            here = drawn[start * ZIPF_WORDS_EACH : (start + num) * ZIPF_WORDS_EACH]
            offsets = numpy.arange(num + 1, dtype=numpy.int32) * ZIPF_WORDS_EACH
            lists = pyarrow.ListArray.from_arrays(offsets, vocabulary.take(pyarrow.array(here)))
            writer.write_table(pyarrow.table({COLUMN: pyarrow.compute.binary_join(lists, " ")}))
    return vocabulary, counts


def read_counts(path):
    table = {}
    with open(path, encoding="utf-8") as lines:
        next(lines)
        for line in lines:
            word, _, count = line.rstrip("\n").rpartition(",")
            table[word] = int(count)
    return table


def run_ours(args, source, out, threads, rule="letters", memory=256, times=1):
    command = [args.binary, "captions", *[f"x={source}"] * times, "--caption-col", COLUMN, "--word-rule", rule, "--measure", "words"]
    command += ["--threads", str(threads), "--memory", str(memory), "--out", out]
    return measure.run([str(part) for part in command], args.work / "ours.log")


def run_peer(args, peer, source, out):
    python = os.sys.executable
    environment = os.environ | {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    log = args.work / f"{peer}.log"
    cost = measure.run([python, str(HERE / "captions_peer.py"), peer, str(source), str(out)], log, env=environment)
    return cost, float(log.read_text().strip().splitlines()[-1])


def median(values):
    return statistics.median(values)


def letters(args, lines):
    source = args.work / f"varied_{args.captions}.parquet"
    if not source.exists():
        write_varied(source, args.real, args.captions)
    ours, peers = [], {"polars": [], "duckdb": []}
    for _ in range(args.runs):
        ours.append(run_ours(args, source, args.work / "ours", 1))
        for peer, costs in peers.items():
            costs.append(run_peer(args, peer, source, args.work / f"{peer}.csv"))
    mine = median(cost.cpu_s for cost in ours)
    found = read_counts(args.work / "ours" / "words.csv")
    lines += [
        f"## Letter runs of {args.captions:,} captions",
        "",
        f"{source.stat().st_size / 1e6:.0f} MB of Parquet, {sum(found.values()):,} words, {len(found):,} distinct. "
        f"Median of {args.runs} runs, one thread each.",
        "",
        "| tool | CPU s, process | CPU s, work alone | against Pairmill | peak RSS, MB | counts that differ |",
        "|---|---|---|---|---|---|",
        f"| Pairmill | {mine:.2f} | – | 1 | {max(c.peak_process_bytes for c in ours) / 1e6:.0f} | – |",
    ]
    for peer, costs in peers.items():
        whole, alone = median(c.cpu_s for c, _ in costs), median(a for _, a in costs)
        theirs = read_counts(args.work / f"{peer}.csv")
        differ = sum(found.get(word) != theirs.get(word) for word in found.keys() | theirs.keys())
        peak = max(c.peak_process_bytes for c, _ in costs) / 1e6
        lines.append(f"| {peer} | {whole:.2f} | {alone:.2f} | {alone / mine:.1f}× | {peak:.0f} | {differ} |")
    lines.append("")
    scaling(args, lines, source)


def scaling(args, lines, source):
    lines += [f"## Threads, over that file {SCALING_TIMES} times", "", "| threads | wall s, best | CPU s, median |", "|---|---|---|"]
    best = {}
    for threads in (1, 2):
        costs = [run_ours(args, source, args.work / "ours", threads, times=SCALING_TIMES) for _ in range(max(args.runs, 5))]
        best[threads] = min(c.wall_s for c in costs)
        lines.append(f"| {threads} | {best[threads]:.2f} | {median(c.cpu_s for c in costs):.2f} |")
    lines += ["", f"Two threads are {best[1] / best[2]:.2f} times as fast as one.", ""]


def zipf(args, lines):
    source = args.work / f"zipf_{args.zipf_captions}.parquet"
    vocabulary, counts = write_zipf(source, args.zipf_captions, args.zipf_words)
    lines += [
        f"## {args.zipf_captions:,} captions over {args.zipf_words:,} distinct words",
        "",
        f"Zipf's law, {args.zipf_captions * ZIPF_WORDS_EACH:,} words, `--memory 256`.",
        "",
        "| threads | CPU s | wall s | peak RSS, MB | counts that differ from those generated |",
        "|---|---|---|---|---|",
    ]
    for threads in (1, 2):
        out = args.work / "zipf"
        cost = run_ours(args, source, out, threads)
        found = read_counts(out / "words.csv")
        differ = len(found) - len(vocabulary)
        differ = abs(differ) + sum(found.get(w) != c for w, c in zip(vocabulary.to_pylist(), counts.tolist()))
        peak = cost.peak_process_bytes / 1e6
        lines.append(f"| {threads} | {cost.cpu_s:.1f} | {cost.wall_s:.1f} | {peak:.0f} | {differ} |")
        del found
    lines.append("")


def nouns(args, lines):
    source = args.work / f"nouns_{args.noun_captions}.parquet"
    write_varied(source, args.real, args.noun_captions)
    mine = run_ours(args, source, args.work / "nouns", 1, rule="nouns")
    empty = args.work / "one.parquet"
    write_varied(empty, args.real, 1)
    start = run_ours(args, empty, args.work / "one", 1, rule="nouns")
    lines += [
        f"## Nouns of {args.noun_captions:,} captions",
        "",
        f"Pairmill's process takes {start.cpu_s:.2f} CPU s for one caption, most of it reading the tagger's model.",
        "",
        "| tool | CPU s, process | CPU s, work alone | against Pairmill |",
        "|---|---|---|---|",
        f"| Pairmill | {mine.cpu_s:.2f} | {mine.cpu_s - start.cpu_s:.2f} | 1 |",
    ]
    for peer in ("nltk", "textblob"):
        whole, alone = run_peer(args, peer, source, args.work / f"{peer}.csv")
        lines.append(f"| {peer} | {whole.cpu_s:.2f} | {alone:.2f} | {alone / mine.cpu_s:.1f}× |")
    lines.append("")


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder for data and logs")
    parser.add_argument("--binary", type=pathlib.Path, required=True)
    parser.add_argument("--real", type=pathlib.Path, default=HERE.parent.parent / "shared/data/laion_sample_3000.parquet")
    parser.add_argument("--captions", type=int, default=1_000_000)
    parser.add_argument("--noun-captions", type=int, default=20_000)
    parser.add_argument("--zipf-captions", type=int, default=10_000_000, help="0 leaves the memory run out")
    parser.add_argument("--zipf-words", type=int, default=5_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path, help="folder of the results [default: bench/<date>-captions]")
    args = parser.parse_args()
    if not args.real.exists():
        parser.error(f"{args.real}: no real captions there; give a Parquet file with a column {COLUMN} by --real")
    args.work.mkdir(parents=True, exist_ok=True)
    pins = " ".join((HERE / "captions.txt").read_text().split())
    lines = [
        "# Words of captions",
        "",
        f"`./justw bench-captions` on {os.cpu_count()} cores ({processor()}), load average {os.getloadavg()[0]:.1f} at the "
        f"start; {platform.system()}, Python {platform.python_version()}, {pins}.",
        "",
    ]
    letters(args, lines)
    nouns(args, lines)
    if args.zipf_captions:
        zipf(args, lines)
    out = args.out or HERE / f"{datetime.date.today()}-captions"
    out.mkdir(parents=True, exist_ok=True)
    (out / "README.md").write_text("\n".join(lines))
    print("\n".join(lines))


main()
