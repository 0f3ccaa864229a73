"""How close the images of a shard are to an exact-area resize in floating point of the pictures they came from."""

import tarfile

import cv2
import numpy as np


def overlaps(source, target):
    """Matrix (target × source) of the share each source pixel has in each target pixel: exact area averaging."""
    edges = np.linspace(0, source, target + 1)
    first, last = edges[:-1, None], edges[1:, None]
    pixels = np.arange(source)[None, :]
    covered = np.clip(np.minimum(last, pixels + 1) - np.maximum(first, pixels), 0, None)
    return covered / covered.sum(axis=1, keepdims=True)


def exact_area(image, width, height):
    """Unrounded, as float: what a perfect area resize of the decoded picture gives."""
    rows, columns = overlaps(image.shape[0], height), overlaps(image.shape[1], width)
    return np.stack([rows @ image[:, :, c].astype(np.float64) @ columns.T for c in range(image.shape[2])], axis=2)


def decode(data):
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.imdecode(np.frombuffer(data, np.uint8), flags)


def psnr_db(a, b):
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return float("inf") if error == 0 else 10 * np.log10(255.0**2 / error)


class Reference:
    """Exact-area versions of a folder of pictures, made on first use and kept."""

    def __init__(self, folder):
        self.folder = folder
        self.made = {}

    def of(self, name, width, height):
        key = (name, width, height)
        if key not in self.made:
            picture = decode((self.folder / name).read_bytes())
            # Enlarged pictures have no area reference.
            shrunk = picture.shape[0] >= height and picture.shape[1] >= width
            self.made[key] = exact_area(picture, width, height) if shrunk else None
        return self.made[key]


def images(tar, wanted):
    """(key, bytes) of the JPEGs of a tar whose key is in `wanted`."""
    with tarfile.open(tar) as archive:
        for member in archive:
            key, _, extension = member.name.partition(".")
            if extension == "jpg" and key in wanted:
                yield key, archive.extractfile(member).read()


def measure(tar, name_of_key, reference):
    """PSNR in dB of each picture of `tar`, by the file name it came from (the first sample of each counts)."""
    found = {}
    for key, data in images(tar, name_of_key):
        name = name_of_key[key]
        if name in found:
            continue
        picture = decode(data)
        exact = reference.of(name, picture.shape[1], picture.shape[0])
        if exact is not None:
            found[name] = psnr_db(picture, exact)
    return found
