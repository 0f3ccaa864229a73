#!/usr/bin/env python3
"""read_bucket.py STORE FOLDER TABLE INGEST SHARDS RUN...: the run that made FOLDER, from TABLE in a bucket into the
bucket of a STORE (s3, gs, az) on localhost: by parts, with a second writer who is turned away, then killed and gone on
with as from another machine. The store's own client reads back every byte, and `SHARDS stat|head|cat|index|subset|
verify` say by URL what they say of FOLDER.

RUN is the run's arguments but table and output folder."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import plain_tar
import stores

PART_BYTES = 5 << 20
PATIENCE_S = 300
LEASE = "set/_pairmill/lock"
# Variables that would lead Pairmill elsewhere.
FOREIGN = ("AWS_", "GOOGLE_", "AZURE_", "AZURITE_", "SERVICE_ACCOUNT")


def run(command, environment):
    done = subprocess.run(command, env=environment, capture_output=True)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise plain_tar.Difference(f"{command[:2]} ends with {done.returncode}: {said}")
    return done.stdout


def wait_until(happened, process, what):
    until = time.monotonic() + PATIENCE_S
    while not happened():
        if process.poll() is not None or time.monotonic() > until:
            raise plain_tar.Difference(f"the run ended ({process.returncode}) before {what}")
        time.sleep(0.02)


def kill_once(store, command, second, environment):
    """Begins the run; sends a second writer from another desk; kills the run when its first shard has appeared."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: LEASE in store.names("set/_pairmill/"), process, "it took the lease")
        refused = subprocess.run(second, env=environment, capture_output=True, text=True)
        told = refused.returncode == 2 and "is writing here" in refused.stderr
        if not told:
            raise plain_tar.Difference(f"a second writer ends with {refused.returncode}: {refused.stderr.strip()}")
        stats = lambda: [name for name in store.names("set/") if name.endswith("_stats.json")]
        wait_until(stats, process, "it put a shard")
    finally:
        process.kill()
        process.wait()
    plain_tar.expect(store.url, "how the first run ended", process.returncode, -signal.SIGKILL)


def compare(store, prefix, folder, made_from=None):
    """The objects under `prefix` against the files of `folder`; returns the objects. `made_from`: URL and folder of
    what they were made from, which the card names."""
    names = [name.removeprefix(prefix) for name in store.names(prefix)]
    found = {name: store.get(prefix + name) for name in names if not name.startswith("_pairmill/")}
    expected = {path.name: path.read_bytes() for path in pathlib.Path(folder).iterdir() if path.is_file()}
    plain_tar.expect(store.url, f"the names of {prefix}", sorted(found), sorted(expected))
    for name, data in expected.items():
        if name == "DATASET.md" and made_from:
            url, input_folder = (str(place).encode() for place in made_from)
            found[name], data = found[name].replace(url, b"INPUT"), data.replace(input_folder, b"INPUT")
        # Stats hold the time of the run.
        if not name.endswith("_stats.json"):
            plain_tar.expect(store.url, prefix + name, plain_tar.digest(found[name]), plain_tar.digest(data))
    return found


def look(store, shards, folder, environment):
    """What the commands say of the folder, in the words they have for it, and of the URL."""
    url = f"{store.url}/set"
    key = next(plain_tar.samples(plain_tar.tars(folder)[0]))[0]
    accounts = [json.loads(run([shards, "stat", "--json", at], environment)) for at in (url, str(folder))]
    # How long the run took is all that may differ; it stands in the stats with more or fewer digits.
    took = [account.pop("wall_s") for account in accounts]
    for account in accounts:
        account["bytes"].pop("stats")
    plain_tar.expect(url, "what `stat` counts", sorted(accounts[0]), sorted(accounts[1]))
    for what, count in accounts[1].items():
        plain_tar.expect(url, f"`stat`: {what}", accounts[0][what], count)
    plain_tar.expect(url, "whether `stat` knows how long it took", all(took), True)
    for arguments in (["verify"], ["head", "-n", "3"], ["cat"], ["cat", "--key", key, "--ext", "jpg"]):
        command = [shards, *arguments]
        there, here = run([*command, url], environment), run([*command, str(folder)], environment)
        there, here = there.replace(url.encode(), b"SHARDS"), here.replace(str(folder).encode(), b"SHARDS")
        plain_tar.expect(url, f"what `{' '.join(arguments)}` says", there, here)


def read(name, folder, table, ingest, shards, arguments):
    store = stores.STORES[name]()
    try:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        environment |= store.environment | {"NO_PROXY": "127.0.0.1,localhost"}
        store.put("tables/rows.parquet", pathlib.Path(table).read_bytes())
        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            config = scratch / "run.toml"
            config.write_text(f"[storage]\npart_bytes = {PART_BYTES}\nlease_s = 1\n")
            command = [ingest, "run", "--url-list", f"{store.url}/tables/rows.parquet", *arguments]
            command += ["--output-folder", f"{store.url}/set", "--config", str(config), "--staging"]
            kill_once(store, [*command, str(scratch / "one")], [*command, str(scratch / "two")], environment)
            # As from another machine: the lease of the dead is waited for and taken over.
            run([*command, str(scratch / "two")], environment)
            left = [path.name for path in (scratch / "two").iterdir() if path.is_dir()]
            plain_tar.expect(scratch, "what is left in the staging folder", left, [])
            found = compare(store, "set/", folder)
            plain_tar.expect(store.url, "whether the lease is left", LEASE in store.names("set/"), False)
            look(store, shards, folder, environment)

            subset = ["subset", "--size", "50", "--seed", "3", "--quiet", "--out"]
            local = scratch / "subset"
            run([shards, *subset, str(local), str(folder)], environment)
            run([shards, *subset, f"{store.url}/subset", f"{store.url}/set"], environment)
            compare(store, "subset/", local, (f"{store.url}/set", folder))
            for tar in plain_tar.tars(local):
                store.put(f"bare/{tar.name}", tar.read_bytes())
            run([shards, "index", f"{store.url}/bare"], environment)
            run([shards, "index", str(local)], environment)
            for indexed in store.names("bare/"):
                data = (local / indexed.removeprefix("bare/")).read_bytes()
                plain_tar.expect(store.url, indexed, plain_tar.digest(store.get(indexed)), plain_tar.digest(data))
            plain_tar.expect(store.url, "the indexes", len(store.names("bare/")), 3 * len(plain_tar.tars(local)) + 1)
    finally:
        store.stop()
    by_parts = sum(len(data) > PART_BYTES for data in found.values())
    return (
        f"{store.versions}: {len(found)} objects after a kill, {by_parts} by parts, every byte equal; a second writer "
        "turned away, then heir of the dead one's lease; stat, verify, head, cat, subset, index as in a folder"
    )


if __name__ == "__main__":
    plain_tar.report(lambda: read(*sys.argv[1:6], sys.argv[6:]))
