"""Google's XML interface, as far as Rust's object_store asks for it, in front of gcp-storage-emulator, whose own is
JSON (of XML it knows a plain get and put).

Written here, after Google's documentation: the lists, the parts of an upload, byte ranges, and the condition
x-goog-if-generation-match. From the emulator: objects, their generations and ETags. So it shows that requests and
answers of this shape are understood on our side; that Google's own servers keep the conditions, it cannot show."""

import http.server
import sys
import threading
import urllib.parse
import uuid
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import gcp_storage_emulator.server
import google.api_core.exceptions
import google.auth.credentials
import google.cloud.storage

PAGE = 1000


class Server:
    """The emulator with one bucket, and the front; both in threads of this process."""

    def __init__(self, bucket, free_port):
        self.emulator = gcp_storage_emulator.server.create_server("127.0.0.1", free_port, in_memory=True)
        self.emulator.start()
        self.client = google.cloud.storage.Client(
            project="test",
            credentials=google.auth.credentials.AnonymousCredentials(),
            client_options={"api_endpoint": f"http://127.0.0.1:{free_port}"},
        )
        self.bucket = self.client.create_bucket(bucket)
        self.uploads = {}
        # Conditions are looked at and fulfilled in one go.
        self.lock = threading.Lock()
        front = type("Front", (Front,), {"shared": self})
        self.front = Threads(("127.0.0.1", 0), front)
        self.url = f"http://127.0.0.1:{self.front.server_port}"
        threading.Thread(target=self.front.serve_forever, daemon=True).start()

    def stop(self):
        self.front.shutdown()
        self.emulator.stop()


class Threads(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *who):
        # A run that is killed leaves in the middle of a request.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(*who)


class Front(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status, code):
        self.answer(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())

    def handle_request(self):
        address = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(address.query, keep_blank_values=True))
        bucket, _, name = address.path[1:].partition("/")
        name = urllib.parse.unquote(name)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.shared.lock:
            if urllib.parse.unquote(bucket) != self.shared.bucket.name:
                self.refuse(404, "NoSuchBucket")
            elif not name:
                self.list(query)
            elif self.command in ("GET", "HEAD"):
                self.get(name)
            elif self.command == "DELETE":
                self.delete(name, query)
            elif self.command == "POST" and "uploads" in query:
                upload = uuid.uuid4().hex
                self.shared.uploads[upload] = {}
                ids = f"<Key>{escape(name)}</Key><UploadId>{upload}</UploadId>"
                bucket = f"<Bucket>{self.shared.bucket.name}</Bucket>"
                root = "InitiateMultipartUploadResult"
                self.answer(200, f"<{root}>{bucket}{ids}</{root}>".encode())
            elif "uploadId" in query and query["uploadId"] not in self.shared.uploads:
                self.refuse(404, "NoSuchUpload")
            elif self.command == "PUT" and "uploadId" in query:
                etag = f'"{uuid.uuid4().hex}"'
                self.shared.uploads[query["uploadId"]][int(query["partNumber"])] = (etag, body)
                self.answer(200, headers=[("ETag", etag)])
            elif self.command == "POST":
                self.complete(name, query["uploadId"], body)
            else:
                self.put(name, body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_request

    def list(self, query):
        listed = self.shared.client.list_blobs(
            self.shared.bucket, prefix=query.get("prefix"), delimiter=query.get("delimiter")
        )
        blobs = sorted(listed, key=lambda blob: blob.name)
        after = query.get("continuation-token", query.get("start-after", ""))
        blobs = [blob for blob in blobs if blob.name > after]
        page, rest = blobs[:PAGE], blobs[PAGE:]
        entries = [
            f"<Contents><Key>{escape(blob.name)}</Key>"
            f"<LastModified>{blob.updated:%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
            f"<ETag>{escape(quoted(blob.etag))}</ETag><Size>{blob.size}</Size></Contents>"
            for blob in page
        ]
        entries += [f"<CommonPrefixes><Prefix>{escape(p)}</Prefix></CommonPrefixes>" for p in sorted(listed.prefixes)]
        if rest:
            entries.append(f"<NextContinuationToken>{escape(page[-1].name)}</NextContinuationToken>")
        entries.append(f"<IsTruncated>{str(bool(rest)).lower()}</IsTruncated>")
        self.answer(200, f"<ListBucketResult>{''.join(entries)}</ListBucketResult>".encode())

    def get(self, name):
        blob = self.shared.bucket.get_blob(name)
        if blob is None:
            return self.refuse(404, "NoSuchKey")
        headers = [
            ("ETag", quoted(blob.etag)),
            ("x-goog-generation", str(blob.generation)),
            ("Last-Modified", f"{blob.updated:%a, %d %b %Y %H:%M:%S GMT}"),
            ("Content-Type", "application/octet-stream"),
        ]
        # This forgets the marks, which the emulator does not send along.
        data = blob.download_as_bytes()
        asked = self.headers.get("Range")
        if not asked:
            return self.answer(200, data, headers)
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(len(data) - int(last), 0)
        end = min(int(last) + 1, len(data)) if first and last else len(data)
        if start >= len(data):
            return self.refuse(416, "InvalidRange")
        headers.append(("Content-Range", f"bytes {start}-{end - 1}/{len(data)}"))
        return self.answer(206, data[start:end], headers)

    def delete(self, name, query):
        if "uploadId" in query:
            self.shared.uploads.pop(query["uploadId"], None)
            return self.answer(204)
        try:
            self.shared.bucket.delete_blob(name)
        except google.api_core.exceptions.NotFound:
            return self.refuse(404, "NoSuchKey")
        return self.answer(204)

    def put(self, name, body):
        wanted = self.headers.get("x-goog-if-generation-match")
        if wanted is not None:
            there = self.shared.bucket.get_blob(name)
            if str(there.generation if there else 0) != wanted:
                return self.refuse(412, "PreconditionFailed")
        blob = self.store(name, body)
        return self.answer(200, headers=[("ETag", quoted(blob.etag)), ("x-goog-generation", str(blob.generation))])

    def complete(self, name, upload, body):
        sent = self.shared.uploads[upload]
        named = [(int(part.findtext("PartNumber")), part.findtext("ETag")) for part in ElementTree.fromstring(body)]
        if any(number not in sent or sent[number][0] != etag for number, etag in named):
            return self.refuse(400, "InvalidPart")
        del self.shared.uploads[upload]
        blob = self.store(name, b"".join(sent[number][1] for number, _ in named))
        text = f"<CompleteMultipartUploadResult><ETag>{escape(quoted(blob.etag))}</ETag>"
        generation = [("x-goog-generation", str(blob.generation))]
        return self.answer(200, f"{text}</CompleteMultipartUploadResult>".encode(), generation)

    def store(self, name, data):
        blob = self.shared.bucket.blob(name)
        blob.upload_from_string(data, content_type="application/octet-stream")
        return blob


def quoted(etag):
    return f'"{etag}"'
