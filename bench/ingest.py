"""img2dataset and Pairmill in turn on one local server; called by ingest.sh (`./justw bench-ingest`).

Writes bench/<date>-ingest/: README.md (machine, versions, command, tables), raw.csv (one line per run) and rss.csv
(memory over time of the flat-memory run). What is measured is the client's process tree; the server is not counted.
"""

import argparse
import csv
import datetime
import importlib.metadata
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq

import big_pictures
import measure
import quality
from setting import git_commit, machine, memory_gb

HERE = pathlib.Path(__file__).parent
SHARED = HERE.parent.parent / "shared" / "data"
# Stated in every results README.
REAL_GOAL = 3.0
BIG_GOAL = 6.0
# Name, how it is drawn, JPEG quality, share of --big-rows. What quality means depends on the picture: bits per pixel are
# in the results.
BIG_SETS = [
    ("mosaic of quality 92", big_pictures.mosaic, 92, 1.0),
    ("mosaic of quality 75", big_pictures.mosaic, 75, 0.4),
    ("enlarged photo of quality 92", big_pictures.enlarged, 92, 0.4),
    ("enlarged photo of quality 80", big_pictures.enlarged, 80, 0.4),
]
CODEC_GOAL = 1.25
RSS_GOAL_MB = 300


def arguments():
    parser = argparse.ArgumentParser(prog="./justw bench-ingest", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000, help="rows of the real JPEGs [%(default)s]")
    parser.add_argument("--big-rows", type=int, help="rows of the first set of large pictures, 0 for none [rows / 10]")
    parser.add_argument("--flat-rows", type=int, help="rows of the flat-memory run, 0 for none [100 × rows]")
    parser.add_argument("--runs", type=int, default=3, help="runs of each tool, alternating [%(default)s]")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="img2dataset's processes [all cores]")
    parser.add_argument("--threads", type=int, nargs="+", default=[16, 32, 64],
                        help="img2dataset's threads per process; the best of these is taken [%(default)s]")
    parser.add_argument("--images", type=pathlib.Path, default=SHARED / "imagenet-samples", help="folder of JPEGs")
    parser.add_argument("--out", type=pathlib.Path, help="results folder [bench/<date>-ingest]")
    parser.add_argument("--work", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--binaries", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.big_rows = args.rows // 10 if args.big_rows is None else args.big_rows
    args.flat_rows = args.rows * 100 if args.flat_rows is None else args.flat_rows
    today = datetime.date.today().isoformat()
    args.out = args.out or HERE / f"{today}-ingest"
    return args


class World:
    """A world server of its own process; leaves with the `with` block."""

    def __init__(self, binary, work, *flags):
        self.command = [str(binary), "serve", "--port-file", str(work / "port"), *flags]
        self.port_file = work / "port"
        self.log = work / "world.log"

    def __enter__(self):
        self.port_file.unlink(missing_ok=True)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=subprocess.STDOUT)
        for _ in range(1200):
            if self.port_file.exists():
                self.url = f"http://127.0.0.1:{self.port_file.read_text().strip()}"
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        sys.exit(f"the world server did not start: {self.log.read_text().strip()}")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


class Images:
    """One set of pictures behind the server, and the table of URLs that cycles through it."""

    def __init__(self, name, folder, rows, base_url, work):
        self.name, self.folder, self.rows = name, folder, rows
        self.names = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in (".jpg", ".jpeg"))
        self.table = work / f"{name}.parquet"
        self.reference = quality.Reference(folder)
        self.bytes_each = statistics.mean((folder / name).stat().st_size for name in self.names)
        shapes = [quality.decode((folder / name).read_bytes()).shape for name in self.names[:20]]
        pixels = statistics.mean(shape[0] * shape[1] for shape in shapes)
        part = statistics.mean((folder / name).stat().st_size for name in self.names[:20])
        self.bits_per_pixel = part * 8 / pixels
        self.base_url = base_url
        write_rows(self.table, self.names, base_url, rows)


def write_rows(path, names, base_url, rows):
    urls = [f"{base_url}/files/{names[i % len(names)]}" for i in range(rows)]
    captions = [f"picture {i}" for i in range(rows)]
    pq.write_table(pa.table({"url": urls, "caption": captions}), path)


COMMON = {
    "input_format": "parquet",
    "url_col": "url",
    "caption_col": "caption",
    "output_format": "webdataset",
    "image_size": 256,
    "resize_mode": "keep_ratio",
    "encode_format": "jpg",
    "encode_quality": 95,
    "number_sample_per_shard": 1000,
}


