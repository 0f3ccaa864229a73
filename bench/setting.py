"""Where and of what a bench was made, for its table."""

import os
import pathlib
import subprocess


def machine():
    model = next((line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), "unknown CPU")
    return f"{os.cpu_count()} × {model}"


def memory_gb():
    return int(pathlib.Path("/proc/meminfo").read_text().split()[1]) / 1e6


def git_commit():
    here = pathlib.Path(__file__).parent
    done = subprocess.run(["git", "-C", str(here), "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"
