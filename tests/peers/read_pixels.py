#!/usr/bin/env python3
"""read_pixels.py CROP_DUMP FOLDER...: every pixel that the trainer's decoder makes of real pictures, against torchvision
over PIL: the evaluation transform and random windows of both usual scales. CROP_DUMP is the example of pairmill-pixels.

Besides the folders' files, their first pictures in other forms: PNG with palette, alpha, grey and 16 bits, WebP, and JPEGs of
each chroma layout, progressive, grey and CMYK. Fails where the mean of |difference| over a picture is above one
level (1.25 over planes)."""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import PIL.Image
import torch
import torchvision.transforms.v2 as transforms
import torchvision.transforms.v2.functional as vision

SIDE = 224
BICUBIC = transforms.InterpolationMode.BICUBIC
TOLERANCE = 1.0
# Planes are an option, and 4:2:0 chroma of saturated pictures takes another way than PIL's.
PLANES_TOLERANCE = 1.25
FORMS = {
    "palette.png": lambda image: (image.convert("P"), {}),
    "alpha.png": lambda image: (image.convert("RGBA"), {}),
    "grey.png": lambda image: (image.convert("L"), {}),
    "lossless.webp": lambda image: (image, {"lossless": True}),
    "lossy.webp": lambda image: (image, {"quality": 90}),
    "444.jpg": lambda image: (image, {"subsampling": 0, "quality": 92}),
    "422.jpg": lambda image: (image, {"subsampling": 1, "quality": 92}),
    "420.jpg": lambda image: (image, {"subsampling": 2, "quality": 92}),
    "progressive.jpg": lambda image: (image, {"progressive": True, "subsampling": 2}),
    "grey.jpg": lambda image: (image.convert("L"), {}),
    "cmyk.jpg": lambda image: (image.convert("CMYK"), {}),
    "large.jpg": lambda image: (image.resize((image.width * 4, image.height * 4), PIL.Image.Resampling.BICUBIC), {}),
}


def requests(paths):
    """(path, None or a window) of every comparison."""
    for number, path in enumerate(paths):
        with PIL.Image.open(path) as image:
            yield path, None
            scale = (0.9, 1.0) if number % 2 else (0.08, 1.0)
            drawn = transforms.RandomResizedCrop(SIDE, scale=scale).make_params([image])
            yield path, tuple(drawn[name] for name in ("left", "top", "width", "height"))


def wanted(path, window):
    with PIL.Image.open(path) as file:
        image = file.convert("RGB")
    if window is None:
        made = vision.center_crop(vision.resize(image, SIDE, BICUBIC), [SIDE, SIDE])
    else:
        left, top, width, height = window
        made = vision.resized_crop(image, top, left, height, width, [SIDE, SIDE], BICUBIC)
    return np.asarray(made).astype(np.int16)


def compare(dump, paths, flags):
    asked = list(requests(paths))
    lines = "".join(f"{path}\t{'centre' if window is None else ' '.join(map(str, window))}\n" for path, window in asked)
    done = subprocess.run([dump, str(SIDE), *flags], input=lines.encode(), stdout=subprocess.PIPE, check=True).stdout
    pictures = np.frombuffer(done, np.uint8).reshape(len(asked), SIDE, SIDE, 3)
    means = []
    for (path, window), ours in zip(asked, pictures, strict=True):
        difference = np.abs(ours.astype(np.int16) - wanted(path, window))
        means.append(float(difference.mean()))
        if means[-1] > (PLANES_TOLERANCE if "planes" in flags else TOLERANCE):
            sys.exit(f"{path} {window or 'centre'} {flags}: mean difference {means[-1]:.2f} levels")
    return means


def main():
    torch.manual_seed(0)
    dump, folders = sys.argv[1], [pathlib.Path(folder) for folder in sys.argv[2:]]
    paths = [path for folder in folders for path in sorted(folder.iterdir())]
    with tempfile.TemporaryDirectory() as work:
        for number, path in enumerate(paths[:8]):
            with PIL.Image.open(path) as image:
                for form, convert in FORMS.items():
                    made, options = convert(image.convert("RGB"))
                    made.save(pathlib.Path(work) / f"{number}-{form}", **options)
        paths += sorted(pathlib.Path(work).iterdir())
        words = []
        for name, flags in [("RGB", []), ("RGB, full-size decode", ["no-dct"]), ("planes", ["planes"])]:
            means = compare(dump, paths, flags)
            words.append(f"{name}: mean {np.mean(means):.3f}, worst picture {np.max(means):.3f}")
    print(f"{len(paths)} pictures, evaluation and random windows, |difference| in levels of 255: " + "; ".join(words))


if __name__ == "__main__":
    main()