def their_command(table, out, processes, threads):
    tool = pathlib.Path(sys.executable).with_name("img2dataset")
    options = COMMON | {"processes_count": processes, "thread_count": threads}
    return [str(tool), f"--url_list={table}", f"--output_folder={out}", *(f"--{k}={v}" for k, v in options.items())]


def our_command(binaries, table, out, **options):
    named = [f"--{k.replace('_', '-')}={v}" for k, v in (COMMON | options).items()]
    here = ["--allow-private-addresses", "--quiet"]
    return [str(binaries / "pairmill-ingest"), "run", f"--url-list={table}", f"--output-folder={out}", *named, *here]


def successes(folder):
    stats = [json.loads(p.read_text()) for p in sorted(folder.glob("*_stats.json"))]
    return sum(s["count"] for s in stats), sum(s["successes"] for s in stats)


def psnr(folder, images):
    """Picture name -> dB against the exact-area reference, from the first shards that hold every picture once."""
    found = {}
    for tar in sorted(folder.glob("*.tar")):
        rows = pq.read_table(tar.with_suffix(".parquet"), columns=["key", "url"]).to_pylist()
        name_of_key = {r["key"]: r["url"].rsplit("/", 1)[1] for r in rows}
        wanted = {key: name for key, name in name_of_key.items() if name not in found}
        found |= quality.measure(tar, wanted, images.reference)
        if len(found) == len(images.names):
            break
    return found


def one_run(tool, command, out, images, args):
    shutil.rmtree(out, ignore_errors=True)
    environment = os.environ | {"NO_ALBUMENTATIONS_UPDATE": "1", "WANDB_MODE": "disabled"}
    cost = measure.run(command, args.work / f"{tool}.log", env=environment)
    count, good = successes(out)
    line = {
        "set": images.name,
        "tool": tool,
        "rows": images.rows,
        "counted": count,
        "successes": good,
        "cpu_s": round(cost.cpu_s, 3),
        "user_s": round(cost.user_s, 3),
        "system_s": round(cost.system_s, 3),
        "wall_s": round(cost.wall_s, 3),
        "cpu_ms_per_sample": round(cost.cpu_s * 1e3 / max(good, 1), 3),
        "samples_per_s": round(good / cost.wall_s, 1),
        "peak_process_mb": round(cost.peak_process_bytes / 1e6, 1),
        "peak_tree_mb": round(cost.peak_tree_bytes / 1e6, 1),
    }
    print(f"  {tool:<12} {line['cpu_ms_per_sample']:7.2f} CPU-ms/sample {line['samples_per_s']:8.0f} samples/s "
          f"{line['peak_process_mb']:6.0f} MB {good}/{images.rows}", flush=True)
    return line


