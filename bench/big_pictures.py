"""Makes large JPEGs (3000×2250 and more) out of a folder of small ones, as mosaics: real detail at camera size."""

import pathlib
import random

import cv2
import numpy as np

COLUMNS, ROWS, TILE_WIDTH, TILE_HEIGHT = 6, 6, 500, 375
QUALITY = 92
# Cameras subsample; one file in four does not.
SAMPLINGS = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420] * 3 + [cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]


def tile(path):
    """The picture cut (never scaled) to the tile, mirrored outwards where it is too small."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)[:TILE_HEIGHT, :TILE_WIDTH]
    below, right = TILE_HEIGHT - picture.shape[0], TILE_WIDTH - picture.shape[1]
    return cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_REFLECT)


def make(sources, folder, count, seed=0):
    """Writes `count` mosaics into `folder` unless they are there. The same seed gives the same files."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = sorted(p for p in pathlib.Path(sources).iterdir() if p.is_file())
    pick = random.Random(seed)
    for number in range(count):
        chosen = [pick.choice(paths) for _ in range(COLUMNS * ROWS)]
        target = folder / f"mosaic{number:03d}.jpg"
        if target.exists():
            continue
        rows = [np.hstack([tile(p) for p in chosen[r * COLUMNS : (r + 1) * COLUMNS]]) for r in range(ROWS)]
        sampling = SAMPLINGS[number % len(SAMPLINGS)]
        options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
        cv2.imwrite(str(target), np.vstack(rows), options)
    return folder
