#!/usr/bin/env python3
"""resume_img2dataset.py TABLE SCRATCH: img2dataset finishes a folder pairmill-ingest began, and the other way round.

Either way the shards that were done stay as they were, byte for byte, and afterwards every row is accounted for.
Needs PAIRMILL_INGEST, the path of the binary."""

import importlib.metadata
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import both_tools
import plain_tar


def they_finish_ours(table, folder):
    both_tools.run(both_tools.our_command(table, folder, "--shards", "0..2"))
    begun = both_tools.fingerprint(folder, range(2))
    both_tools.run(both_tools.their_command(table, folder))
    plain_tar.expect(folder, "our two shards after img2dataset", both_tools.fingerprint(folder, range(2)), begun)
    return both_tools.account(folder, table)


def kill_amid_run(command, folder):
    """SIGKILL to the whole process group once the first shard is done: `_tmp` and half a tar stay behind."""
    quiet = os.environ | {"NO_ALBUMENTATIONS_UPDATE": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, env=quiet
    )
    deadline = time.monotonic() + 300
    while not list(folder.glob("*_stats.json")):
        if process.poll() is not None or time.monotonic() > deadline:
            raise plain_tar.Difference(f"{folder}: img2dataset made no shard (exit status {process.poll()})")
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def we_finish_theirs(table, folder):
    kill_amid_run(both_tools.their_command(table, folder), folder)
    done = sorted(int(f.name.split("_")[0]) for f in folder.glob("*_stats.json"))
    begun = both_tools.fingerprint(folder, done)
    if len(done) == both_tools.shards_of(table):
        raise plain_tar.Difference(f"{folder}: img2dataset was done before it could be killed; give more rows")
    both_tools.run(both_tools.our_command(table, folder))
    plain_tar.expect(folder, "their shards after us", both_tools.fingerprint(folder, done), begun)
    return both_tools.account(folder, table), len(done)


def resume(table, scratch):
    version = importlib.metadata.version("img2dataset")
    results = []
    for name, direction in [("ours-then-theirs", they_finish_ours), ("theirs-then-ours", we_finish_theirs)]:
        folder = pathlib.Path(scratch, name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        results.append(direction(pathlib.Path(table), folder))
    theirs, (ours, done) = results
    return (
        f"img2dataset {version}: finished our 2 shards ({theirs} samples in the end), "
        f"we finished its {done} ({ours} samples in the end)"
    )


if __name__ == "__main__":
    plain_tar.report(lambda: resume(*sys.argv[1:]))
