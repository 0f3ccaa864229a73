"""Makes large JPEGs (3000×2250) out of a folder of small ones: mosaics, which have the sharpest detail a picture of the
web can have, and single pictures enlarged, which are as soft as what a camera writes at full size."""

import pathlib
import random

import cv2
import numpy as np

COLUMNS, ROWS, TILE_WIDTH, TILE_HEIGHT = 6, 6, 500, 375
# Cameras subsample; one file in four does not.
SAMPLINGS = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420] * 3 + [cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]


def tile(path):
    """The picture cut (never scaled) to the tile, mirrored outwards where it is too small."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)[:TILE_HEIGHT, :TILE_WIDTH]
    below, right = TILE_HEIGHT - picture.shape[0], TILE_WIDTH - picture.shape[1]
    return cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_REFLECT)


def mosaic(paths, pick):
    chosen = [pick.choice(paths) for _ in range(COLUMNS * ROWS)]
    rows = [np.hstack([tile(p) for p in chosen[r * COLUMNS : (r + 1) * COLUMNS]]) for r in range(ROWS)]
    return np.vstack(rows)


def enlarged(paths, pick):
    """One picture at six times its size, with the grain of a sensor."""
    picture = cv2.imread(str(pick.choice(paths)), cv2.IMREAD_COLOR)
    large = cv2.resize(picture, (COLUMNS * TILE_WIDTH, ROWS * TILE_HEIGHT), interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(pick.randrange(1 << 32)).normal(0, 2, large.shape)
    return np.clip(large + grain, 0, 255).astype(np.uint8)


def make(draw, sources, folder, count, quality, seed=0):
    """Writes `count` pictures by `draw` into `folder` unless they are there. The same seed gives the same files."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = sorted(p for p in pathlib.Path(sources).iterdir() if p.is_file())
    for number in range(count):
        target = folder / f"{draw.__name__}{number:03d}.jpg"
        if target.exists():
            continue
        picture = draw(paths, random.Random(f"{seed} {number}"))
        options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLINGS[number % len(SAMPLINGS)]]
        cv2.imwrite(str(target), picture, options)
    return folder
