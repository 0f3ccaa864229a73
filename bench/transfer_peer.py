"""One few-shot fine-tuning as WiSE-FT's loop makes it, in PyTorch with open_clip and timm; prints one JSON object.

transfer_peer.py --model MODEL.toml --weights WEIGHTS.safetensors --task FOLDER --shots K --lr LR --epochs N --batch N
                 --seed S --templates FILE --evaluate (published|corrected)

A process is a run: model, zero-shot head, k images a class, then per epoch a pass with timm's training transform (random
crop, flip, RandAugment, random erasing), AdamW on every parameter, gradients clipped to 1, the cosine schedule, and an
evaluation. `published` evaluates the test set after every epoch and keeps the best, as the study's code does; `corrected`
looks at up to four held-out images a class after every epoch and tests once, at the epoch they chose. FOLDER holds
train/ and test/ with a folder per class.
"""

import argparse
import copy
import json
import pathlib
import sys

import numpy as np
import open_clip
import PIL.Image
import PIL.ImageOps
import torch
from open_clip_train.scheduler import cosine_lr
from safetensors.torch import load_file
from timm.data import auto_augment, create_transform
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import ImageFolder

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "train/tests/parity"))
from dump import from_file, image_size  # noqa: E402

MEAN, STD = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
WARMUP, WARMUP_SHARE, DECAY, CLIP_NORM, VALIDATION_SHOTS = 500, 0.1, 0.1, 1.0, 4
EVAL_BATCH = 256


def arguments():
    parser = argparse.ArgumentParser()
    for name in ("model", "weights", "task", "templates"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    for name in ("shots", "epochs", "batch", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--evaluate", choices=("published", "corrected"), required=True)
    return parser.parse_args()


def posterize(image, bits, **_):
    """timm asks for no bits at its largest magnitude, which Pillow took until version 9 and refuses now."""
    return PIL.ImageOps.posterize(image, bits) if bits > 0 else PIL.Image.new(image.mode, image.size)


class ImageClassifier(torch.nn.Module):
    """An image tower and a linear head over unit features."""

    def __init__(self, tower, weight):
        super().__init__()
        self.tower = tower
        self.head = torch.nn.Linear(*reversed(weight.shape))
        with torch.no_grad():
            self.head.weight.copy_(weight)
            self.head.bias.zero_()

    def forward(self, images):
        features = self.tower(images)
        return self.head(features / features.norm(dim=-1, keepdim=True))


def classifier(args, classes):
    clip = from_file(args.model)
    clip.load_state_dict(load_file(args.weights))
    clip.eval()
    templates = [lambda c, t=t: t.replace("{}", c) for t in args.templates.read_text().splitlines() if t]
    names = [name.replace("_", " ") for name in classes]
    tokenizer = open_clip.get_tokenizer("RN50")
    head = open_clip.build_zero_shot_classifier(clip, tokenizer, names, templates, device="cpu")
    with torch.no_grad():
        weight = (clip.logit_scale.exp() * head.T).contiguous()
    return ImageClassifier(clip.visual, weight), image_size(clip)


def draw(labels, shots, seed):
    """Positions of `shots` images a class to learn from, and of some of the rest to choose the epoch by."""
    rng, train, val = np.random.default_rng(seed), [], []
    labels = np.array(labels)
    for label in range(labels.max() + 1):
        order = rng.permutation(np.flatnonzero(labels == label))
        train += order[:shots].tolist()
        val += order[shots:shots + VALIDATION_SHOTS].tolist()
    return train, val


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    right = total = 0
    for images, labels in loader:
        right += (model(images).argmax(1) == labels).sum().item()
        total += len(labels)
    return 100 * right / total


def main():
    args = arguments()
    # Tiny batches gain nothing from a second thread, and its waiting would count as CPU time.
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    np.random.seed(args.seed)
    shape = dict(mean=MEAN, std=STD, interpolation="bicubic")
    auto_augment.NAME_TO_OP["PosterizeIncreasing"] = posterize
    learn = ImageFolder(args.task / "train")
    model, side = classifier(args, learn.classes)
    learn.transform = create_transform(side, is_training=True, auto_augment="rand-m9-mstd0.5-inc1", re_prob=0.25,
                                       re_mode="pixel", **shape)
    look = create_transform(side, is_training=False, crop_pct=0.875, **shape)
    train, val = draw(learn.targets, args.shots, args.seed)
    batches = DataLoader(Subset(learn, train), args.batch, shuffle=True)
    test = DataLoader(ImageFolder(args.task / "test", look), EVAL_BATCH)
    judge = test
    if args.evaluate == "corrected":
        judge = DataLoader(Subset(ImageFolder(args.task / "train", look), val), EVAL_BATCH)
    total = len(batches) * args.epochs
    warmup = min(WARMUP, -(-total * WARMUP_SHARE // 1)) if args.evaluate == "corrected" else WARMUP
    optimiser = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=DECAY)
    schedule = cosine_lr(optimiser, args.lr, warmup, total)
    step, best, kept = 0, -1.0, None
    for _ in range(args.epochs):
        model.train()
        for images, labels in batches:
            schedule(step)
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(images), labels).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
            optimiser.step()
            step += 1
        found = accuracy(model, judge)
        if found > best:
            best = found
            kept = copy.deepcopy(model.state_dict()) if judge is not test else None
    if kept is not None:
        model.load_state_dict(kept)
        best = accuracy(model, test)
    print(json.dumps({"acc1": best, "steps": step, "train": len(train), "test": len(test.dataset)}))


if __name__ == "__main__":
    main()