def best_threads(images, args):
    """img2dataset's cheapest thread count on a part of the rows."""
    if len(args.threads) == 1:
        return args.threads[0]
    part = Images(images.name, images.folder, max(200, images.rows // 10), images.base_url, args.work / "part")
    costs = {}
    for threads in args.threads:
        out = args.work / "out-img2dataset"
        line = one_run("img2dataset", their_command(part.table, out, args.processes, threads), out, part, args)
        costs[threads] = line["cpu_ms_per_sample"]
    return min(costs, key=costs.get)


CODEC_LINE = re.compile(r"^(.*?)\s{2,}([\d.]+) ms", re.MULTILINE)


def codec_times(images, args, copies=1, stages="all"):
    """Stage -> CPU ms per picture, from the `codec_time` example of pairmill-pixels; the mean over `copies` at once."""
    rounds = "3" if images.name == "real" else "2"
    command = [str(args.binaries / "examples" / "codec_time"), str(images.folder), rounds, stages]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(copies)]
    texts = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        sys.exit("codec_time failed")
    found = [{name.strip(): float(ms) for name, ms in CODEC_LINE.findall(text)} for text in texts]
    return {name: statistics.mean(times[name] for times in found) for name in found[0]}


def compare(images, goal, args):
    """Both tools over one set, alternating; before that each over a single row, for its start-up."""
    print(f"{images.name}: {images.rows} rows of {len(images.names)} pictures", flush=True)
    threads = best_threads(images, args)
    commands = {
        "img2dataset": lambda table, out: their_command(table, out, args.processes, threads),
        "pairmill": lambda table, out: our_command(args.binaries, table, out),
    }
    single = Images(images.name, images.folder, 1, images.base_url, args.work / "part")
    outs = {tool: args.work / f"out-{tool}" for tool in commands}
    startup = {tool: one_run(tool, command(single.table, outs[tool]), outs[tool], single, args)["cpu_s"]
               for tool, command in commands.items()}
    lines, fidelity = [], {}
    codec, codec_together = [], []
    for number in range(args.runs):
        codec.append(codec_times(images, args))
        codec_together.append(codec_times(images, args, copies=os.cpu_count(), stages="whole"))
        for tool, command in commands.items():
            out = outs[tool]
            line = one_run(tool, command(images.table, out), out, images, args) | {"run": number + 1}
            beyond = (line["cpu_s"] - startup[tool]) * 1e3 / max(line["successes"], 1)
            lines.append(line | {"startup_cpu_s": startup[tool], "cpu_ms_beyond_startup": round(beyond, 3)})
            if tool not in fidelity:
                fidelity[tool] = psnr(out, images)
            shutil.rmtree(out, ignore_errors=True)
    whole, together = (statistics.median(c["pairmill: whole transform"] for c in runs) for runs in (codec, codec_together))
    return {"images": images, "lines": lines, "psnr": fidelity, "codec": codec[-1], "whole_ms": whole, "goal": goal,
            "together_ms": together,
            "client": f"{args.processes} processes of {threads} threads"}


def flat_memory(args):
    """Memory of Pairmill over many small pictures, and over a hundredth of them."""
    lines, series = [], []
    size = ["--size", "small", "--distinct", "4096"]
    world = args.binaries / "pairmill-world"
    with World(world, args.work, *size) as server:
        for rows in (args.flat_rows // 100, args.flat_rows):
            table, out = args.work / "flat.parquet", args.work / "out-flat"
            subprocess.run([str(world), "table", *size, "--source", "laion", "--rows", str(rows), "--base-url", server.url,
                            "--out", str(table)], check=True, stdout=subprocess.DEVNULL)
            shutil.rmtree(out, ignore_errors=True)
            columns = {"url_col": "URL", "caption_col": "TEXT", "image_size": 64, "number_sample_per_shard": 10_000}
            cost = measure.run(our_command(args.binaries, table, out, **columns), args.work / "flat.log")
            count, good = successes(out)
            lines.append({"rows": rows, "successes": good, "peak_mb": cost.peak_process_bytes / 1e6, "wall_s": cost.wall_s,
                          "cpu_s": cost.cpu_s, "accounted": count == rows})
            series += [(rows, at, round(resident / 1e6, 1)) for at, resident in cost.samples]
            print(f"  {rows} rows: peak {lines[-1]['peak_mb']:.0f} MB, {rows / cost.wall_s:.0f} rows/s", flush=True)
            shutil.rmtree(out, ignore_errors=True)
    return lines, series


def median_of(lines, tool, column):
    return statistics.median(line[column] for line in lines if line["tool"] == tool)


def set_table(result):
    """Markdown lines of one set: medians, ratio, and the goals beside them."""
    lines, images = result["lines"], result["images"]
    columns = [("CPU-ms / sample", "cpu_ms_per_sample", "{:.2f}"),
               ("the same without start-up", "cpu_ms_beyond_startup", "{:.2f}"), ("samples / s (wall)", "samples_per_s", "{:.0f}"),
               ("peak of largest process, MB", "peak_process_mb", "{:.0f}"), ("peak of the tree, MB", "peak_tree_mb", "{:.0f}")]
    yield "| | img2dataset | Pairmill | ratio |"
    yield "|---|---|---|---|"
    for title, column, form in columns:
        theirs, ours = (median_of(lines, tool, column) for tool in ("img2dataset", "pairmill"))
        ratio = ours / theirs if column == "samples_per_s" else theirs / ours
        yield f"| {title} | {form.format(theirs)} | {form.format(ours)} | {ratio:.2f} |"
    rates = [min(x["successes"] / x["rows"] for x in lines if x["tool"] == tool) for tool in ("img2dataset", "pairmill")]
    yield f"| success rate (worst run) | {rates[0]:.2%} | {rates[1]:.2%} | |"
    for title, pick in [("median", statistics.median), ("mean", statistics.mean), ("worst", min)]:
        theirs, ours = (pick(result["psnr"][tool].values()) for tool in ("img2dataset", "pairmill"))
        yield f"| PSNR against exact area, {title}, dB | {theirs:.2f} | {ours:.2f} | {ours - theirs:+.2f} |"
    ours, theirs = (median_of(lines, tool, "cpu_ms_per_sample") for tool in ("pairmill", "img2dataset"))
    whole = result["whole_ms"]
    yield ""
    met = {True: "met", False: "NOT met"}
    goal = result["goal"]
    # Start-up is a matter of how many rows there are, so the goal is held against what lies beyond it.
    beyond = [median_of(lines, tool, "cpu_ms_beyond_startup") for tool in ("img2dataset", "pairmill")]
    ratio = beyond[0] / beyond[1]
    yield f"- CPU ratio without start-up {ratio:.2f}, goal {goal:.0f}: {met[ratio >= goal]}."
    together = result["together_ms"]
    yield (f"- Pairmill over its codecs alone: {ours / together:.2f} with the codecs on every core at once, as a run has "
           f"them ({together:.2f} ms), goal at most {CODEC_GOAL}: {met[ours / together <= CODEC_GOAL]}; "
           f"{ours / whole:.2f} with them on one core ({whole:.2f} ms).")
    yield f"- img2dataset ran with {result['client']}, the cheapest of those tried."
    yield f"- PSNR over {len(result['psnr']['pairmill'])} pictures (those that are shrunk)."


def write_results(args, results, flat, loads):
    args.out.mkdir(parents=True, exist_ok=True)
    lines = [line for result in results for line in result["lines"]]
    with open(args.out / "raw.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    versions = " · ".join(f"{name} {importlib.metadata.version(name)}"
                          for name in ("img2dataset", "opencv-python-headless", "pyarrow", "webdataset"))
    text = [
        f"# Ingest against img2dataset, {datetime.date.today().isoformat()}", "",
        "    ./justw bench-ingest " + " ".join(sys.argv[1:][sys.argv[1:].index("--binaries") + 2 :]), "",
        f"{machine()}, {memory_gb():.0f} GB; Pairmill {git_commit()}; Python {sys.version.split()[0]} · {versions}.",
        f"Load average before and after: {loads[0]:.1f}, {loads[1]:.1f}. CPU is user + system of the client's whole",
        "process tree, the local server is not counted; medians over the runs, which alternate. keep_ratio 256, area,",
        "JPEG quality 95, webdataset output. Start-up (imports, of several CPU-seconds a process in img2dataset) is in",
        "the first line and taken off in the second, as measured on a single row.", "",
    ]
    for result in results:
        images = result["images"]
        text += [f"## {images.name}: {images.rows} rows of {len(images.names)} JPEGs, {args.runs} runs each", "",
                 f"{images.bytes_each / 1e3:.0f} kB and {images.bits_per_pixel:.2f} bits per pixel each.", ""]
        text += [*set_table(result), "", "Codecs alone, CPU-ms per picture (`codec_time`):", "", "| | ms |", "|---|---|"]
        text += [f"| {name} | {ms:.2f} |" for name, ms in result["codec"].items()] + [""]
    if flat:
        flat_lines, series = flat
        with open(args.out / "rss.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["rows", "second", "resident_mb"])
            writer.writerows(series)
        text += ["## Memory over many small pictures (Pairmill, resident set over time in rss.csv)", "",
                 "| rows | successes | every row accounted | peak MB | rows / s |", "|---|---|---|---|---|"]
        text += [f"| {x['rows']:,} | {x['successes']:,} | {x['accounted']} | {x['peak_mb']:.0f} | {x['rows'] / x['wall_s']:.0f} |"
                 for x in flat_lines]
        text += ["", f"Goal: at most {RSS_GOAL_MB} MB, and no growth with the rows."]
    (args.out / "README.md").write_text("\n".join(text) + "\n")


def main():
    args = arguments()
    if not args.images.is_dir():
        sys.exit(f"SKIPPED: no folder {args.images}; give --images FOLDER")
    (args.work / "part").mkdir(parents=True, exist_ok=True)
    loads = [os.getloadavg()[0]]
    sets = [("real", args.images, args.rows, REAL_GOAL)]
    for name, draw, level, share in BIG_SETS if args.big_rows else []:
        rows = max(1, round(args.big_rows * share))
        folder = args.work / "big" / f"{draw.__name__}-{level}"
        sets.append((name, big_pictures.make(draw, args.images, folder, min(40, rows), level), rows, BIG_GOAL))
    results = []
    for name, folder, rows, goal in sets:
        with World(args.binaries / "pairmill-world", args.work, "--root", str(folder)) as server:
            results.append(compare(Images(name, folder, rows, server.url, args.work), goal, args))
    loads.append(os.getloadavg()[0])
    # What there is, should the long run that follows be stopped.
    write_results(args, results, None, loads)
    if args.flat_rows:
        write_results(args, results, flat_memory(args), loads)
    print((args.out / "README.md").read_text())
    print(f"written to {os.path.relpath(args.out)}")


if __name__ == "__main__":
    main()
