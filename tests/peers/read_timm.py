#!/usr/bin/env python3
"""read_timm.py AUGMENT_DUMP FOLDER [PICTURES]: every operation of RandAugment on real pictures at 224 pixels, with arguments as
timm draws them for `rand-m9-mstd0.5-inc1`, by timm over PIL and by us. AUGMENT_DUMP is the example of pairmill-pixels.

Fails where any byte differs. A table of differences goes to stderr."""

import pathlib
import random
import subprocess
import sys
import tempfile

import numpy as np
import PIL.Image
from timm_from_file import auto_augment

SIDE = 224
FILL = (124, 116, 104)


def draw(timm, name):
    """timm's function and arguments for an operation."""
    level = timm.LEVEL_TO_ARG[name]
    magnitude = min(10.0, max(0.0, random.gauss(9, 0.5)))
    return timm.NAME_TO_OP[name], level(magnitude, {"translate_pct": 0.45}) if level else ()


def main():
    dump, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    most = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    random.seed(0)
    timm = auto_augment()
    asked = []
    with tempfile.TemporaryDirectory() as work:
        for number, path in enumerate(sorted(folder.iterdir())[:most]):
            with PIL.Image.open(path) as file:
                image = file.convert("RGB").resize((SIDE, SIDE), PIL.Image.BICUBIC)
            raw = pathlib.Path(work) / f"{number}.rgb"
            raw.write_bytes(image.tobytes())
            asked += [(path, raw, image, *draw(timm, name)) for name in timm._RAND_INCREASING_TRANSFORMS]
        lines = "".join(f"{raw}\t{function.__name__}\t{repr(args[0]) if args else '-'}\n"
                        for _, raw, _, function, args in asked)
        done = subprocess.run([dump, str(SIDE)], input=lines.encode(), stdout=subprocess.PIPE, check=True).stdout
    pictures = np.frombuffer(done, np.uint8).reshape(len(asked), SIDE, SIDE, 3)
    means, worst, differing, first = {}, {}, {}, {}
    for (path, _, image, function, args), ours in zip(asked, pictures, strict=True):
        theirs = np.asarray(function(image, *args, fillcolor=FILL, resample=PIL.Image.BICUBIC))
        difference = np.abs(ours.astype(np.int16) - theirs)
        name = function.__name__
        means.setdefault(name, []).append(float(difference.mean()))
        worst[name] = max(worst.get(name, 0), int(difference.max()))
        differing[name] = differing.get(name, 0) + int((difference > 0).sum())
        if difference.any():
            first.setdefault(name, f"{path.name} {name}{args}: mean difference {means[name][-1]:.4f} levels")
    for name, found in means.items():
        print(f"{name:<16} mean {np.mean(found):.5f}  worst picture {np.max(found):.5f}  worst byte {worst[name]}  "
              f"bytes that differ {differing[name]} of {pictures[0].size * len(found)}", file=sys.stderr)
    if first:
        sys.exit(f"{len(first)} of {len(means)} operations differ, such as {next(iter(first.values()))}")
    print(f"every byte of {len(asked) // len(means)} pictures after each of {len(means)} operations, arguments as drawn for "
          "rand-m9-mstd0.5-inc1")


if __name__ == "__main__":
    main()
