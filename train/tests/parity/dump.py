"""Makes train/tests/parity/fixtures from open_clip. Run it in the peer venv of tests/peers/install.sh:

    $PAIRMILL_CACHE/peers/open_clip/bin/python train/tests/parity/dump.py [MODEL...]

Everything comes from the formulas of reference.py; the fixtures hold what open_clip makes of it.
"""

import hashlib
import json
import math
import sys
import tomllib
from pathlib import Path

import numpy as np
import open_clip
import torch
from open_clip.loss import ClipLoss
from open_clip.model import CLIP, resize_pos_embed
from open_clip_train.scheduler import cosine_lr
from reference import digest, pixels, tokens, weight
from safetensors.numpy import save_file

HERE = Path(__file__).parent
MODELS = HERE.parents[1] / "models"
FIXTURES = HERE / "fixtures"
BATCH = 4
# The large models cost seconds a picture.
LARGE_BATCH = 2
# As in main.rs.
TRAIN_STEPS, TRAIN_WARMUP, TRAIN_LR, TRAIN_BATCH, TRAIN_BATCHES = 100, 10, 5e-4, 8, 4


def from_file(path: Path, **other: int) -> CLIP:
    """open_clip's model of one of our architecture files, its image tower with some settings of its own."""
    a = tomllib.loads(path.read_text())
    vision = {key: value for key, value in a["visual"].items() if key != "kind"} | other
    return CLIP(a["embed_dim"], vision, a["text"], quick_gelu=a["activation"] == "quick_gelu")


def entries(model: CLIP) -> list[tuple[str, torch.Tensor]]:
    return sorted(model.state_dict().items())


def listing(model: CLIP) -> str:
    """A line per entry: name, role, shape."""
    learned = {name for name, _ in model.named_parameters()}
    role = lambda name: "parameter" if name in learned else "buffer"  # noqa: E731
    return "".join(f"{name} {role(name)} {list(tensor.shape)}\n" for name, tensor in entries(model))


def fill(model: CLIP) -> None:
    with torch.no_grad():
        for name, tensor in entries(model):
            if tensor.dtype == torch.float32:
                tensor.copy_(torch.from_numpy(weight(name, tuple(tensor.shape))))


def image_size(model: CLIP) -> int:
    size = model.visual.image_size
    return size[0] if isinstance(size, tuple) else size


def inputs(model: CLIP, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    return (
        torch.from_numpy(pixels(count, image_size(model))),
        torch.from_numpy(tokens(count, model.context_length, model.vocab_size)),
    )


def features(model: CLIP, count: int) -> dict[str, np.ndarray]:
    image, text = inputs(model, count)
    model.eval()
    with torch.no_grad():
        return {"image_features": model.encode_image(image).numpy(), "text_features": model.encode_text(text).numpy()}


def step(model: CLIP, count: int, whole: bool) -> dict[str, np.ndarray]:
    """Loss, gradients, and what batch norm keeps, of one batch in training mode.

    In float64: through fifty layers the rounding of float32 differs between processors by more than the bound."""
    image, text = inputs(model, count)
    image = image.double()
    model.double()
    model.train()
    image_features, text_features, scale = model(image, text)
    loss = ClipLoss()(image_features, text_features, scale)
    loss.backward()
    out = {
        "loss": loss.detach().numpy(),
        "train_image_features": image_features.detach().numpy(),
        "train_text_features": text_features.detach().numpy(),
    }
    gradients = sorted((name, parameter.grad.numpy()) for name, parameter in model.named_parameters())
    running = [(name, t.numpy()) for name, t in entries(model) if "running" in name]
    out["gradients"] = np.stack([digest(name, array) for name, array in gradients])
    if running:
        out["running"] = np.stack([digest(name, array) for name, array in running])
    if whole:
        out |= {f"gradient.{name}": array.astype(np.float32) for name, array in gradients}
    model.float()
    return out


def train(model: CLIP) -> np.ndarray:
    """Losses of a hundred steps as open_clip_train makes them: its AdamW, its schedule, its clamp.

    In float64: rounding grows a thousandfold in as many steps, and differs from one kind of processor to the next."""
    model.double()
    image, text = inputs(model, TRAIN_BATCH * TRAIN_BATCHES)
    image = image.double()
    named = list(model.named_parameters())
    spared = lambda name, p: p.ndim < 2 or any(part in name for part in ("bn", "ln", "bias", "logit_scale"))  # noqa: E731
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for name, p in named if spared(name, p)], "weight_decay": 0.0},
            {"params": [p for name, p in named if not spared(name, p)], "weight_decay": 0.2},
        ],
        lr=TRAIN_LR,
        betas=(0.9, 0.98),
        eps=1e-6,
    )
    schedule = cosine_lr(optimiser, TRAIN_LR, TRAIN_WARMUP, TRAIN_STEPS)
    model.train()
    losses = []
    for step in range(TRAIN_STEPS):
        schedule(step)
        optimiser.zero_grad()
        rows = slice(step % TRAIN_BATCHES * TRAIN_BATCH, (step % TRAIN_BATCHES + 1) * TRAIN_BATCH)
        loss = ClipLoss()(*model(image[rows], text[rows]))
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
        losses.append(loss.item())
    return np.array(losses)


