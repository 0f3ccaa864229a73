"""Training steps of open_clip beside step_bench (ours), each in a process of its own, in turn; prints one table.

step.py --binary STEP_BENCH --shards SHARDS [--device cpu] [--models RN50-quickgelu,...] [--batches 16] [--precision fp32]
        [--steps 6] [--runs 3] [--compile] [--fed] [--out FOLDER]
step.py --peer MODEL BATCH PRECISION DEVICE STEPS (eager|compile)      the peer's side, one JSON object
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

WARM_UP = 3


def peer(model, batch, precision, device, steps, how):
    import open_clip
    import torch
    from open_clip.loss import ClipLoss

    batch, steps = int(batch), int(steps)
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
    images = torch.randn(batch, 3, side, side, device=device)
    # Captions of the length web captions have: about a dozen tokens, padded with zeros.
    tokens = torch.zeros(batch, 77, dtype=torch.long, device=device)
    tokens[:, :14] = torch.randint(1, 49405, (batch, 14), device=device)
    tokens[:, 0], tokens[:, 13] = 49406, 49407
    criterion = ClipLoss()
    run = torch.compile(net) if how == "compile" else net
    kind = {"amp_bf16": torch.bfloat16, "amp": torch.float16}.get(precision)
    net.train()
    for step in range(WARM_UP + steps):
        if step == WARM_UP:
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
        "wait_share": 0.0, "peak_bytes": peak, "loss": value,
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
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--fed", action="store_true")
    parser.add_argument("--out")
    args = parser.parse_args()
    rows = []
    for model in args.models.split(","):
        for batch in args.batches.split(","):
            tail = [model, batch, args.precision, args.device, args.steps]
            commands = [[args.binary, *tail, "fixed", args.shards]]
            commands += [[args.binary, *tail, "fed", args.shards]] * args.fed
            here = [sys.executable, __file__, "--peer", *tail]
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
    lines = ["| model | batch | precision | tool | feed | samples/s | CPU-ms/sample | wait | peak memory, GB |",
             "|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        lines.append(
            f"| {row['model']} | {row['batch']} | {row['precision']} | {row['tool']} | {row['feed']} "
            f"| {row['samples_per_s']:.2f} | {1000 * row['cpu_s_per_sample']:.1f} | {100 * row['wait_share']:.1f} % "
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
                f"{args.runs} runs of {args.steps} steps after {WARM_UP}, in turn, each in a process of its own.\n\n"
                f"Command: `just bench-step {' '.join(sys.argv[1:])}` (without `--binary`, `--shards`, `--out`).\n\n{table}\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(*sys.argv[2:])
    else:
        main()
