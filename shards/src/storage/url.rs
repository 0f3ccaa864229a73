//! What a user types for a place: `s3://bucket/prefix`, `gs://`, `az://`, `abfs://`, `http(s)://`, or a local path.

use std::fmt;
use std::path::PathBuf;

use object_store::path::Path as ObjectPath;

use super::error::StorageError;

/// A place for files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A file or folder of this machine.
    Local(PathBuf),
    /// A prefix or object of a store.
    Bucket(BucketUrl),
}

/// The kinds of store there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `s3://`, `s3a://`: Amazon's, and all that speak its protocol.
    S3,
    /// `gs://`: Google Cloud Storage.
    Gcs,
    /// `az://`, `abfs://`, `abfss://`, `adl://`, `azure://`: Azure Blob Storage.
    Azure,
    /// `http://`, `https://`: any web server, only to read.
    Http,
}

impl Scheme {
    fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "s3" | "s3a" => Self::S3,
            "gs" => Self::Gcs,
            "az" | "abfs" | "abfss" | "adl" | "azure" => Self::Azure,
            "http" | "https" => Self::Http,
            _ => return None,
        })
    }
}

/// URL of an object, or of a prefix that objects lie under.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BucketUrl {
    scheme: Scheme,
    /// `s3://bucket`, `https://host:port`: what one client speaks to.
    root: String,
    /// Without slashes at either end.
    path: String,
    /// `?…` of a web address, which goes with every request.
    query: String,
}

impl Location {
    /// Reads what the user typed. What has no `scheme://` is a local path.
    ///
    /// # Errors
    /// When the scheme is none of ours, no bucket is named, or the path cannot be one of an object.
    pub fn parse(typed: &str) -> Result<Self, StorageError> {
        let Some((word, rest)) = scheme_of(typed) else { return Ok(Self::Local(PathBuf::from(typed))) };
        let word = word.to_ascii_lowercase();
        if word == "file" {
            return Ok(Self::Local(PathBuf::from(rest.strip_prefix("localhost").unwrap_or(rest))));
        }
        let Some(scheme) = Scheme::of_word(&word) else {
            return Err(StorageError::Scheme { typed: without_secrets(typed), scheme: word });
        };
        let refuse =
            |problem: &str| StorageError::Url { url: without_secrets(typed), problem: problem.to_owned() };
        let (rest, query) = match (scheme, rest.find(['?', '#'])) {
            // A key may hold these characters; an address may not.
            (Scheme::Http, Some(at)) => {
                let query = rest[at..].split('#').next().unwrap_or_default();
                (&rest[..at], query.to_owned())
            }
            _ => (rest, String::new()),
        };
        let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(refuse("names no bucket; write it as s3://BUCKET/PREFIX"));
        }
        if matches!(scheme, Scheme::S3 | Scheme::Gcs) && bucket.contains(['@', ':']) {
            return Err(refuse(
                "names a user or a port before the bucket; credentials and endpoint come from the \
                               environment (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, …)",
            ));
        }
        let path = path.trim_matches('/').to_owned();
        ObjectPath::parse(&path).map_err(|_| {
            refuse("its path has an empty part, `.` or `..`, or a character that no key may have")
        })?;
        Ok(Self::Bucket(BucketUrl { scheme, root: format!("{word}://{bucket}"), path, query }))
    }

    /// The URL, if it is none of this machine's places.
    pub fn bucket(self) -> Option<BucketUrl> {
        match self {
            Self::Local(_) => None,
            Self::Bucket(url) => Some(url),
        }
    }
}

/// What the user typed for a place as it may be shown and kept: the user name and password of a URL are cut off, and so
/// is the query of a web address, which may be a signature. `abfss://CONTAINER@ACCOUNT` is no user.
pub fn without_secrets(typed: &str) -> String {
    let Some((word, rest)) = scheme_of(typed) else { return typed.to_owned() };
    let scheme = Scheme::of_word(&word.to_ascii_lowercase());
    let is_web = !matches!(scheme, Some(Scheme::S3 | Scheme::Gcs | Scheme::Azure));
    let rest = if is_web { rest.split(['?', '#']).next().unwrap_or_default() } else { rest };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = match host.rsplit_once('@') {
        Some((user, host)) if scheme != Some(Scheme::Azure) || user.contains(':') => host,
        _ => host,
    };
    format!("{word}://{host}{path}")
}

/// Scheme and the rest behind `://`.
fn scheme_of(typed: &str) -> Option<(&str, &str)> {
    let (word, rest) = typed.split_once("://")?;
    let mut letters = word.chars();
    let is_scheme = letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    is_scheme.then_some((word, rest))
}

