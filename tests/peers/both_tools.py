"""Runs img2dataset and pairmill-ingest with the same options, and reads what either left in a folder."""

import json
import os
import pathlib
import subprocess
import sys

import pyarrow.parquet as pq

import plain_tar

SAMPLES_PER_SHARD = 100
# 10^D × shard + index, D = ceil(log10(100)) = 2 digits beside the shard's five.
KEY = "{shard:05d}{index:02d}"

OPTIONS = {
    "input_format": "parquet",
    "url_col": "url",
    "caption_col": "caption",
    "output_format": "webdataset",
    "image_size": "256",
    "resize_mode": "keep_ratio",
    "number_sample_per_shard": str(SAMPLES_PER_SHARD),
    "thread_count": "16",
}


def their_command(table, folder, **more):
    options = OPTIONS | {"url_list": str(table), "output_folder": str(folder), "processes_count": "1"} | more
    tool = pathlib.Path(sys.executable).with_name("img2dataset")
    columns = ["--save_additional_columns", '["uid"]']
    return [str(tool), *(f"--{name}={value}" for name, value in options.items()), *columns]


def our_command(table, folder, *flags, **more):
    options = OPTIONS | {"url_list": str(table), "output_folder": str(folder), "save_additional_columns": "uid"} | more
    named = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
    return [os.environ["PAIRMILL_INGEST"], "run", *named, "--allow-private-addresses", "--quiet", *flags]


def run(command):
    quiet = {"NO_ALBUMENTATIONS_UPDATE": "1", "WANDB_MODE": "disabled"}
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | quiet)
    if done.returncode:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise plain_tar.Difference(f"{pathlib.Path(command[0]).name} ends with {done.returncode}: {last}")
    return done


def shard_files(folder, shard):
    return [folder / f"{shard:05d}{end}" for end in (".tar", ".parquet", "_stats.json")]


def shards_of(table):
    return -(-pq.read_metadata(table).num_rows // SAMPLES_PER_SHARD)


def sidecar(folder, shard):
    """key -> row of a shard's sidecar."""
    return {row["key"]: row for row in pq.read_table(folder / f"{shard:05d}.parquet").to_pylist()}


def account(folder, table):
    """Every input row is in the shard and under the key it belongs to, once; tars hold just the successes."""
    rows = pq.read_table(table, columns=["url", "uid", "caption"]).to_pylist()
    successes = 0
    for shard in range(shards_of(table)):
        missing = [f.name for f in shard_files(folder, shard) if not f.exists()]
        plain_tar.expect(folder, f"the list of files missing from shard {shard}", missing, [])
        mine = rows[shard * SAMPLES_PER_SHARD : (shard + 1) * SAMPLES_PER_SHARD]
        tar, _, stats = shard_files(folder, shard)
        table_rows = pq.read_table(folder / f"{shard:05d}.parquet").to_pylist()
        plain_tar.expect(tar, "the number of sidecar rows", len(table_rows), len(mine))
        found = {row["key"]: {name: row[name] for name in ("url", "uid", "caption")} for row in table_rows}
        wanted = {KEY.format(shard=shard, index=i): row for i, row in enumerate(mine)}
        plain_tar.expect(tar, "rows by key in the sidecar", found, wanted)
        good = sorted(row["key"] for row in table_rows if row["status"] == "success")
        plain_tar.expect(tar, "keys in the tar", sorted(key for key, _ in plain_tar.samples(tar)), good)
        numbers = json.loads(stats.read_text())
        plain_tar.expect(stats, "count and successes", (numbers["count"], numbers["successes"]), (len(mine), len(good)))
        successes += len(good)
    strange = sorted(f.name for f in folder.glob("*.tar") if f.stem not in {f"{s:05d}" for s in range(shards_of(table))})
    plain_tar.expect(folder, "tars of no shard", strange, [])
    return successes


def fingerprint(folder, shards):
    return {f.name: plain_tar.digest(f.read_bytes()) for shard in shards for f in shard_files(folder, shard)}
