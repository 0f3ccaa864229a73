"""What is to be known of a GPU machine, as gpu.sh says it: each run a process with a time limit, each result a line.

The order is that of what hurts most if it is missing: facts, a smoke test that ends the call if it fails, checks and
parity on the device, our speed, the peer's, traces. Whatever has no time left is written down as skipped.
"""

import argparse
import collections
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TAIL = 12  # lines of standard error that a failed run leaves
LONGEST = 400  # characters of such a line
LEAST_S = 5  # a run with less time left is not started


class Call:
    """One call: its time, its lines."""

    def __init__(self, args):
        self.args = args
        self.begun = time.monotonic()
        args.out.mkdir(parents=True, exist_ok=True)
        self.file = open(args.out / f"{args.call}.jsonl", "a", encoding="utf-8")
        self.ours = args.binaries / "step_bench"
        self.models, self.batches = args.models.split(","), args.batches.split(",")

    def left_s(self):
        return self.args.budget_s - (time.monotonic() - self.begun)

    def write(self, line):
        text = json.dumps({"call": self.args.call, **line})
        print(text, flush=True)
        self.file.write(text + "\n")
        self.file.flush()
        os.fsync(self.file.fileno())

    def run(self, name, command, limit_s, env=None, lines=False, **more):
        """Runs `command`; its last JSON line (or all of them) is the result. Returns the line that was written."""
        command = [str(word) for word in command]
        limit_s = min(limit_s, self.left_s())
        line = {"run": name, **more, "command": command}
        if limit_s < LEAST_S:
            return self.done({**line, "ok": False, "skipped": "no time left"})
        begun = time.monotonic()
        try:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                start_new_session=True, env={**os.environ, **(env or {})})
        except OSError as error:
            return self.done({**line, "ok": False, "error": [str(error)]})
        timed_out = False
        try:
            output, errors = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            timed_out = True
            os.killpg(process.pid, signal.SIGKILL)
            output, errors = process.communicate()
        found = []
        for text in output.splitlines():
            try:
                value = json.loads(text)
            except ValueError:
                continue
            if isinstance(value, dict):
                found.append(value)
        line.update(seconds=round(time.monotonic() - begun, 2), rc=process.returncode)
        if timed_out:
            line["timed_out"] = round(limit_s, 1)
        line["ok"] = process.returncode == 0 and bool(found or lines is None)
        if lines:
            line["results"] = found
        elif found:
            line["result"] = found[-1]
        if lines is None:
            line["output"] = output.splitlines()[-200:]
        if not line["ok"]:
            line["error"] = [text[:LONGEST] for text in errors.strip().splitlines()[-TAIL:]]
        return self.done(line)

    def done(self, line):
        self.write(line)
        return line

    # ---- what is run -----------------------------------------------------------------------------------------------

    def step(self, name, model, batch, feed="fixed", limit_s=60, steps=None, env=None, precision=None):
        steps = steps or self.args.steps
        precision = precision or self.args.precision
        command = [self.ours, model, batch, precision, self.args.device, steps, feed, self.args.shards]
        return self.run(name, command, limit_s, env, model=model, batch=int(batch))

    def peer(self, name, model, batch, how, limit_s):
        command = [sys.executable, HERE / "step.py", "--peer", model, batch, self.args.precision, self.args.device,
                   self.args.steps, self.args.shards, how]
        return self.run(name, command, limit_s, model=model, batch=int(batch))

    def facts(self):
        device = self.args.device
        facts = {"loadavg": os.getloadavg(), "time": time.strftime("%Y-%m-%d %H:%M:%S"), "device": device}
        commands = {"lscpu": ["lscpu"], "ldd": ["ldd", self.ours]}
        if device != "cpu":
            commands["nvidia-smi"] = ["nvidia-smi"]
            commands["gpu"] = ["nvidia-smi", "--format=csv,noheader",
                               "--query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit"]
        for name, command in commands.items():
            try:
                done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=10)
                facts[name] = done.stdout.strip().splitlines()[:60]
            except (OSError, subprocess.TimeoutExpired) as error:
                facts[name] = [str(error)]
        versions = ("import json, importlib.metadata as m, sys, torch; print(json.dumps({'python': sys.version.split()[0], "
                    "'torch': torch.__version__, 'cuda': torch.version.cuda, 'cudnn': torch.cuda.is_available() and torch.backends.cudnn.version(), "
                    "'gpu': torch.cuda.is_available() and torch.cuda.get_device_name(), **{p: m.version(p) for p in "
                    "('open_clip_torch', 'timm', 'ftfy') if p in {d.metadata['Name'] for d in m.distributions()}}}))")
        self.write({"run": "facts", "ok": True, "result": facts})
        self.run("versions", [sys.executable, "-c", versions], 60)

    def smoke(self):
        """Whether three steps run at all."""
        fine = True
        for model in ("rn-tiny", "vit-tiny"):
            fine &= self.step("smoke", model, 16, steps=3, limit_s=60, precision="amp_bf16")["ok"]
        return fine

    def checks(self, only=()):
        command = [self.args.binaries / "device_checks", self.args.device, self.args.shards, *only]
        return self.run("checks", command, 90, lines=True)

    def parity(self, only=()):
        """The parity tests, on the device."""
        env = {"PAIRMILL_TEST_DEVICE": self.args.device, "PAIRMILL_PARITY": str(HERE.parent / "train/tests/parity")}
        command = [self.args.binaries / "parity", "--test-threads", "1", *(["--exact", *only] if only else [])]
        line = self.run("parity", command, 120, env, lines=None)
        verdicts = collections.defaultdict(list)
        for text in line.get("output", []):
            words = text.split()
            if len(words) >= 4 and words[0] == "test" and words[2] == "...":
                verdicts[words[3]].append(words[1])
        self.write({"run": "parity verdicts", "ok": line["ok"], "result": verdicts})

    def trace(self, model, batch):
        """How much of three steps the device is busy: kernels of all streams joined, as a share of the time."""
        path = self.args.out / f"trace-{model}-{batch}.json"
        line = self.step("trace", model, batch, steps=5, env={"STEP_BENCH_TRACE": str(path)})
        if not path.is_file():
            return
        try:
            busy = busy_share(path, "kernel" if self.args.device != "cpu" else "cpu_op")
        except (ValueError, KeyError) as error:
            busy = {"error": str(error)}
        self.write({"run": "busy", "ok": line["ok"] and "error" not in busy, "model": model, "batch": int(batch),
                    "result": busy})

    # ---- the two calls ---------------------------------------------------------------------------------------------

    def a(self):
        self.facts()
        if not self.smoke():
            self.write({"run": "end", "ok": False, "error": ["the smoke test failed: nothing else was run"]})
            return 1
        self.checks()
        self.parity()
        pairs = [(model, batch) for model in self.models for batch in self.batches]
        for model, batch in pairs:
            self.step("ours", model, batch)
        for model, batch in pairs:
            self.peer("peer eager", model, batch, "eager", 60)
        for model in self.models:
            self.trace(model, self.batches[0])
        return self.end()

    def b(self):
        all_fine, passed, failed_tests = verdicts(self.args.out / "A.jsonl")
        if not all_fine:
            self.checks([f"-{name}" for name in passed])
        if failed_tests:
            self.parity(failed_tests)
        pairs = [(model, batch) for model in self.models for batch in self.batches]
        for model, batch in pairs:
            self.peer("peer compiled", model, batch, "compile", 90)
        speeds = collections.defaultdict(list)
        for _ in range(self.args.runs):
            for model, batch in pairs:
                for feed in ("fixed", "fed"):
                    # Fed from shards, every length of captions is a shape of its own to warm.
                    env = {"STEP_BENCH_WARM_UP": str(self.args.fed_warm_up)} if feed == "fed" else None
                    line = self.step(f"ours {feed}", model, batch, feed, env=env)
                    if line["ok"]:
                        speeds[f"{model} {batch} {feed}"].append(line["result"]["samples_per_s"])
        medians = {name: statistics.median(found) for name, found in speeds.items()}
        self.write({"run": "medians", "ok": bool(medians), "result": medians})
        sanitizer = shutil.which("compute-sanitizer")
        if self.args.device == "cpu" or not sanitizer:
            self.write({"run": "compute-sanitizer", "ok": False, "skipped": "not on this machine"})
        else:
            command = [sanitizer, "--error-exitcode", "9", self.ours, "vit-tiny", 16, self.args.precision,
                       self.args.device, 1, "fixed", self.args.shards]
            self.run("compute-sanitizer", command, 120)
        return self.end()

    def end(self):
        self.write({"run": "end", "ok": True, "seconds": round(time.monotonic() - self.begun, 1)})
        return 0


