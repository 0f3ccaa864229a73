"""Makes train/tests/parity/fixtures/transfer.safetensors: zero-shot heads by open_clip's own builder, what it says
of a few hundred pictures, and fine-tuning steps as WiSE-FT makes them, in the peer venv of tests/peers/install.sh:

    $PAIRMILL_CACHE/peers/open_clip/bin/python train/tests/parity/transfer.py
"""

import numpy as np
import open_clip
import torch
from dump import FIXTURES, HERE, MODELS, fill, from_file, image_size
from open_clip_train.scheduler import cosine_lr
from reference import pixels, weight
from safetensors.numpy import save_file

# As in transfer.rs. The rate is one of the study's.
CLASSES = ["red circle", "green_square", "a Very Long-Haired cat", "SeaLake", "naïve café"]
TEMPLATES = ["a photo of a {}.", "itap of the {}.", "a bad sketch of {}"]
PICTURES = 320
STEPS, WARMUP, LR, DECAY, BATCH, BATCHES, NUM_CLASSES = 50, 10, 3e-4, 0.1, 8, 4, 5


def zero_shot(name: str) -> dict[str, np.ndarray]:
    """The head, and what it says of the formula's pictures."""
    model = from_file(MODELS / f"{name}.toml")
    fill(model)
    model.eval()
    templates = [lambda c, t=t: t.replace("{}", c) for t in TEMPLATES]
    head = open_clip.build_zero_shot_classifier(
        model, open_clip.get_tokenizer("RN50"), CLASSES, templates, device="cpu"
    )
    with torch.no_grad():
        features = model.encode_image(torch.from_numpy(pixels(BATCH, image_size(model))), normalize=True)
    return {
        f"{name}.head": head.T.contiguous().numpy(),
        f"{name}.scores": (model.logit_scale.exp() * features @ head).detach().numpy(),
    }


def predictions(name: str) -> dict[str, np.ndarray]:
    """What zero-shot says of each of a few hundred pictures.

    Features of weights from a formula are nearly one vector, and so is what they are called. The bias behind the tower's
    last layer takes the mean off, so that every class is given; the fixture holds it."""
    model = from_file(MODELS / f"{name}.toml")
    fill(model)
    model.eval()
    images = torch.from_numpy(pixels(PICTURES, image_size(model)))
    resnet = hasattr(model.visual, "attnpool")
    last = model.visual.attnpool.c_proj if resnet else model.visual.ln_post
    outputs = []
    hook = model.visual.ln_post.register_forward_hook(lambda *call: outputs.append(call[-1])) if not resnet else None
    with torch.no_grad():
        output = model.encode_image(images)
        if hook:
            hook.remove()
            # Where all tokens are normalised the first is pooled.
            output = outputs[0][:, 0] if outputs[0].dim() == 3 else outputs[0]
        last.bias -= output.mean(dim=0)
    templates = [lambda c, t=t: t.replace("{}", c) for t in TEMPLATES]
    head = open_clip.build_zero_shot_classifier(
        model, open_clip.get_tokenizer("RN50"), CLASSES, templates, device="cpu"
    )
    with torch.no_grad():
        logits = model.logit_scale.exp() * model.encode_image(images, normalize=True) @ head
    given = logits.argmax(dim=1)
    first, second = logits.topk(2).values.unbind(dim=1)
    counts = torch.bincount(given, minlength=len(CLASSES))
    print(f"{name}: given {counts.tolist()}, least margin {(first - second).min():.2g}")
    # Farther from ties than rounding reaches, and each class is given.
    assert (first - second).min() > 2e-4 and counts.min() >= 5, name
    layer = "visual.attnpool.c_proj.bias" if resnet else "visual.ln_post.bias"
    return {f"{name}.{layer}": last.bias.detach().numpy(), f"{name}.predictions": given.numpy()}


class ImageClassifier(torch.nn.Module):
    """A tower and a linear head over unit features, under our names."""

    def __init__(self, model: torch.nn.Module, embed_dim: int) -> None:
        super().__init__()
        self.visual = model.visual
        self.head = torch.nn.Linear(embed_dim, NUM_CLASSES)
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(weight("head.weight", tuple(self.head.weight.shape))))
            self.head.bias.zero_()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.visual(images)
        return self.head(features / features.norm(dim=-1, keepdim=True))


def tune(name: str, embed_dim: int) -> dict[str, np.ndarray]:
    """Losses of fifty steps, batches of the formula's pictures in turn, and the scores after them.

    In float64, as the hundred steps of dump.py."""
    clip = from_file(HERE / f"{name}.toml")
    fill(clip)
    side = image_size(clip)
    model = ImageClassifier(clip, embed_dim).double()
    images = torch.from_numpy(pixels(BATCH * BATCHES, side)).double()
    labels = torch.arange(BATCH * BATCHES) % NUM_CLASSES
    optimiser = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=DECAY)
    schedule = cosine_lr(optimiser, LR, WARMUP, STEPS)
    losses = []
    model.train()
    for step in range(STEPS):
        schedule(step)
        optimiser.zero_grad()
        rows = slice(step % BATCHES * BATCH, (step % BATCHES + 1) * BATCH)
        loss = torch.nn.functional.cross_entropy(model(images[rows]), labels[rows])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        scores = model(images[:BATCH]).numpy()
    return {f"{name}.losses": np.array(losses), f"{name}.tuned_scores": scores}


def main() -> None:
    torch.set_num_threads(1)
    arrays: dict[str, np.ndarray] = {}
    for name in ("rn_tiny", "vit_tiny"):
        arrays |= zero_shot(name)
        arrays |= predictions(name)
    for name in ("rn_micro", "vit_micro"):
        arrays |= tune(name, 12)
    save_file(arrays, FIXTURES / "transfer.safetensors")


if __name__ == "__main__":
    main()
