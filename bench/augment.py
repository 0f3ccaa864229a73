"""RandAugment's operations on a 224 × 224 picture by timm 0.4.12 over PIL and by Pairmill in one run; called by augment.sh.

Writes bench/<date>-augment/README.md. What is measured is CPU time of one thread from picture in memory to picture in
memory.
"""

import argparse
import datetime
import importlib.metadata
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import PIL.Image
from setting import git_commit, machine

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "tests/peers"))
from timm_from_file import auto_augment  # noqa: E402

HERE = pathlib.Path(__file__).parent
SIDE = 224
FILL = (124, 116, 104)
# Magnitude 9 of `rand-m9-mstd0.5-inc1`.
CASES = {"auto_contrast": None, "equalize": None, "invert": None, "rotate": 27.0, "posterize": 1, "solarize": 26,
         "solarize_add": 99, "color": 1.81, "contrast": 1.81, "brightness": 1.81, "sharpness": 1.81, "shear_x": 0.27,
         "shear_y": 0.27, "translate_x_rel": 0.405, "translate_y_rel": 0.405}


def arguments():
    parser = argparse.ArgumentParser(prog="./justw bench-augment", description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=pathlib.Path, default=HERE.parent.parent / "shared/data/imagenet-samples",
                        help="folder whose first picture is used [%(default)s]")
    parser.add_argument("--runs", type=int, default=3, help="turns of both, the best counts [%(default)s]")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / f"{datetime.date.today().isoformat()}-augment")
    parser.add_argument("--dump", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(call):
    """Microseconds of CPU for one call."""
    call()
    began, calls = time.process_time(), 0
    while time.process_time() - began < 0.5:
        call()
        calls += 1
    return (time.process_time() - began) / calls * 1e6


def theirs(timm, image):
    times = {}
    for name, argument in CASES.items():
        function, args = getattr(timm, name), [] if argument is None else [argument]
        times[name] = measure(lambda: function(image, *args, fillcolor=FILL, resample=PIL.Image.BICUBIC))
    mean, std = (np.array(v, np.float32) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    times["normalise"] = measure(
        lambda: np.ascontiguousarray(((np.asarray(image).astype(np.float32) / 255 - mean) / std).transpose(2, 0, 1)))
    return times


def ours(dump, image):
    with tempfile.NamedTemporaryFile(suffix=".rgb") as raw:
        raw.write(image.tobytes())
        raw.flush()
        lines = "".join(f"{raw.name}\t{name}\t{'-' if argument is None else argument}\n" for name, argument in CASES.items())
        done = subprocess.run([dump, str(SIDE), "time"], input=lines, capture_output=True, text=True, check=True).stdout
    return {name: float(number) for name, number in (line.split("\t") for line in done.splitlines())}


def main():
    args = arguments()
    if not args.images.is_dir():
        print(f"SKIPPED: no folder {args.images}; give --images FOLDER", file=sys.stderr)
        return
    load = os.getloadavg()[0]
    with PIL.Image.open(min(args.images.iterdir())) as file:
        image = file.convert("RGB").resize((SIDE, SIDE), PIL.Image.BICUBIC)
    timm, turns = auto_augment(), []
    for _ in range(args.runs):
        turns.append((theirs(timm, image), ours(args.dump, image)))
    rows, sums = [], [0.0, 0.0]
    for name in [*CASES, "normalise"]:
        both = [min(turn[side][name] for turn in turns) for side in (0, 1)]
        if name in CASES:
            sums = [total + taken / len(CASES) for total, taken in zip(sums, both)]
        rows.append(f"| {name} | {both[0]:,.0f} | {both[1]:,.0f} | {both[0] / both[1]:.1f} |")
    rows.append(f"| mean of the operations | {sums[0]:,.0f} | {sums[1]:,.0f} | {sums[0] / sums[1]:.1f} |")
    versions = " · ".join(f"{name} {importlib.metadata.version(name)}" for name in ("timm", "pillow", "numpy"))
    text = "\n".join([
        f"# RandAugment's operations against timm over PIL, {datetime.date.today().isoformat()}", "",
        "    ./justw bench-augment", "",
        f"{machine()}; Pairmill {git_commit()}; Python {sys.version.split()[0]} · {versions}. Load average before and "
        f"after: {load:.1f}, {os.getloadavg()[0]:.1f}.", "",
        f"CPU microseconds of one thread for one {SIDE} × {SIDE} picture, the best of {args.runs} turns of both, at magnitude "
        "9. *normalise* is the step from bytes to three planes of floats; NumPy does it for PIL.", "",
        "| operation | timm over PIL, µs | Pairmill, µs | ratio |", "|---|---|---|---|", *rows, ""])
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "README.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
