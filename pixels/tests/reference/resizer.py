"""Runs img2dataset's own Resizer over synthetic pictures and writes what it did to resizer.json.

    python -m venv venv && venv/bin/pip install "img2dataset==1.47.0" "albumentations==1.4.24" "setuptools<80"
    venv/bin/python resizer.py > resizer.json          (Python 3.11: it needs imghdr)

The pictures are made by a formula that tests/parity.rs repeats, so no input file is needed. All samples are at most 200,
so that white border is told from picture. Output is PNG, so that pixels can be compared.
"""

import io
import json
import sys
import warnings

warnings.filterwarnings("ignore")

import cv2
import numpy as np
from img2dataset.resizer import Resizer

SIZES = [(640, 480), (480, 640), (500, 375), (123, 456), (456, 123), (321, 421), (389, 535), (257, 256), (256, 256),
         (255, 300), (100, 100), (64, 48), (33, 77), (1, 1), (3, 200), (700, 2), (513, 511), (1023, 33)]
MODES = ["no", "border", "keep_ratio", "keep_ratio_largest", "center_crop"]


def picture(width, height, channels):
    x = np.arange(width)[None, :]
    y = np.arange(height)[:, None]
    planes = [x * 200 // width + 0 * y, y * 200 // height + 0 * x, (x + y) * 200 // (width + height)]
    rgb = np.stack(planes, -1).astype(np.uint8)
    if channels == 1:
        return rgb[..., 2]
    if channels == 4:
        alpha = (x * 7 + y * 13) % 256
        return np.concatenate([rgb[..., ::-1], alpha[..., None].astype(np.uint8)], -1)
    return rgb[..., ::-1]


def run(width, height, channels, mode, only_if_bigger, size):
    source = cv2.imencode(".png", picture(width, height, channels))[1].tobytes()
    resizer = Resizer(size, mode, only_if_bigger, encode_format="png", encode_quality=1, upscale_interpolation="linear")
    data, out_w, out_h, orig_w, orig_h, error = resizer(io.BytesIO(source))
    case = dict(width=width, height=height, channels=channels, mode=mode, only_if_bigger=only_if_bigger, size=size)
    if error is not None:
        return dict(case, error=error)
    made = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    grey = made.ndim == 2
    dark = (made if grey else made.min(-1)) < 220
    if channels == 4 and mode == "border":
        box = None  # matting whitens the picture itself
    else:
        rows, cols = np.flatnonzero(dark.any(1)), np.flatnonzero(dark.any(0))
        box = [int(cols[0]), int(rows[0]), int(out_w - 1 - cols[-1]), int(out_h - 1 - rows[-1])]
    spots = []
    for fx, fy in [(0.5, 0.5), (0.1, 0.3), (0.9, 0.6), (0.3, 0.95), (0.0, 0.0), (0.999, 0.999)]:
        px, py = int(fx * out_w), int(fy * out_h)
        value = made[py, px]
        spots.append([px, py] + ([int(value)] * 3 if grey else [int(v) for v in value[::-1]]))
    return dict(case, out=[out_w, out_h], original=[orig_w, orig_h], grey=grey, border=box, spots=spots)


def gates():
    """Which check wins, with sizes that break several."""
    found = []
    for (w, h, kwargs) in [
        (30, 400, dict(min_image_size=31)),
        (30, 400, dict(min_image_size=30)),
        (30, 400, dict(min_image_size=31, max_image_area=100, max_aspect_ratio=1.5)),
        (30, 400, dict(max_image_area=11_999, max_aspect_ratio=1.5)),
        (30, 400, dict(max_image_area=12_000, max_aspect_ratio=13.4)),
        (30, 400, dict(max_aspect_ratio=13.3)),
    ]:
        source = cv2.imencode(".png", picture(w, h, 3))[1].tobytes()
        found.append(dict(width=w, height=h, **kwargs, error=Resizer(64, "no", False, **kwargs)(io.BytesIO(source))[5]))
    return found


def reencodes():
    """Whether skip_reencode hands the source bytes through."""
    found = []
    for (fmt, channels, mode, only, size) in [
        ("jpg", 3, "no", False, 64), ("jpg", 3, "keep_ratio", True, 200), ("jpg", 3, "keep_ratio", True, 64),
        ("jpg", 3, "keep_ratio", False, 100), ("jpg", 1, "border", True, 200), ("png", 3, "no", False, 64),
        ("png", 4, "no", False, 64), ("webp", 3, "no", False, 64),
    ]:
        source = cv2.imencode("." + fmt, picture(120, 100, channels))[1].tobytes()
        for target in ["jpg", "png", "webp"]:
            quality = 1 if target == "png" else 95
            made = Resizer(size, mode, only, encode_format=target, encode_quality=quality, skip_reencode=True)(io.BytesIO(source))
            found.append(dict(format=fmt, channels=channels, mode=mode, only_if_bigger=only, size=size,
                              target=target, kept=made[0] == source))
    return found


cases = [run(w, h, 3, mode, only, size) for (w, h) in SIZES for mode in MODES for only in (False, True)
         for size in (256, 97)]
cases += [run(w, h, c, mode, False, 97) for (w, h) in [(150, 90), (60, 41)] for c in (1, 4) for mode in MODES]
lines = lambda rows: "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]"
sys.stdout.write('{"cases": %s,\n"gates": %s,\n"reencodes": %s}\n' % (lines(cases), lines(gates()), lines(reencodes())))
