//! Files that are not what their name says, told by their first bytes: what a clone without Git-LFS, a login page or a
//! half-known format leave under the name of a shard. Each comes with what to do about it.

/// Bytes that [`recognise`] wants to see.
pub const HEAD_BYTES: usize = 512;

/// What a file is that should have been a shard, and what to do, in words; `None` where its first bytes say nothing.
pub fn recognise(head: &[u8]) -> Option<&'static str> {
    const FORMATS: [(&[u8], &str); 9] = [
        (
            b"version https://git-lfs.github.com/spec/",
            "a Git-LFS pointer, not the file it stands for; run `git lfs pull` in its repository, or download the file itself",
        ),
        (b"\x1f\x8b", "compressed by gzip; unpack it first"),
        (b"\x28\xb5\x2f\xfd", "compressed by zstd; unpack it first"),
        (b"\xfd7zXZ\0", "compressed by xz; unpack it first (`xz -d`)"),
        (b"BZh", "compressed by bzip2; unpack it first"),
        (b"\x04\x22\x4d\x18", "compressed by lz4; unpack it first (`lz4 -d`)"),
        (b"PK\x03\x04", "a zip archive; unpack it first"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
        (b"PAR1", "a Parquet file; name it .parquet"),
    ];
    if let Some((_, what)) = FORMATS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(what);
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let begins =
        |with: &str| text.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with.as_bytes()));
    if ["<!doctype html", "<html", "<head", "<!-"].into_iter().any(begins) {
        return Some(
            "an HTML page, such as a login or error page saved in place of the file; download it again, with its direct link",
        );
    }
    if ["<?xml", "<error"].into_iter().any(begins) {
        return Some(
            "an XML document, such as a store's error saved in place of the file; download it again",
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::recognise;

    #[test]
    fn what_is_saved_in_place_of_a_shard_is_told() {
        for (head, part) in [
            (&b"version https://git-lfs.github.com/spec/v1\noid sha256:00"[..], "git lfs pull"),
            (b"\n  <!DOCTYPE HTML><title>404", "HTML"),
            (b"\xef\xbb\xbf<html lang=en>", "HTML"),
            (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied", "XML"),
            (b"PAR1\x15\x04", ".parquet"),
        ] {
            assert!(recognise(head).is_some_and(|what| what.contains(part)), "{part}");
        }
        for head in [&b""[..], b"<", b"0000.jpg\0\0"] {
            assert_eq!(recognise(head), None);
        }
    }
}
