//! What lies under the name of a table or shard instead of it: a pointer of Git LFS, a saved web page, a store's error. Told
//! from the first bytes, so that the error says what the file is and what to do, not which parser it failed in.

use std::fmt;

/// Bytes of a file's head that are enough to tell.
pub const HEAD_BYTES: usize = 512;

const LFS: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Something that is no table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookalike {
    /// A pointer of Git LFS, with the real file's size where it says so.
    GitLfs {
        /// Size of the file it stands for.
        bytes: Option<u64>,
    },
    /// A web page.
    Html,
    /// An XML document.
    Xml,
    /// A ZIP archive, which spreadsheets are too.
    Zip,
    /// A Parquet file.
    Parquet,
}

impl Lookalike {
    /// What the first bytes of a file show; `None` if they may well be a table of text.
    pub fn of(head: &[u8]) -> Option<Self> {
        let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
        let begins =
            |word: &[u8]| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        if text.starts_with(LFS) {
            let sizes = text.split(|&byte| byte == b'\n').filter_map(|line| line.strip_prefix(b"size "));
            let bytes = sizes.filter_map(|size| std::str::from_utf8(size).ok()?.trim().parse().ok()).next();
            return Some(Self::GitLfs { bytes });
        }
        if begins(b"<!doctype html") || begins(b"<html") || begins(b"<head") || begins(b"<!-- ") {
            return Some(Self::Html);
        }
        if begins(b"<?xml") || begins(b"<error>") {
            let holds_page = text.windows(5).any(|window| window.eq_ignore_ascii_case(b"<html"));
            return Some(if holds_page { Self::Html } else { Self::Xml });
        }
        if head.starts_with(b"PK\x03\x04") {
            return Some(Self::Zip);
        }
        (head.starts_with(b"PAR1") || head.starts_with(b"PARE")).then_some(Self::Parquet)
    }
}

impl fmt::Display for Lookalike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GitLfs { bytes: Some(bytes) } => write!(
                f,
                "this is a Git LFS pointer to a file of {bytes} bytes, not the file; fetch it with `git lfs pull`"
            ),
            Self::GitLfs { bytes: None } => {
                f.write_str("this is a Git LFS pointer, not the file; fetch the file with `git lfs pull`")
            }
            Self::Html => f.write_str(
                "this is an HTML page, such as a login, consent or error page saved under the file's name; download \
                 the file again",
            ),
            Self::Xml => f.write_str(
                "this is an XML document, such as a store's error message saved under the file's name; download the \
                 file again",
            ),
            Self::Zip => f.write_str(
                "this is a ZIP archive (or a spreadsheet); unpack it, or save the sheet as CSV",
            ),
            Self::Parquet => f.write_str("this is a Parquet file; give --input-format parquet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f22_a_pointer_a_page_and_an_error_are_told_from_a_table() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 83886080\n";
        assert_eq!(Lookalike::of(pointer), Some(Lookalike::GitLfs { bytes: Some(83_886_080) }));
        assert_eq!(Lookalike::of(&pointer[..44]), Some(Lookalike::GitLfs { bytes: None }));
        for page in
            ["<!DOCTYPE html><html>", "\u{feff}\r\n <HTML lang=\"en\">", "<?xml version=\"1.0\"?><html>"]
        {
            assert_eq!(Lookalike::of(page.as_bytes()), Some(Lookalike::Html), "{page}");
        }
        let denied = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code></Error>";
        assert_eq!(Lookalike::of(denied.as_bytes()), Some(Lookalike::Xml));
        assert_eq!(Lookalike::of(b"PK\x03\x04\x14\x00"), Some(Lookalike::Zip));
        assert_eq!(Lookalike::of(b"PAR1\x15\x04"), Some(Lookalike::Parquet));
        for table in ["", "url,caption\n", "[{\"url\": \"<html>\"}]", "http://a/<html>\n", "version,url\n"] {
            assert_eq!(Lookalike::of(table.as_bytes()), None, "{table}");
        }
    }
}
