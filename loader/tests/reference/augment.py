"""What timm 0.4.12 draws: operations and arguments of `rand-m9-mstd0.5-inc1` (and without inc1), and boxes of its random
erasing; counts and moments, for tests/loader/augment.rs.

    python3.11 -m venv venv && venv/bin/pip install --no-deps timm==0.4.12 pillow==9.5.0 numpy==2.4.6
    venv/bin/python augment.py > augment.json

timm's package does not import on torch 2, so its modules are loaded from their files; the random erasing asks torch for
nothing but the noise, which is not wanted here.
"""

import importlib.util
import json
import math
import pathlib
import random
import statistics
import sys
import sysconfig
import types

import numpy as np

PICTURES = 40_000
DRAWS = 10_000
SIZES = [(224, 224), (40, 12), (5, 4)]
# timm's function and which of the draws below it is.
FUNCTIONS = ["auto_contrast", "equalize", "invert", "rotate", "posterize", "solarize", "solarize_add", "color", "contrast",
             "brightness", "sharpness", "shear_x", "shear_y", "translate_x_rel", "translate_y_rel"]
FACTORS = ["color", "contrast", "brightness", "sharpness"]


def module(name):
    path = pathlib.Path(sysconfig.get_paths()["purelib"]) / f"timm/data/{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def summary(arguments):
    known = {"count": len(arguments)}
    if arguments and arguments[0] is not None:
        known |= {"mean": statistics.fmean(arguments), "std": statistics.pstdev(arguments), "low": min(arguments),
                  "high": max(arguments), "negative": sum(a < 0 for a in arguments)}
    return known


def rand_augment(config):
    timm = module("auto_augment")
    drawn = {name: [] for name in FUNCTIONS}

    def record(name):
        def function(image, *arguments, **_):
            drawn[name].append(arguments[0] if arguments else None)
            return image
        return function

    by_function = {getattr(timm, name): record(name) for name in FUNCTIONS}
    timm.NAME_TO_OP = {name: by_function[function] for name, function in timm.NAME_TO_OP.items()
                       if function in by_function}
    transform = timm.rand_augment_transform(config, {"img_mean": (124, 116, 104), "interpolation": 3})
    for _ in range(PICTURES):
        transform(object())
    ops = {}
    for name, found in drawn.items():
        ops[name] = summary(found)
        if found[0] is not None:
            # Without the sign, whose spread would hide that of the magnitude.
            neutral = 1 if name in FACTORS else 0
            ops[name]["strength"] = summary([abs(argument - neutral) for argument in found])
    return {"config": config, "pictures": PICTURES, "ops": ops}


class Recorder:
    """Takes the place of the picture and keeps the slices that are assigned."""

    def __init__(self):
        self.box = None

    def __setitem__(self, place, _):
        _, rows, columns = place
        self.box = (rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)


def erasing(width, height, probability):
    timm = module("random_erasing")
    timm._get_pixels = lambda *_, **__: None
    transform = timm.RandomErasing(probability, mode="pixel", device="cpu")
    boxes = []
    for _ in range(DRAWS):
        recorder = Recorder()
        transform._erase(recorder, 3, height, width, None)
        if recorder.box is not None:
            boxes.append(recorder.box)
    known = {"width": width, "height": height, "probability": probability, "draws": DRAWS, "erased": len(boxes)}
    measures = {
        "area": [h * w / (width * height) for _, _, h, w in boxes],
        "log_aspect": [math.log(h / w) for _, _, h, w in boxes if h and w],
        "rows": [h for _, _, h, _ in boxes],
        "columns": [w for _, _, _, w in boxes],
        "top": [top for top, _, _, _ in boxes],
        "left": [left for _, left, _, _ in boxes],
    }
    return known | {name: summary(found) for name, found in measures.items()}


def main():
    random.seed(0)
    np.random.seed(0)
    sys.modules.setdefault("torch", types.SimpleNamespace(float32=None))
    document = {
        "rand_augment": [rand_augment("rand-m9-mstd0.5-inc1"), rand_augment("rand-m5-n3-mstd2")],
        "erasing": [erasing(*size, 1.0) for size in SIZES] + [erasing(*SIZES[0], 0.25)],
    }
    json.dump(document, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
