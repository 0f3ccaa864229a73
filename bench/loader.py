"""The loader beside its peers over one set of tars; called by loader.sh (`./justw bench-loader`).

Writes bench/<date>-loader/: README.md and raw.csv. CPU seconds are user + system of all threads. A peer measures itself
around its loop, so that imports and start-up, seconds of CPU in Python, do not count; ours and `cat` are measured as whole
processes. Runs alternate; the table has medians.
"""

import argparse
import collections
import csv
import datetime
import functools
import json
import os
import pathlib
import statistics
import subprocess
import sys

import measure
from setting import git_commit, machine

HERE = pathlib.Path(__file__).parent
SETS = {"original": "as downloaded, about 500 × 375", "256": "resized to 256 (keep_ratio, quality 95)"}
# Decoders to a tensor, before torchvision's v2 transforms.
DECODERS = {"torchvision": "torchvision.io", "torchcodec": "torchcodec", "simplejpeg": "simplejpeg", "kornia": "kornia-rs"}
REPEATS = {"cat": 10, "pairmill": 10}


def arguments():
    parser = argparse.ArgumentParser(prog="./justw bench-loader", description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3, help="runs of each, alternating [%(default)s]")
    parser.add_argument("--samples", type=int, default=2000, help="samples each peer decodes [%(default)s]")
    parser.add_argument("--ours", type=int, default=6000, help="samples we decode [%(default)s]")
    parser.add_argument("--out", type=pathlib.Path, help="results folder [bench/<date>-loader]")
    parser.add_argument("--work", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--examples", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--peers", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.out = args.out or HERE / f"{datetime.date.today().isoformat()}-loader"
    return args


def whole_process(command, log):
    cost = measure.run(command, log)
    text = log.read_text()
    found = json.loads(text.splitlines()[-1]) if text.startswith("{") else {}
    return found | {"cpu_s": cost.cpu_s, "wall_s": cost.wall_s, "peak_mb": cost.peak_process_bytes / 1e6}


def peer(args, venv, *words):
    python = args.peers / venv / "bin" / "python"
    if not (args.peers / venv / ".installed").exists():
        return None
    environment = os.environ | {"NO_ALBUMENTATIONS_UPDATE": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [str(python), str(HERE / "loader_peers.py"), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"  {words[0]} does not run here: {reason}", flush=True)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def jobs(args, name):
    """What is measured: name -> a function that measures it once, or returns None where it cannot run."""
    folder = args.work / f"shards-{name}"
    tars = sorted(map(str, folder.glob("*.tar")))
    log = args.work / "log"
    many = tars * REPEATS["pairmill"]

    def ours(**options):
        words = [f"{key}={value}" for key, value in options.items()]
        return whole_process([str(args.examples / "load"), str(folder), str(args.ours), *words], log)

    def scan(mode):
        return whole_process([str(args.examples / "scan"), mode, *many], log)

    def cat():
        command = ["sh", "-c", 'cat -- "$@" >/dev/null', "cat", *many]
        counted = scan("index")
        return whole_process(command, log) | {name: counted[name] for name in ("samples", "bytes")}

    return collections.OrderedDict([
        ("scan: cat", cat),
        ("scan: Pairmill, located", lambda: scan("index")),
        ("scan: Pairmill, every byte read (mapped)", lambda: scan("touch")),
        ("scan: Pairmill, every byte read (stream)", lambda: scan("stream")),
        ("scan: webdataset", lambda: peer(args, "open_clip", "scan", folder)),
        ("load: Pairmill", lambda: ours(threads=1, planes="false")),
        ("load: Pairmill over planes", lambda: ours(threads=1, planes="true")),
        ("load: webdataset + open_clip", lambda: peer(args, "open_clip", "open_clip", folder, args.samples)),
        ("load: webdataset + open_clip, tokenised", lambda: peer(args, "open_clip", "open_clip_tokens", folder, args.samples)),
        *((f"load: webdataset + {title} + v2, tokenised", functools.partial(peer, args, "decoders", word, folder, args.samples))
          for word, title in DECODERS.items()),
        ("load: datago", lambda: peer(args, "decoders", "datago", folder, args.samples)),
        ("load: DALI (CPU)", lambda: peer(args, "dali", "dali", folder, args.samples)),
        ("load: SPDL", lambda: peer(args, "spdl", "spdl", folder, args.samples)),
    ])


def table(lines, kind, baseline):
    def median(job, value):
        return statistics.median(value(line) for line in lines if line["job"] == job)

    def per_cpu_s(line):
        return line["samples"] / line["cpu_s"]

    names = [name for name in dict.fromkeys(line["job"] for line in lines) if name.startswith(kind)]
    base = median(baseline, per_cpu_s) if baseline in names else None
    yield "| | samples / CPU-s | CPU-ms / sample | MB / s (wall) | against " + baseline.split(": ")[1] + " |"
    yield "|---|---|---|---|---|"
    for name in names:
        rate = median(name, per_cpu_s)
        megabytes = [line["bytes"] / 1e6 / line["wall_s"] for line in lines if line["job"] == name and line.get("bytes")]
        speed = f"{statistics.median(megabytes):,.0f}" if megabytes else ""
        ratio = f"{rate / base:.1f} ×" if base else ""
        yield f"| {name.split(': ')[1]} | {rate:,.0f} | {1e3 / rate:.4f} | {speed} | {ratio} |"


def main():
    args = arguments()
    loads = [os.getloadavg()[0]]
    lines, missing, versions = [], set(), {}
    for name in SETS:
        print(f"{name}: {SETS[name]}", flush=True)
        work = jobs(args, name)
        for run in range(args.runs):
            for job, once in work.items():
                if job in missing:
                    continue
                found = once()
                if found is None:
                    missing.add(job)
                    continue
                versions |= found.pop("versions", {})
                if "read_bytes" in found:
                    found["bytes"] = found["read_bytes"]
                kept = {key: found[key] for key in ("samples", "bytes", "cpu_s", "wall_s", "peak_mb") if key in found}
                lines.append({"set": name, "job": job, "run": run + 1} | kept)
                print(f"  {job:<44} {found['samples'] / found['cpu_s']:12,.0f} samples/CPU-s", flush=True)
    loads.append(os.getloadavg()[0])
    write(args, lines, missing, versions, loads)
    print((args.out / "README.md").read_text())


def write(args, lines, missing, versions, loads):
    args.out.mkdir(parents=True, exist_ok=True)
    with open(args.out / "raw.csv", "w", newline="") as file:
        fields = ["set", "job", "run", "samples", "bytes", "cpu_s", "wall_s", "peak_mb"]
        writer = csv.DictWriter(file, fieldnames=fields, restval="")
        writer.writeheader()
        writer.writerows({k: round(v, 4) if isinstance(v, float) else v for k, v in line.items()} for line in lines)
    text = [f"# Loader against its peers, {datetime.date.today().isoformat()}", "",
            "    ./justw bench-loader " + " ".join(sys.argv[1:][sys.argv[1:].index("--peers") + 2:]), "",
            f"{machine()}; Pairmill {git_commit()}; Python {sys.version.split()[0]} · "
            + " · ".join(f"{name} {version}" for name, version in sorted(versions.items())) + ".",
            f"Load average before and after: {loads[0]:.1f}, {loads[1]:.1f}. One worker thread each; CPU is user + system of",
            "all threads, medians over the runs, which alternate; files come from the page cache. Loading is read, decode,",
            "RandomResizedCrop 224 bicubic (0.9–1.0 of the area), batches of 64; open_clip and the rows with v2",
            "also normalise to floats, which we leave to the device. Pairmill always tokenises; DALI, SPDL and datago do not; SPDL",
            "and datago have no random crop; datago reads plain files.", ""]
    for name, words in SETS.items():
        chosen = [line for line in lines if line["set"] == name]
        text += [f"## {words}", "", *table(chosen, "load", "load: webdataset + open_clip, tokenised"), "",
                 *table(chosen, "scan", "scan: webdataset"), ""]
    if missing:
        text += ["Did not run here: " + ", ".join(sorted(job.split(": ")[1] for job in missing)) + ".", ""]
    (args.out / "README.md").write_text("\n".join(text))


if __name__ == "__main__":
    main()
