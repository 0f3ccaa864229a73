//! `final_url`: where redirects ended, as it may be written. The web puts passwords into user names and signatures
//! into queries, and a sidecar is passed on; so both are left out unless the user asks for the whole address.

/// Longest `final_url`; a longer one is cut here.
pub const MAX_FINAL_URL_BYTES: usize = 2_048;
/// Metadata of the column's Arrow field that says that user names, passwords and queries were kept.
pub(super) const WHOLE_KEY: &str = "pairmill.final_url";
/// The value of [`WHOLE_KEY`].
pub(super) const WHOLE: &str = "whole";

/// The first [`MAX_FINAL_URL_BYTES`] of `url`.
pub fn bounded(url: &str) -> &str {
    let mut end = url.len().min(MAX_FINAL_URL_BYTES);
    while !url.is_char_boundary(end) {
        end -= 1;
    }
    &url[..end]
}

/// `url` without user name, password, query and fragment. `url` is one that a URL parser wrote: `scheme://…`.
pub fn stripped(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let path_at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(path_at);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

/// What is wrong with a written `final_url`; `whole` says that user names and queries may stand in it.
pub fn problem(url: &str, whole: bool) -> Option<&'static str> {
    if url.len() > MAX_FINAL_URL_BYTES {
        return Some("longer than 2,048 bytes");
    }
    if !(url.starts_with("http://") || url.starts_with("https://")) || url.contains(char::is_control) {
        return Some("not an http(s) URL");
    }
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if !whole && authority.contains('@') {
        return Some("with a user name or password");
    }
    (!whole && url.contains(['?', '#'])).then_some("with a query or fragment")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f03_passwords_and_queries_do_not_stay() {
        for (url, kept) in [
            (
                "https://user:secret@h.test:81/a/b.jpg?X-Amz-Signature=secret#secret",
                "https://h.test:81/a/b.jpg",
            ),
            ("http://secret@[::1]/", "http://[::1]/"),
            ("http://h.test?secret=1", "http://h.test"),
            ("http://h.test/a@b.jpg", "http://h.test/a@b.jpg"),
        ] {
            assert_eq!(stripped(url), kept);
            assert_eq!(problem(kept, false), None);
            assert_eq!(problem(url, false).is_some(), url != kept, "{url}");
            assert_eq!(problem(url, true), None, "{url}");
        }
        let long = format!("http://h.test/{}é", "x".repeat(MAX_FINAL_URL_BYTES - 15));
        assert!(problem(&long, true).is_some());
        assert_eq!(bounded(&long).len(), MAX_FINAL_URL_BYTES - 1, "not in the middle of a character");
        assert!(problem("ftp://h.test/", true).is_some() && problem("", true).is_some());
    }
}
