"""A grid of few-shot fine-tunings by `pairmill-train sweep` and, run by run, by a WiSE-FT-style PyTorch loop; called by
transfer.sh.

Writes bench/<date>-transfer/README.md and raw.csv. What is measured is CPU time of whole processes, start-up included: one
process for our grid, one per run for the loop (transfer_peer.py), as the study's code was used. Epochs, batch,
augmentation, statistics, learning rates and numbers of images are the same on both sides; the images of a shot are each
side's own draw.
"""

import argparse
import csv
import datetime
import importlib.metadata
import itertools
import json
import math
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

import measure
from setting import git_commit, machine

HERE = pathlib.Path(__file__).parent
SOURCES, TASKS = ["shutterstock", "redcaps"], ["colours", "backdrops"]
GOAL = 5
# A process a run; how it judges epochs.
LOOPS = {"published": "loop, tested after every epoch (as published)",
         "corrected": "loop, validated after every epoch, tested once"}


def numbers(kind):
    return lambda text: [kind(part) for part in text.split(",")]


def arguments():
    parser = argparse.ArgumentParser(prog="./justw bench-transfer", description=__doc__.splitlines()[0])
    parser.add_argument("--shots", type=numbers(int), default=[1, 5, 20], help="images a class [1,5,20]")
    parser.add_argument("--lr", type=numbers(float), default=[3e-4, 1e-3], help="learning rates [3e-4,1e-3]")
    parser.add_argument("--epochs", type=int, default=16, help="passes of each run [%(default)s]")
    parser.add_argument("--batch", type=int, default=32, help="images a step [%(default)s]")
    parser.add_argument("--runs", type=int, default=3, help="times the whole, each with another seed [%(default)s]")
    parser.add_argument("--loops", type=lambda text: text.split(","), default=list(LOOPS),
                        help=f"which loops, of {','.join(LOOPS)} [both]")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / f"{datetime.date.today().isoformat()}-transfer")
    parser.add_argument("--binary", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def grid(args):
    """Every run: source, task, shots, learning rate."""
    return list(itertools.product(SOURCES, TASKS, args.shots, args.lr))


def ours(args, seed):
    """One sweep over the whole grid: its cost, and the accuracy of each run."""
    out = args.work / "sweep"
    shutil.rmtree(out, ignore_errors=True)
    text = [f"shots = {args.shots}", 'methods = ["fine-tune"]', f"seeds = [{seed}]", 'templates = "templates.txt"',
            "[tune]", f"lr = {args.lr}", f"epochs = [{args.epochs}]", f"batch_size = [{args.batch}]",
            "[runtime]", 'device = "cpu"']
    for source in SOURCES:
        text += ["[[source]]", f'name = "{source}"', f'checkpoint = "runs/{source}"']
    for task in TASKS:
        text += ["[[task]]", 'kind = "folder"', f'root = "tasks/{task}"']
    (args.work / "grid.toml").write_text("\n".join(text))
    cost = measure.run([args.binary, "sweep", args.work / "grid.toml", "--out", out, "--quiet"], args.work / "sweep.log")
    found = {}
    for path in out.glob("runs/*/result.json"):
        row = next(row for row in json.loads(path.read_text())["rows"]
                   if row["metric"] == "acc1" and row["split"] == "test")
        config = row["config"]
        found[config["us"], config["ds"], int(row["shots"]), config["ds_lr"]] = row["value"]
    return cost, found


def theirs(args, seed, how):
    """A process per run: the sum of their costs, and the accuracy of each."""
    costs, found = [], {}
    for source, task, shots, lr in grid(args):
        log = args.work / "loop.log"
        costs.append(measure.run(
            [sys.executable, HERE / "transfer_peer.py", "--model", HERE.parent / "train/models/rn_tiny.toml",
             "--weights", args.work / f"{source}.safetensors", "--task", args.work / "tasks" / task,
             "--templates", args.work / "templates.txt", "--shots", str(shots), "--lr", str(lr),
             "--epochs", str(args.epochs), "--batch", str(args.batch), "--seed", str(seed), "--evaluate", how], log))
        found[source, task, shots, lr] = json.loads(log.read_text().strip().splitlines()[-1])["acc1"]
    total = measure.Cost(*(sum(getattr(cost, name) for cost in costs) for name in ("wall_s", "user_s", "system_s")),
                         *(max(getattr(cost, name) for cost in costs)
                           for name in ("peak_process_bytes", "peak_tree_bytes")), [])
    return total, found


def accuracies(found):
    return [value for turn in found for value in turn.values()]


def main():
    args = arguments()
    load = os.getloadavg()[0]
    templates = [f"{article} {noun} of a {{}}." for article in ("a", "one") for noun in ("photo", "picture", "drawing", "close-up")]
    (args.work / "templates.txt").write_text("\n".join(templates) + "\n")
    for source in SOURCES:
        subprocess.run([args.binary, "export", args.work / "runs" / source, args.work / f"{source}.safetensors"],
                       check=True, stdout=subprocess.DEVNULL)
    tools = {"Pairmill, one sweep": lambda seed: ours(args, seed)}
    tools |= {LOOPS[how]: (lambda seed, how=how: theirs(args, seed, how)) for how in args.loops}
    costs, found = ({tool: [] for tool in tools} for _ in range(2))
    for seed in range(args.runs):
        for tool, once in tools.items():
            cost, values = once(seed)
            assert set(values) == set(grid(args)), f"{tool}: {len(values)} runs instead of {len(grid(args))}"
            costs[tool].append(cost)
            found[tool].append(values)
            print(f"{tool}: {cost.cpu_s:.1f} CPU-s, {cost.wall_s:.1f} s, mean accuracy "
                  f"{statistics.mean(values.values()):.1f} %", flush=True)
    write(args, costs, found, load)


def write(args, costs, found, load):
    us = next(iter(costs))
    middle = lambda tool, name: statistics.median(getattr(cost, name) for cost in costs[tool])  # noqa: E731
    rows = []
    for tool in costs:
        apart = [a - b for a, b in zip(accuracies(found[tool]), accuracies(found[us]))]
        error = statistics.stdev(apart) / math.sqrt(len(apart)) if tool != us else 0.0
        difference = "" if tool == us else f"{statistics.mean(apart):+.2f} ± {error:.2f}"
        rows.append(f"| {tool} | {middle(tool, 'cpu_s'):,.1f} | {middle(tool, 'cpu_s') / middle(us, 'cpu_s'):.1f} | "
                    f"{middle(tool, 'wall_s'):,.1f} | {middle(tool, 'peak_process_bytes') / 1e6:,.0f} | "
                    f"{statistics.mean(accuracies(found[tool])):.2f} | {difference} |")
    shots = []
    for k in args.shots:
        of = lambda tool: [v for turn in found[tool] for key, v in turn.items() if key[2] == k]  # noqa: E731,B023
        shots.append(f"| {k} | " + " | ".join(f"{statistics.mean(of(tool)):.2f}" for tool in costs) + " |")
    versions = " · ".join(f"{name} {importlib.metadata.version(name)}"
                          for name in ("torch", "open_clip_torch", "timm", "torchvision", "pillow"))
    hidden = sys.argv.index("--work") + 2
    text = "\n".join([
        f"# {len(grid(args))} few-shot fine-tunings against a WiSE-FT-style loop, {datetime.date.today().isoformat()}", "",
        "    " + " ".join(["./justw bench-transfer", *sys.argv[hidden:]]), "",
        f"{machine()}; Pairmill {git_commit()}; Python {sys.version.split()[0]} · {versions}. Load average before and after: "
        f"{load:.1f}, {os.getloadavg()[0]:.1f}.", "",
        f"{len(SOURCES)} tiny CLIPs (`clip-rn-tiny`) × {len(TASKS)} tasks (480 test images each) × shots "
        f"{args.shots} × learning rates {args.lr}; {args.epochs} epochs of batch {args.batch}, timm's augmentation. CPU "
        "seconds of whole processes, start-up included: one process for the sweep, one per run for the loops. Medians of "
        f"{args.runs} turns, each with a seed of its own; accuracy is the mean over the runs of all turns, ± the standard error of "
        "the difference run by run (the two sides draw their shots by themselves). As-published selects on the test set "
        "itself, so its accuracy is the best of what it saw.", "",
        "| what | CPU-s | times ours | wall s | peak memory of a process, MB | accuracy, % | difference to ours |",
        "|---|---|---|---|---|---|---|", *rows, "",
        "| shots | " + " | ".join(costs) + " |", "|---" * (len(costs) + 1) + "|", *shots, ""])
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "README.md").write_text(text)
    with open(args.out / "raw.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["what", "seed", "source", "task", "shots", "lr", "acc1"])
        for tool, turns in found.items():
            for seed, turn in enumerate(turns):
                table.writerows([tool, seed, *key, round(value, 4)] for key, value in turn.items())
    print(text)


if __name__ == "__main__":
    main()
