#!/usr/bin/env python3
"""read_open_clip.py FOLDER: open_clip's own WebDataset loader (open_clip_train.data.get_wds_dataset) on our shards.

Evaluation order first: every captioned sample once, images and token ids equal to what PIL and the tokenizer make of
the members. Then training, where the size comes from `sizes.json` and batches are shuffled."""

import importlib.metadata
import io
import math
import sys

import open_clip
import PIL.Image
import torch
import torchvision.transforms.functional as vision
from open_clip_train.data import get_wds_dataset
from open_clip_train.params import parse_args

import plain_tar

SIDE = 64
MAX_BATCH = 20


def preprocess(image):
    return vision.to_tensor(vision.center_crop(vision.resize(image.convert("RGB"), SIDE), [SIDE, SIDE]))


def arguments(tars, batch):
    first, last = tars[0].stem, tars[-1].stem
    pattern = str(tars[0].parent / f"{{{first}..{last}}}.tar") if len(tars) > 1 else str(tars[0])
    args = parse_args(["--dataset-type", "webdataset", "--batch-size", str(batch), "--workers", "1"])
    args.train_data = args.val_data = pattern
    args.world_size, args.rank = 1, 0
    return args


def wanted(tars):
    """(image tensor, token ids) of every sample open_clip keeps: it drops those without text."""
    tokenize = open_clip.get_tokenizer("RN50")
    for tar in tars:
        for _, members in plain_tar.samples(tar):
            image = next((members[e] for e in ("jpg", "png", "jpeg", "webp") if e in members), None)
            if image is not None and "txt" in members:
                yield preprocess(PIL.Image.open(io.BytesIO(image))), tokenize(members["txt"].decode())[0]


def read(folder):
    tars = plain_tar.tars(folder)
    tokenize = open_clip.get_tokenizer("RN50")
    expected = list(wanted(tars))
    promised = sum(plain_tar.count(tar) for tar in tars)
    # With fewer samples than a batch, open_clip waits for ever for the first one.
    batch = min(MAX_BATCH, promised)

    info = get_wds_dataset(arguments(tars, batch), preprocess, is_train=False, tokenizer=tokenize)
    seen = 0
    for images, texts in info.dataloader:
        for image, text in zip(images, texts, strict=True):
            if seen == len(expected):
                raise plain_tar.Difference(f"{folder}: more than the {seen} captioned samples of the tars")
            where = f"{folder}, sample {seen}"
            if not torch.equal(image, expected[seen][0]):
                raise plain_tar.Difference(f"{where}: other pixels than PIL decodes from the member")
            if not torch.equal(text, expected[seen][1]):
                raise plain_tar.Difference(f"{where}: other tokens than those of the txt member")
            seen += 1
    plain_tar.expect(folder, "the number of evaluated samples", seen, len(expected))

    # No --train-num-samples: the size must come from sizes.json.
    info = get_wds_dataset(arguments(tars, batch), preprocess, is_train=True, tokenizer=tokenize)
    plain_tar.expect(folder, "num_samples from sizes.json", info.dataloader.num_samples, math.ceil(promised / batch) * batch)
    trained = 0
    for images, texts in info.dataloader:
        plain_tar.expect(folder, "a training batch", (tuple(images.shape), len(texts)), ((batch, 3, SIDE, SIDE), batch))
        trained += len(texts)
    plain_tar.expect(folder, "samples in a training epoch", trained, info.dataloader.num_samples)
    version = importlib.metadata.version("open_clip_torch")
    wds = importlib.metadata.version("webdataset")
    return f"open_clip {version} on webdataset {wds}: {seen} evaluated equal, {trained} trained, size from sizes.json"


if __name__ == "__main__":
    plain_tar.report(lambda: read(sys.argv[1]))
