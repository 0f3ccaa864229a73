"""Writes the scripts of ill-behaved web servers (*.http) that `fetch/hostile.rs` plays. A name begins with how the row
ends: `body`, `elsewhere` or a failure class. See README.md for the commands after the byte FF."""

import pathlib

FLUSH, NEXT, CLOSE, RESET = b"\xffF", b"\xffN", b"\xffC", b"\xffR"
OK = b"HTTP/1.1 200 OK\r\n"
FOUND = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: "
END = b"\r\n\r\n"

SCRIPTS = {
    "body_plain": OK + b"Content-Length: 6" + END + b"pixels",
    "body_until_close": b"HTTP/1.0 200 OK" + END + b"pixels",
    "body_chunks": OK + b"Transfer-Encoding: chunked" + END + b"5\r\npixel\r\n" + FLUSH + b"1;x=y\r\ns\r\n0\r\nTrailer: x" + END,
    "body_piecemeal": FLUSH.join(bytes([b]) for b in OK + b"Content-Length: 1" + END + b"x"),
    "body_length_junk": OK + b"Content-Length: many" + END + b"pixels",
    "body_length_negative": OK + b"Content-Length: -1" + END + b"pixels",
    "body_length_empty": OK + b"Content-Length:" + END + b"pixels",
    "body_length_two": OK + b"Content-Length: 6\r\nContent-Length: 7" + END + b"pixels",
    "body_length_overflow": OK + b"Content-Length: 18446744073709551616" + END + b"pixels",
    "body_version_1_2": b"HTTP/1.2 200 OK\r\nContent-Length: 6" + END + b"pixels",
    "body_version_1_2_kept": b"HTTP/1.2 200 OK\r\nContent-Length: 6" + END + b"pixels" + NEXT + OK + b"Content-Length: 6" + END + b"pixels",
    "body_nul_in_header": OK + b"X-A: \0\r\nContent-Length: 6" + END + b"pixels",
    "body_chunks_1_0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked" + END + b"1\r\nx\r\n0" + END,
    "body_many_headers": OK + b"X: y\r\n" * 300 + b"Content-Length: 1" + END + b"x",
    "body_early_hints": b"HTTP/1.1 103 Early Hints\r\nLink: x" + END + b"HTTP/1.1 100 Continue" + END + OK + b"Content-Length: 1" + END + b"x",
    "body_folded_header": OK + b"X-A: b\r\n c\r\nContent-Length: 1" + END + b"x",
    "body_after_redirect": FOUND + b"/next" + END + NEXT + OK + b"Content-Length: 1" + END + b"x",
    "body_latin1_location": FOUND + b"/caf\xe9?\xfc" + END + NEXT + OK + b"Content-Length: 1" + END + b"x",
    "body_bytes_behind": OK + b"Content-Length: 1" + END + b"x" + b"HTTP/1.1 500 no" + END,
    "connect_closed": CLOSE,
    "connect_reset": RESET,
    "connect_reset_in_head": OK + b"Content-Le" + FLUSH + RESET,
    "connect_ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "connect_html": b"<html><body>no head</body></html>",
    "connect_no_status": b"HTTP/1.1 OK" + END,
    "elsewhere_secret": FOUND + b"http://user:secret@198.51.100.7/?sig=secret" + END,
    "elsewhere_by_name": FOUND + b"//name.test/" + END,
    "http_4xx_reason": b"HTTP/1.1 404 \x1b[31m\xe9\xff\xff http://user:secret@host/\r\nContent-Length: 0" + END,
    "http_429_wait": b"HTTP/1.1 429 Too Many\r\nRetry-After: 99999999999999999999\r\nContent-Length: 0" + END,
    "http_5xx": b"HTTP/1.1 503 Busy\r\nRetry-After: -1\r\nContent-Length: 5" + END + b"a",
    "http_other_204": b"HTTP/1.1 204 No Content\r\nContent-Length: 5" + END + b"abcde",
    "http_other_999": b"HTTP/1.1 999 No\r\nContent-Length: 0" + END,
    "http_other_101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade" + END + b"x",
    "opt_out": OK + b"X-Robots-Tag: noai\r\nContent-Length: 1" + END + b"x",
    "opt_out_1_2": b"HTTP/1.2 200 OK\r\nX-Robots-Tag: noai\r\nContent-Length: 1" + END + b"x",
    "redirect_ftp": FOUND + b"ftp://user:secret@host/" + b"x" * 3_000 + END,
    "redirect_long": FOUND + b"/" + b"x" * 70_000 + END,
    "redirect_self": FOUND + b"/" + END,
    "redirect_many": NEXT.join(FOUND + b"/%d" % i + END for i in range(9)),
    "redirect_nowhere": b"HTTP/1.1 302 Found\r\nContent-Length: 0" + END,
    "redirect_invalid": FOUND + b"http://[" + END,
    "short_body_length": OK + b"Content-Length: 100" + END + b"pixels",
    "short_body_chunks": OK + b"Transfer-Encoding: chunked" + END + b"5\r\npix",
    "short_body_chunk_size": OK + b"Transfer-Encoding: chunked" + END + b"FFFFFFFFFFFFFFFFF\r\npix",
    "too_large_promised": OK + b"Content-Length: 4097" + END,
    "too_large_kept_coming": b"HTTP/1.0 200 OK" + END + b"x" * 4_097,
}

for name, script in SCRIPTS.items():
    (pathlib.Path(__file__).parent / f"{name}.http").write_bytes(script)
