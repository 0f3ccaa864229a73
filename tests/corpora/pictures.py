"""Every file of picture corpora through Pillow and through Pairmill (`decode_dump`): outcomes, pixels, memory.

pictures.py DECODE_DUMP EXCEPTIONS NAME=FOLDER... [--json FILE]

A picture that Pillow decodes must be a success with pixels within the tolerance, or be listed in EXCEPTIONS with the
outcome that it has. Any file may give any error, but no panic, and at most 300 MB of memory. Exits with 1 otherwise.
"""

import collections
import fnmatch
import json
import os
import resource
import signal
import subprocess
import sys
import warnings

import numpy
from PIL import Image, ImageOps

from exceptions import read_exceptions

MAX_MIB = 300
# A picture may take Pillow itself this long and this much.
REFERENCE_SECONDS = 30
REFERENCE_BYTES = 4 << 30
# Lossless formats: rounding of 16 bits (Pillow cuts them off), of alpha, and of colours multiplied by it, each by at most
# one step.
LOSSLESS_MAX = 3
# Lossy formats: decoders may upsample chroma differently.
LOSSY_MEAN = 1.0
LOSSY_FAR = 24
LOSSY_FAR_SHARE = 0.002
LOSSY = {"JPEG", "MPO", "WEBP", "AVIF"}