def initial(model: CLIP) -> np.ndarray:
    """Mean, standard deviation and largest magnitude of each fresh parameter."""
    return np.stack(
        [
            [p.mean().item(), p.std(correction=0).item(), p.abs().max().item()]
            for _, p in sorted((name, p.detach()) for name, p in model.named_parameters())
        ]
    )


def resized(path: Path, sizes: list[int]) -> dict[str, np.ndarray]:
    """Position embeddings of the formula's weights as open_clip fits them to pictures of other sizes."""
    model = from_file(path)
    fill(model)
    out = {}
    for size in sizes:
        state = model.state_dict()
        resize_pos_embed(state, from_file(path, image_size=size))
        out[str(size)] = state["visual.positional_embedding"].contiguous().numpy()
    return out


def main() -> None:
    torch.manual_seed(1)
    FIXTURES.mkdir(exist_ok=True)
    wanted = set(sys.argv[1:])
    digested = {name: lambda name=name: open_clip.create_model(name) for name in ("RN50-quickgelu", "ViT-B-32")}
    digested |= {name: lambda name=name: from_file(MODELS / f"{name}.toml") for name in ("rn_tiny", "vit_tiny")}
    whole = {name: lambda name=name: from_file(HERE / f"{name}.toml") for name in ("rn_micro", "vit_micro")}
    plain = {name: lambda name=name: open_clip.create_model(name) for name in ("RN50", "ViT-B-32-quickgelu")}
    for name, make in (digested | whole | plain).items():
        if wanted and name not in wanted:
            continue
        model = make()
        out = {"initial": initial(model)} if name.endswith("tiny") else {}
        fill(model)
        count = 1 if name in plain else LARGE_BATCH if "-" in name else BATCH
        out |= features(model, count)
        if name not in plain:
            out |= step(model, count, name in whole)
        if name in whole:
            fill(model)
            out["losses"] = train(model)
        save_file(out, FIXTURES / f"{name}.safetensors")
        print(name, {key: value.shape for key, value in out.items() if "." not in key}, out.get("loss"))
    if not wanted or "resized" in wanted:
        save_file(resized(HERE / "vit_micro.toml", [16, 40]), FIXTURES / "resized.safetensors")
    if not wanted:
        shapes = {}
        for name in ("RN50", "RN101", "RN50x4", "ViT-B-32", "ViT-B-16"):
            model = open_clip.create_model(name)
            text = listing(model)
            parameters = sum(p.numel() for p in model.parameters())
            shapes[name] = {"parameters": parameters, "sha256": hashlib.sha256(text.encode()).hexdigest()}
        (FIXTURES / "shapes.json").write_text(json.dumps(shapes, indent=2) + "\n")


if __name__ == "__main__":
    main()
