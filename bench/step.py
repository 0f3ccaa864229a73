"""Training steps of open_clip beside step_bench (ours), each in a process of its own, in turn; prints one table.

step.py --binary STEP_BENCH --shards SHARDS [--device cpu] [--models RN50-quickgelu,...] [--batches 16] [--precision fp32]
        [--steps 6] [--runs 3] [--compile] [--fed] [--out FOLDER]
step.py --peer MODEL BATCH PRECISION DEVICE STEPS SHARDS (eager|compile)   the peer's side, one JSON object

Both sides take images and captions of the same shards, since what is gained by cutting the padding off captions depends
on the longest caption of a batch: the larger the batch, the longer it is.
"""

import argparse
import io
import json
import os
import pathlib
import platform
import random
import statistics
import subprocess
import sys
import tarfile
import time



def samples(shards, count):
    """`count` random samples of the folder's tars: images and captions."""
    from PIL import Image

    found = {}
    for path in sorted(pathlib.Path(shards).glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, extension = member.name.partition(".")
                if extension in ("jpg", "txt"):
                    found.setdefault(key, {})[extension] = tar.extractfile(member).read()
    whole = [found[key] for key in sorted(found) if len(found[key]) == 2]
    chosen = random.Random(0).sample(whole, count)
    return [Image.open(io.BytesIO(one["jpg"])) for one in chosen], [one["txt"].decode() for one in chosen]


def peer(model, batch, precision, device, steps, shards, how):
    import open_clip
    import torch
    from open_clip.loss import ClipLoss

    batch, steps, warm_up = int(batch), int(steps), int(os.environ.get("STEP_BENCH_WARM_UP", 3))
    torch.manual_seed(0)
    net = open_clip.create_model(model, precision="fp32", device=device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    decays = lambda name, p: not (p.ndim < 2 or "bn" in name or "ln" in name or "bias" in name or "logit_scale" in name)
    named = [(n, p) for n, p in net.named_parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for n, p in named if not decays(n, p)], "weight_decay": 0.0},
            {"params": [p for n, p in named if decays(n, p)], "weight_decay": 0.1},
        ],
        lr=1e-4,
    )
    side = net.visual.image_size if isinstance(net.visual.image_size, int) else net.visual.image_size[0]
    pictures, captions = samples(shards, batch)
    transform = open_clip.image_transform(side, is_train=True)
    images = torch.stack([transform(picture) for picture in pictures]).to(device)
    tokens = open_clip.get_tokenizer(model)(captions).to(device)
    longest = int((tokens != 0).sum(dim=1).max())
    criterion = ClipLoss()
    run = torch.compile(net) if how == "compile" else net
    kind = {"amp_bf16": torch.bfloat16, "amp": torch.float16}.get(precision)
    net.train()
    for step in range(warm_up + steps):
        if step == warm_up:
            if device != "cpu":
                torch.cuda.synchronize()
            begun, cpu = time.monotonic(), time.process_time()
        optimiser.zero_grad()
        with torch.autocast(device, dtype=kind or torch.bfloat16, enabled=kind is not None):
            image_features, text_features, scale = run(images, tokens)[:3]
            loss = criterion(image_features, text_features, scale)
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            net.logit_scale.clamp_(0, 4.6052)
    value = loss.item()
    wall = time.monotonic() - begun
    peak = torch.cuda.max_memory_allocated() if device != "cpu" else high_water()
    print(json.dumps({
        "tool": f"open_clip {how}", "model": model, "batch": batch, "precision": precision, "feed": "fixed",
        "samples_per_s": batch * steps / wall, "cpu_s_per_sample": (time.process_time() - cpu) / (batch * steps),
        "wait_share": 0.0, "peak_bytes": peak, "loss": value, "longest_caption": longest, "text_positions": tokens.shape[1],
    }))


def high_water():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def one(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command[0]}: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def cpu_model():
    try:
        with open("/proc/cpuinfo") as info:
            return next(line.split(":")[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--shards", required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--models", default="RN50-quickgelu,ViT-B-32-quickgelu")
    parser.add_argument("--batches", default="16")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--steps", default="6")
    parser.add_argument("--warm-up", default="3", help="steps before the clock starts [%(default)s]")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--fed", action="store_true")
    parser.add_argument("--out")
    args = parser.parse_args()
    os.environ["STEP_BENCH_WARM_UP"] = args.warm_up
    rows = []
    for model in args.models.split(","):
        for batch in args.batches.split(","):
            tail = [model, batch, args.precision, args.device, args.steps]
            commands = [[args.binary, *tail, "fixed", args.shards]]
            commands += [[args.binary, *tail, "fed", args.shards]] * args.fed
            here = [sys.executable, __file__, "--peer", *tail, args.shards]
            commands += [[*here, "eager"]] + [[*here, "compile"]] * args.compile
            runs = {}
            for _ in range(args.runs):
                for command in commands:
                    row = one(command)
                    runs.setdefault((row["tool"], row["feed"]), []).append(row)
            for same in runs.values():
                median = dict(same[0])
                for key in ("samples_per_s", "cpu_s_per_sample", "wait_share", "peak_bytes"):
                    median[key] = statistics.median(row[key] for row in same)
                rows.append(median)
    ours = {(row["model"], row["batch"]): row["cpu_s_per_sample"] for row in rows
            if row["tool"] == "pairmill" and row["feed"] == "fixed"}
    lines = ["| model | batch | precision | tool | feed | text positions | samples/s | CPU-ms/sample | against ours | wait "
             "| peak memory, GB |", "|---|---|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        lines.append(
            f"| {row['model']} | {row['batch']} | {row['precision']} | {row['tool']} | {row['feed']} "
            f"| {row['text_positions']} | {row['samples_per_s']:.2f} | {1000 * row['cpu_s_per_sample']:.1f} "
            f"| {row['cpu_s_per_sample'] / ours[row['model'], row['batch']]:.2f} × | {100 * row['wait_share']:.1f} % "
            f"| {row['peak_bytes'] / 1e9:.2f} |")
    table = "\n".join(lines)
    print(table)
    if args.out:
        import open_clip
        import torch

        os.makedirs(args.out, exist_ok=True)
        device = torch.cuda.get_device_name() if args.device != "cpu" else f"{os.cpu_count()} cores, {cpu_model()}"
        with open(os.path.join(args.out, "README.md"), "w") as page:
            page.write(
                f"# Training steps against open_clip\n\n{time.strftime('%Y-%m-%d')}, {device}, load average "
                f"{os.getloadavg()[0]:.1f}; torch {torch.__version__}, open_clip {open_clip.__version__}. Medians of "
                f"{args.runs} runs of {args.steps} steps after {args.warm_up}, in turn, each in a process of its own. Images and captions of one set of real "
                f"shards on both sides; text positions are those that the text tower computes (ours: the longest caption of the "
                f"batch, up to a multiple of 8).\n\n"
                f"Command: `./justw bench-step {' '.join(sys.argv[1:])}` (without `--binary`, `--shards`, `--out`).\n\n{table}\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(*sys.argv[2:])
    else:
        main()