def busy_share(path, kind):
    with open(path, encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    spans = sorted((event["ts"], event["ts"] + event["dur"]) for event in events
                   if event.get("ph") == "X" and event.get("cat") == kind)
    if not spans:
        raise ValueError(f"no event of kind {kind} in {path.name}")
    busy, until = 0, spans[0][0]
    for start, end in spans:
        busy += max(0, end - max(start, until))
        until = max(until, end)
    return {"busy_share": round(busy / (until - spans[0][0]), 4), "events": len(spans), "kind": kind}


def verdicts(path):
    """Of call A: whether all checks passed, those that did, and the tests that failed."""
    fine, passed, tests = False, [], []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return fine, passed, tests
    for text in lines:
        line = json.loads(text)
        if line["run"] == "checks":
            fine, passed = line["ok"], [found["check"] for found in line.get("results", []) if found["ok"]]
        elif line["run"] == "parity verdicts":
            tests = line["result"].get("FAILED", [])
    return fine, passed, tests


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("call", choices=["A", "B"])
    parser.add_argument("--binaries", type=pathlib.Path, required=True)
    parser.add_argument("--shards", required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--models", default="RN50-quickgelu,ViT-B-32-quickgelu")
    parser.add_argument("--batches", default="256,1024")
    parser.add_argument("--precision", default="amp_bf16")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--fed-warm-up", type=int, default=20)
    parser.add_argument("--budget-s", type=float, default=345, help="seconds of the whole call")
    args = parser.parse_args()
    call = Call(args)
    sys.exit(call.a() if args.call == "A" else call.b())


if __name__ == "__main__":
    main()
