"""Runs a command and says what its whole process tree cost: CPU seconds, wall seconds and memory."""

import ctypes
import dataclasses
import os
import pathlib
import resource
import signal
import subprocess
import threading
import time

PR_SET_CHILD_SUBREAPER = 36
PAGE = resource.getpagesize()
SAMPLE_EVERY_S = 0.1


@dataclasses.dataclass
class Cost:
    """What a process tree used. `samples` is its resident memory over time: (seconds, bytes)."""

    wall_s: float
    user_s: float
    system_s: float
    peak_process_bytes: int
    peak_tree_bytes: int
    samples: list

    @property
    def cpu_s(self):
        return self.user_s + self.system_s


def children(pid):
    try:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            yield from (int(child) for child in (task / "children").read_text().split())
    except OSError:
        return  # it ended meanwhile


def tree(pid):
    found, open_ends = [], [pid]
    while open_ends:
        found.append(open_ends.pop())
        open_ends.extend(children(found[-1]))
    return found


def resident_bytes(pid):
    try:
        return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def high_water_bytes(pid):
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


class CommandFailed(Exception):
    """The command under measurement did not end with 0."""


def run(command, log, env=None, keep_every_s=1.0):
    """Runs `command` to its end; its output goes to the file `log`.

    Orphans of the tree are adopted (PR_SET_CHILD_SUBREAPER), so their CPU time counts as well. The peak of a process
    is the kernel's own high-water mark; the peak of the tree is the largest sum of resident sets seen every 0.1 s
    (pages that processes share count once for each).
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    with open(log, "wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=env, start_new_session=True)
    peaks = {"process": 0, "tree": 0}
    samples = []
    ended = threading.Event()

    def watch():
        while not ended.is_set():
            pids = tree(process.pid)
            total = sum(resident_bytes(pid) for pid in pids)
            peaks["process"] = max([peaks["process"], *(high_water_bytes(pid) for pid in pids)])
            peaks["tree"] = max(peaks["tree"], total)
            at = time.monotonic() - start
            if not samples or at - samples[-1][0] >= keep_every_s:
                samples.append((round(at, 1), total))
            ended.wait(SAMPLE_EVERY_S)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        status = process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise
    finally:
        wall = time.monotonic() - start
        ended.set()
        watcher.join()
    while True:  # orphans, if any
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                break
        except ChildProcessError:
            break
    if status:
        tail = pathlib.Path(log).read_text(errors="replace").strip().splitlines()[-3:]
        raise CommandFailed(f"{pathlib.Path(command[0]).name} ended with {status}: {' / '.join(tail)} (log: {log})")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(
        wall_s=wall,
        user_s=after.ru_utime - before.ru_utime,
        system_s=after.ru_stime - before.ru_stime,
        peak_process_bytes=peaks["process"],
        peak_tree_bytes=peaks["tree"],
        samples=samples,
    )
