"""Writes the hostile tars of list.json: each breaks one rule of FORMAT.md, and must give that rule's error.

    python3 shards/attacks/generate.py

Needs nothing but Python. The files are checked in; run this only to add one.
"""

import json
import lzma
import os

HERE = os.path.dirname(os.path.abspath(__file__))
END = b"\0" * 1024
LISTED = []


def header(name, size, kind=b"0", size_field=None, magic=b"ustar\x0000", prefix=b""):
    block = bytearray(512)
    name = name if isinstance(name, bytes) else name.encode()
    block[0 : len(name)] = name
    block[100:124] = b"0000444\0" b"0000000\0" b"0000000\0"
    block[124:136] = size_field or b"%011o\0" % size
    block[136:148] = b"00000000000\0"
    block[156:157] = kind
    block[257:265] = magic
    block[345 : 345 + len(prefix)] = prefix
    return seal(block)


def seal(block):
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pad(data):
    return data + b"\0" * (-len(data) % 512)


def member(name, data=b"x", **fields):
    return header(name, len(data), **fields) + pad(data)


def pax(*records, kind=b"x"):
    data = b""
    for record in records:
        body = b" " + record + b"\n"
        length = len(body) + 1
        while len(b"%d" % length) + len(body) != length:
            length += 1
        data += b"%d" % length + body
    return member("././@PaxHeader", data, kind=kind)


def attack(name, rule, why, data):
    with open(os.path.join(HERE, name), "wb") as out:
        out.write(data)
    LISTED.append({"file": name, "rule": rule, "why": why})


GOOD = member("0.jpg") + member("0.txt", b"good")
BIG = 1 << 40

attack("empty.tar", "no_end_marker", "an empty file is a download that never began", b"")
attack("xz.tar", "not_a_tar", "tar.xz under the wrong name", lzma.compress(GOOD + END).ljust(600, b"\0"))
attack("lfs.tar", "not_a_tar", "a Git-LFS pointer in place of the file", b"version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize 123\n" % 0)
attack("html.tar", "not_a_tar", "an error page saved as a shard", b"<!DOCTYPE html><title>404</title>".ljust(1024))
attack("text.tar", "number", "any text", b"this is no tar at all\n" * 50)
attack("checksum.tar", "checksum", "one bit of a name flipped", GOOD[:1024] + b"1" + GOOD[1025:] + END)
attack("cut_in_header.tar", "truncated_header", "cut inside the second header", GOOD[:1300])
attack("cut_in_data.tar", "truncated", "cut inside a member", member("0.jpg", b"x" * 2000)[:1100])
attack("cut_in_padding.tar", "truncated", "cut inside a member's padding", GOOD[:-4])
attack("cut_between.tar", "no_end_marker", "cut between two members", GOOD)
attack("joined.tar", "data_after_end", "two tars joined by cat: readers stop at the end of the first",
       GOOD + END + member("1.jpg") + END)
attack("half_end.tar", "truncated_header", "cut inside the closing zero block", GOOD + b"\0" * 100)
attack("size_past_end.tar", "truncated", "a size within the limit, far past the end", header("0.jpg", 1 << 29) + END)
attack(
    "size_huge.tar", "member_too_large", "a base-256 size of a tebibyte",
    header("0.jpg", 0, size_field=b"\x80" + BIG.to_bytes(11, "big")) + END,
)
attack(
    "size_overflow.tar", "number", "a base-256 size over 2^64",
    header("0.jpg", 0, size_field=b"\x80" + b"\x7f" * 11) + END,
)
attack("size_negative.tar", "number", "a negative base-256 size", header("0.jpg", 0, size_field=b"\xff" * 12) + END)
attack("size_minus.tar", "number", "a minus sign", header("0.jpg", 0, size_field=b"-0000000512\0") + END)
attack("size_nine.tar", "number", "a digit that is not octal", header("0.jpg", 0, size_field=b"00000000009\0") + END)
attack(
    "skipped_huge.tar", "truncated", "an unknown member type whose size would wrap an offset around",
    header("0.jpg", 0, kind=b"V", size_field=b"\x80\0\0\0\x7f" + b"\xff" * 7) + END,
)
attack("duplicate.tar", "duplicate_member", "one extension twice under a key", GOOD + member("0.TXT", b"evil") + END)
attack("many_members.tar", "too_many_members", "a sample of 257 members",
       b"".join(member("0.m%03d" % n, b"") for n in range(257)) + END)
attack("folder_with_data.tar", "data_on_non_file",
       "headers hidden in the data of a folder: tools differ on whether to read them",
       header("d/", 1024, kind=b"5") + GOOD[:1024] + END)
attack("link_with_data.tar", "data_on_non_file", "the same in a hard link", header("0.jpg", 1024, kind=b"1") + GOOD[:1024] + END)
attack("sparse_gnu.tar", "sparse", "a GNU sparse file", member("0.jpg", kind=b"S", magic=b"ustar  \0") + END)
attack("sparse_pax.tar", "sparse", "a sparse file by PAX records",
       pax(b"GNU.sparse.major=1", b"GNU.sparse.minor=0") + member("0.jpg") + END)
attack("pax_size_text.tar", "pax", "a PAX size that is no number", pax(b"size=1e3") + member("0.jpg") + END)
attack("pax_size_huge.tar", "member_too_large", "a PAX size of an exbibyte", pax(b"size=1152921504606846976") + member("0.jpg") + END)
attack("pax_size_past_end.tar", "truncated", "a PAX size that swallows the next members", pax(b"size=99999") + member("0.jpg") + GOOD + END)
attack("pax_length.tar", "pax", "a record longer than its header",
       member("././@PaxHeader", b"999 path=0.jpg\n", kind=b"x") + member("0.jpg") + END)
attack("pax_no_newline.tar", "pax", "a record without its newline",
       member("././@PaxHeader", b"14 path=0.jpgX", kind=b"x") + member("0.jpg") + END)
attack("pax_global_path.tar", "pax", "a global header that renames every member", pax(b"path=0.jpg", kind=b"g") + GOOD + END)
attack("pax_header_huge.tar", "extension_too_large", "a PAX header that promises 8 GiB",
       header("././@PaxHeader", 0o77777777777, kind=b"x") + END)
attack("gnu_name_huge.tar", "extension_too_large", "a long name that promises 8 GiB",
       header("././@LongLink", 0o77777777777, kind=b"L", magic=b"ustar  \0") + END)
attack("name_long.tar", "name_too_long", "a name of 5,000 bytes", pax(b"path=" + b"k" * 4996 + b".jpg") + member("0.jpg") + END)
attack("name_nul.tar", "name_with_nul", "a zero byte that hides the extension", pax(b"path=0.jpg\0.txt") + member("0.jpg") + END)
attack("name_latin1.tar", "name_not_utf8", "a name in Latin-1", member(b"gr\xf6\xdfe.jpg") + END)
attack("two_names.tar", "two_names", "a PAX path and a GNU long name for one member",
       pax(b"path=0.jpg") + member("././@LongLink", b"1.jpg\0", kind=b"L") + member("2.jpg") + END)
attack("dangling.tar", "dangling_extension", "a PAX header with no member behind it", GOOD + pax(b"path=1.jpg") + END)

with open(os.path.join(HERE, "list.json"), "w") as out:
    json.dump(LISTED, out, indent=1)
    out.write("\n")
