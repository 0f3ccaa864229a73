#!/usr/bin/env python3
"""read_bucket.py FOLDER INGEST SHARDS RUN...: the run that made FOLDER, into moto's S3, by parts and killed on the way;
boto3 reads back every byte, and `SHARDS verify` finds nothing by URL.

RUN is the run's arguments but its output folder."""

import importlib.metadata
import logging
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import boto3
import moto.server

import plain_tar


def run(command, environment):
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise plain_tar.Difference(f"{command[0]} ends with {done.returncode}: {done.stderr.strip()}")


def kill_once(command, environment, client):
    """Kills the run when its first shard has appeared."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        listed = client.list_objects_v2(Bucket="bucket", Prefix="set/").get("Contents", [])
        if any(entry["Key"].endswith("_stats.json") for entry in listed):
            process.kill()
        time.sleep(0.02)


def objects(client):
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix="set/")
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    return {key[len("set/"):]: client.get_object(Bucket="bucket", Key=key)["Body"].read() for key in keys}


def read(folder, ingest, shards, arguments):
    # A line a request.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.server.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "NO_PROXY": host,
    }
    client = boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="bucket")
    with tempfile.TemporaryDirectory() as scratch:
        config = pathlib.Path(scratch, "run.toml")
        config.write_text("[storage]\npart_bytes = 5242880\n")
        command = [ingest, "run", *arguments, "--output-folder", "s3://bucket/set", "--config", str(config)]
        command += ["--staging", scratch]
        kill_once(command, environment, client)
        run(command, environment)
        left = [entry.name for entry in pathlib.Path(scratch).iterdir() if entry.is_dir()]
        plain_tar.expect(scratch, "what is left in the staging folder", left, [])
    found = {name: data for name, data in objects(client).items() if not name.startswith("_pairmill/")}
    expected = {path.name: path.read_bytes() for path in pathlib.Path(folder).iterdir() if path.is_file()}
    plain_tar.expect("s3://bucket/set", "the names", sorted(found), sorted(expected))
    for name, data in expected.items():
        # Stats hold the time of the run.
        if not name.endswith("_stats.json"):
            plain_tar.expect("s3://bucket/set", name, plain_tar.digest(found[name]), plain_tar.digest(data))
    run([shards, "verify", "s3://bucket/set"], environment)
    server.stop()
    by_parts = sum(len(data) > 5242880 for data in found.values())
    version = importlib.metadata.version("moto")
    return f"moto {version}: {len(found)} objects after a kill, {by_parts} by parts, every byte equal"


if __name__ == "__main__":
    plain_tar.report(lambda: read(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]))