def matted(image):
    """Alpha over white, as Pairmill has it."""
    rgba = numpy.asarray(image.convert("RGBA")).astype(numpy.uint32)
    alpha = rgba[..., 3:]
    return ((rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(numpy.uint8)


def as_stored(image, orientation):
    """Takes back the turn that Pillow gives to TIFFs."""
    # An orientation and the transposition that undoes it as an orientation of its own.
    if orientation in (None, 1):
        return image
    backwards = {6: 8, 8: 6}.get(orientation, orientation)
    image.getexif()[0x0112] = backwards
    return ImageOps.exif_transpose(image)


def reference(path):
    """(format, pixels, lossy) of what Pillow decodes; pixels are None where its mode has no one RGB; None if it fails."""

    def too_long(*_):
        raise TimeoutError

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(REFERENCE_SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(path)
            kind = image.format
            lossy = kind in LOSSY
            orientation = None
            if kind == "TIFF":
                orientation = image.tag_v2.get(274)
                lossy = image.tag_v2.get(259) in (6, 7)
            image.load()
            if image.mode in ("I", "F", "LAB", "HSV"):
                return kind, None, lossy
            if image.mode.startswith("I;16"):
                deep = numpy.asarray(image).astype(numpy.uint32)
                grey = ((deep + 128) // 257).astype(numpy.uint8)
                invisible = image.info.get("transparency")
                if isinstance(invisible, int):
                    grey[deep == invisible] = 255
                image = Image.fromarray(grey)
            turned = as_stored(image, orientation) if kind == "TIFF" else image
            if turned.has_transparency_data:
                return kind, matted(turned), lossy
            return kind, numpy.asarray(turned.convert("RGB")), lossy
    except Exception:
        return None
    finally:
        signal.alarm(0)


class Decoder:
    """Pairmill's side: one process, started anew when it dies."""

    def __init__(self, command):
        self.command = command
        self.process = None

    def ask(self, path):
        if self.process is None:
            self.process = subprocess.Popen(
                [self.command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        try:
            self.process.stdin.write(path.encode() + b"\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            self.process.wait()
            status = self.process.returncode
            self.process = None
            return {"outcome": "died", "detail": f"exit {status}", "transformed": "died", "peak_kib": 0}, None
        answer = json.loads(line)
        pixels = None
        if answer["outcome"] == "success":
            width, height = answer["width"], answer["height"]
            data = self.process.stdout.read(width * height * 3)
            pixels = numpy.frombuffer(data, numpy.uint8).reshape(height, width, 3)
        return answer, pixels


def compare(wanted, found, lossy):
    """(within the tolerance, a sentence)"""
    if wanted.shape != found.shape:
        return False, f"{found.shape[1]}x{found.shape[0]}, Pillow {wanted.shape[1]}x{wanted.shape[0]}"
    apart = numpy.abs(wanted.astype(numpy.int16) - found.astype(numpy.int16))
    mean, most = float(apart.mean()), int(apart.max())
    if lossy:
        far = float((apart > LOSSY_FAR).mean())
        close = mean <= LOSSY_MEAN and far <= LOSSY_FAR_SHARE
    else:
        close = most <= LOSSLESS_MAX
    return close, f"mean difference {mean:.2f}, greatest {most}"


def main():
    arguments = sys.argv[1:]
    report = None
    if "--json" in arguments:
        at = arguments.index("--json")
        report = arguments[at + 1]
        del arguments[at : at + 2]
    command, listed, *corpora = arguments
    resource.setrlimit(resource.RLIMIT_AS, (REFERENCE_BYTES, REFERENCE_BYTES))
    exceptions = read_exceptions(listed)
    decoder = Decoder(command)
    names = [corpus.split("=", 1)[0] for corpus in corpora]
    counts = collections.defaultdict(collections.Counter)
    wrong, rows, most = [], [], (0, "")
    for corpus in corpora:
        name, folder = corpus.split("=", 1)
        for parent, folders, files in os.walk(folder):
            folders.sort()
            for file in sorted(files):
                path = os.path.join(parent, file)
                label = f"{name}/{os.path.relpath(path, folder)}"
                answer, pixels = decoder.ask(path)
                known = reference(path)
                outcome, detail = answer["outcome"], answer["detail"]
                kind = known[0] if known else "not decoded by Pillow"
                count = counts[kind]
                count["files"] += 1
                if outcome == "success" and known:
                    if known[1] is None:
                        outcome, detail = "unchecked", "Pillow's mode has no one RGB"
                    else:
                        close, detail = compare(known[1], pixels, known[2])
                        outcome = "success" if close else "wrong"
                if known and outcome == "success" and answer["transformed"] != "success":
                    outcome = "differs"
                    detail = f"the transformer says {answer['transformed']}"
                mib = (answer["peak_kib"] or 0) / 1024
                most = max(most, (mib, label))
                over = mib > MAX_MIB
                panicked = "panic" in (answer["outcome"], answer["transformed"]) or answer["outcome"] == "died"
                if panicked and outcome != "died":
                    outcome = "panic"
                count[outcome] += 1
                count["over memory"] += over
                rows.append({"file": label, "pillow": kind, "outcome": outcome, "detail": detail, "mib": round(mib)})
                match = next((row for row in exceptions if fnmatch.fnmatchcase(label, row[0])), None)
                if match:
                    match[3] += 1
                if panicked or over:
                    wrong.append(f"{label}: {outcome} {detail} at {mib:.0f} MiB")
                elif known and outcome != (match[1] if match else "success"):
                    listed_as = f", listed as {match[1]}" if match else ""
                    wrong.append(f"{label} ({kind}): {outcome}{listed_as}: {detail}")
    for pattern, outcome, _, used in exceptions:
        if not used and pattern.split("/", 1)[0] in names:
            wrong.append(f"{pattern}: listed as {outcome}, but there is no such file")
    table(counts)
    print(f"most memory: {most[0]:.0f} MiB for {most[1]}")
    if report:
        with open(report, "w", encoding="utf-8") as out:
            json.dump(rows, out, indent=1)
    for line in wrong:
        print(f"WRONG {line}")
    print(f"{sum(count['files'] for count in counts.values())} files, {len(wrong)} wrong")
    sys.exit(1 if wrong else 0)


def table(counts):
    columns = ["files", "success", "wrong", "unchecked", "unsupported", "corrupt", "truncated", "bomb"]
    columns += ["not_an_image", "differs", "panic", "died", "over memory"]
    print("| Pillow's format | " + " | ".join(columns) + " |")
    print("|---|" + "--:|" * len(columns))
    total = collections.Counter()
    order = sorted(counts.items(), key=lambda item: (item[0] == "not decoded by Pillow", -item[1]["files"]))
    for kind, count in order:
        print(f"| {kind} | " + " | ".join(str(count[column] or "") for column in columns) + " |")
        if kind != "not decoded by Pillow":
            total.update(count)
    print("| all that Pillow decodes | " + " | ".join(str(total[column] or "") for column in columns) + " |")


main()