impl BucketUrl {
    /// Which kind of store.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// `s3://bucket`, `https://host`.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Key or prefix, without slashes at either end.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn query(&self) -> &str {
        &self.query
    }

    /// `text`, which a client wrote about this URL, without what may be secret of it.
    pub(super) fn without_secrets_in(&self, text: &str) -> String {
        let mut text = text.to_owned();
        if !self.query.is_empty() {
            text = text.replace(&self.query, "");
        }
        let host = self.root.split_once("://").map_or(self.root.as_str(), |(_, host)| host);
        if let (Scheme::Http, Some((user, _))) = (self.scheme, host.rsplit_once('@')) {
            text = text.replace(&format!("{user}@"), "");
        }
        text
    }

    /// What follows the last slash; empty for a whole bucket.
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The prefix that the object lies under.
    pub fn parent(&self) -> Self {
        let path = self.path.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
        Self { path, ..self.clone() }
    }

    /// The URL of `name` under this prefix.
    pub fn join(&self, name: &str) -> Self {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) };
        Self { path, ..self.clone() }
    }
}

impl fmt::Display for BucketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the query or the user of a web address: they may hold a signature or a password.
        f.write_str(&without_secrets(&format!("{}/{}", self.root, self.path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f03_what_signs_a_web_address_is_not_shown() {
        let typed = "https://me:PASSWORD@host.test:8080/a/t.csv?sig=SIGNATURE#x";
        let url = Location::parse(typed).unwrap().bucket().unwrap();
        assert_eq!(url.to_string(), "https://host.test:8080/a/t.csv");
        assert_eq!(url.root(), "https://me:PASSWORD@host.test:8080", "requests need them");
    }

    #[test]
    fn f03_what_is_typed_for_a_place_is_shown_without_secrets() {
        for (typed, shown) in [
            ("https://me:PASSWORD@h:8080/a/t.csv?sig=SIGNATURE#x", "https://h:8080/a/t.csv"),
            ("HTTP://TOKEN@h?SIGNATURE", "HTTP://h"),
            ("https://h/a@b.csv#SIGNATURE", "https://h/a@b.csv"),
            ("ftp://me:PASSWORD@h/t.csv?SIGNATURE", "ftp://h/t.csv"),
            ("s3://KEY:SECRET@bucket/t?.csv", "s3://bucket/t?.csv"),
            ("abfss://box@me.dfs.core.windows.net/x", "abfss://box@me.dfs.core.windows.net/x"),
            ("abfss://me:PASSWORD@me.dfs.core.windows.net/x", "abfss://me.dfs.core.windows.net/x"),
            ("data/a?b@c.csv", "data/a?b@c.csv"),
        ] {
            assert_eq!(without_secrets(typed), shown);
        }
        for typed in ["s3://KEY:SECRET@bucket/t.csv", "ftp://me:SECRET@h/x", "http://me:SECRET@h/../x?SECRET"]
        {
            let message = Location::parse(typed).unwrap_err().to_string();
            assert!(!message.contains("SECRET"), "{message}");
        }
    }

    #[test]
    fn places_are_told_apart() {
        let url = |typed: &str| Location::parse(typed).unwrap().bucket().unwrap();
        let s3 = url("s3://bucket/a/b c%20/");
        assert_eq!((s3.scheme(), s3.root(), s3.path()), (Scheme::S3, "s3://bucket", "a/b c%20"));
        assert_eq!(s3.join("00000.tar").to_string(), "s3://bucket/a/b c%20/00000.tar");
        assert_eq!((s3.file_name(), s3.parent().path()), ("b c%20", "a"));
        assert_eq!(url("gs://b").join("x").to_string(), "gs://b/x");
        assert_eq!(
            url("abfss://box@me.dfs.core.windows.net/x").root(),
            "abfss://box@me.dfs.core.windows.net"
        );
        let signed = url("https://h:8080/t/part-0.parquet?sig=secret#x");
        assert_eq!((signed.path(), signed.query()), ("t/part-0.parquet", "?sig=secret"));
        assert!(!signed.to_string().contains("secret"), "{signed}");
        for local in ["data/x", "/data/a b", "C:x", "", "we?rd://x"] {
            assert_eq!(Location::parse(local).unwrap(), Location::Local(PathBuf::from(local)), "{local}");
        }
        assert_eq!(Location::parse("file:///data/x").unwrap(), Location::Local(PathBuf::from("/data/x")));
    }

    #[test]
    fn mistakes_are_named() {
        for (typed, part) in [
            ("s4://bucket/x", "s3://"),
            ("s3://", "names no bucket"),
            ("s3:///x", "names no bucket"),
            ("gs://b/a//b", "empty part"),
            ("s3://b/../x", "`..`"),
        ] {
            let message = Location::parse(typed).unwrap_err().to_string();
            assert!(message.starts_with(typed) && message.contains(part), "{typed}: {message}");
        }
    }
}
