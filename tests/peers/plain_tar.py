"""What is really in a folder of shards, read with Python's own tarfile: the judge of every peer in this folder."""

import hashlib
import json
import pathlib
import sys
import tarfile


class Difference(Exception):
    """A peer saw something else than the tars hold."""


def tars(folder):
    """The tars of a folder, in order."""
    found = sorted(pathlib.Path(folder).glob("*.tar"))
    if not found:
        raise Difference(f"{folder}: no *.tar in it")
    if not any(count(tar) for tar in found):
        raise Difference(f"{folder}: its stats promise not one sample, so nothing can be compared")
    return found


def samples(tar):
    """(key, {extension: bytes}) of each sample, cut at the first dot as webdataset does."""
    key, members = None, {}
    with tarfile.open(tar) as archive:
        for member in archive:
            if not member.isfile():
                continue
            name, _, extension = member.name.partition(".")
            if name != key:
                if key is not None:
                    yield key, members
                key, members = name, {}
            if extension in members:
                raise Difference(f"{tar}: {member.name} twice")
            members[extension] = archive.extractfile(member).read()
    if key is not None:
        yield key, members


def count(tar):
    """Samples that the shard's stats promise."""
    return json.loads(tar.with_name(f"{tar.stem}_stats.json").read_text())["successes"]


def digest(data):
    return hashlib.sha256(data).hexdigest()


def expect(where, what, seen, expected):
    if seen != expected:
        short = [repr(v) if len(repr(v)) < 200 else repr(v)[:200] + "…" for v in (seen, expected)]
        raise Difference(f"{where}: {what} is {short[0]}, expected {short[1]}")


def report(check):
    """Runs `check()`, prints its one line, and exits 1 with one line on a difference."""
    try:
        print(check())
    except Difference as difference:
        sys.exit(f"DIFFERS: {difference}")
