"""What timm 0.4.12's augmentations make of pictures, for tests/augment.rs.

    python3.11 -m venv venv && venv/bin/pip install --no-deps timm==0.4.12 pillow==9.5.0 numpy==2.4.6
    venv/bin/python augment.py > augment.json

Pillow 9.5 is the last of the line the study's environment had; later ones refuse to keep 0 bits (`posterize`), which
timm's magnitude 10 asks for. timm's package does not import on torch 2, so its module is loaded from its file.

Pictures are by formulas that the test repeats. Of the small one every byte is kept, of the others a SHA-256.
"""

import base64
import hashlib
import json
import pathlib
import sys

import numpy as np
import PIL
import PIL.Image
from formula import noise

sys.path.append(str(pathlib.Path(__file__).resolve().parents[3] / "tests/peers"))
from timm_from_file import auto_augment  # noqa: E402

FILL = (124, 116, 104)
WHOLE = "noise 24x20"

# The argument of each operation as timm's functions take it; translations as a share of the side.
FACTORS = [0.0, 0.1, 0.19, 0.955, 1.0, 1.045, 1.81, 1.9]
SHEARS = [-0.3, -0.2713, 0.0, 0.0401, 0.3]
SHARES = [-0.45, -0.4071, 0.0, 0.125, 0.45]
CASES = [
    ("auto_contrast", [None]),
    ("equalize", [None]),
    ("invert", [None]),
    ("rotate", [-30.0, -27.31, 0.0, 3.3, 30.0, 90.0, 180.0]),
    ("posterize", [0, 1, 2, 4, 8]),
    ("solarize", [0, 26, 128, 256]),
    ("solarize_add", [0, 99, 110]),
    ("color", FACTORS),
    ("contrast", FACTORS),
    ("brightness", FACTORS),
    ("sharpness", FACTORS),
    ("shear_x", SHEARS),
    ("shear_y", SHEARS),
    ("translate_x_rel", SHARES),
    ("translate_y_rel", SHARES),
]


def ramps(width, height):
    """Three ramps, at most 200."""
    y, x = np.mgrid[:height, :width]
    rgb = [x * 200 // width, y * 200 // height, (x + y) * 200 // (width + height)]
    return np.stack(rgb, axis=-1).astype(np.uint8)


def constant(width, height):
    return np.broadcast_to(np.array([7, 130, 255], np.uint8), (height, width, 3)).copy()


def one_channel(width, height):
    """Noise in red, a single value in green, two in blue."""
    pixels = noise(width, height)
    pixels[:, :, 1] = 0
    pixels[:, :, 2] = np.where(pixels[:, :, 2] < 128, 3, 250)
    return pixels


PICTURES = [
    ("noise", 24, 20, noise),
    ("noise", 224, 224, noise),
    ("ramps", 224, 224, ramps),
    ("noise", 61, 48, noise),
    ("constant", 16, 12, constant),
    ("one channel", 48, 40, one_channel),
    ("noise", 31, 1, noise),
    ("noise", 1, 17, noise),
    ("noise", 2, 2, noise),
    ("noise", 3, 3, noise),
]


def main():
    timm = auto_augment()
    pictures = [(f"{name} {width}x{height}", PIL.Image.fromarray(make(width, height)))
                for name, width, height, make in PICTURES]
    cases = []
    for name, arguments in CASES:
        for argument in arguments:
            case = {"op": name, "argument": argument, "sha256": {}}
            for label, picture in pictures:
                options = {"fillcolor": FILL, "resample": PIL.Image.BICUBIC}
                made = getattr(timm, name)(picture, *([] if argument is None else [argument]), **options)
                data = np.asarray(made).tobytes()
                case["sha256"][label] = hashlib.sha256(data).hexdigest()[:32]
                if label == WHOLE:
                    case["pixels"] = base64.b64encode(data).decode()
            cases.append(case)
    document = {"versions": {"timm": "0.4.12", "pillow": PIL.__version__}, "fill": FILL, "whole": WHOLE, "cases": cases}
    json.dump(document, sys.stdout, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
