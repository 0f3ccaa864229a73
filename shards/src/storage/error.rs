//! What a store's refusal means, and what to do about it: one line that names the URL.

use std::error::Error as _;

use object_store::Error as StoreError;

use super::url::{BucketUrl, Scheme};
use super::watch::{NeverThere, root_cause};
use crate::atomic::FileError;

/// Why something at a URL could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// A scheme that is none of ours.
    #[error(
        "{typed}: `{scheme}://` is no place for shards; there are s3://, gs://, az://, abfs://, http://, https:// and local paths"
    )]
    Scheme {
        /// As typed.
        typed: String,
        /// Its scheme.
        scheme: String,
    },
    /// A URL that cannot be one.
    #[error("{url}: {problem}")]
    Url {
        /// As typed.
        url: String,
        /// What is wrong.
        problem: String,
    },
    /// Writing to, or listing, a web server.
    #[error("{url}: a web address can only be read file by file; {advice}")]
    Web {
        /// The URL.
        url: String,
        /// What to do.
        advice: &'static str,
    },
    /// An environment variable that cannot be.
    #[error("{url}: {problem}")]
    Settings {
        /// The URL.
        url: String,
        /// Which, and what it may be.
        problem: String,
    },
    /// Nothing to sign requests with.
    #[error("{url}: no credentials; {advice}")]
    NoCredentials {
        /// The URL.
        url: String,
        /// What to set.
        advice: &'static str,
    },
    /// Credentials that the store does not take, or that do not suffice.
    #[error("{url}: the store refuses ({detail}); check the credentials and what they may do there")]
    Forbidden {
        /// The URL.
        url: String,
        /// The store's words.
        detail: String,
    },
    /// A bucket that is not there.
    #[error("{url}: there is no such bucket; check its name and the endpoint, or create it first")]
    NoBucket {
        /// The URL.
        url: String,
    },
    /// An object that is not there.
    #[error("{url}: there is no such object; check the URL")]
    Missing {
        /// The URL.
        url: String,
    },
    /// The store wants to be asked elsewhere.
    #[error("{url}: the bucket is in another region; set AWS_REGION to it")]
    Region {
        /// The URL.
        url: String,
    },
    /// 5xx, 429 or `SlowDown` until the patience was spent.
    #[error(
        "{url}: the store is failing or throttles ({detail}); give the same command again later, or raise [storage] retry_s"
    )]
    Busy {
        /// The URL.
        url: String,
        /// Its last answer, and how often it was asked.
        detail: String,
    },
    /// No answer at all.
    #[error(
        "{url}: no answer from the store ({detail}); check the endpoint and the network, then give the same command again"
    )]
    Unreachable {
        /// The URL.
        url: String,
        /// What happened, and how often it was tried.
        detail: String,
    },
    /// The wait for an answer was ended from outside.
    #[error("{url}: stopped before the store had answered")]
    Stopped {
        /// The URL.
        url: String,
    },
    /// Nobody at the address, ever since the process began.
    #[error(
        "{url}: no answer from the store ({detail}); check the endpoint and the network, then give the same command again"
    )]
    NeverThere {
        /// The URL.
        url: String,
        /// What happened.
        detail: String,
    },
    /// The object is not what it was, or not all of it came.
    #[error("{url}: {problem}; it is being replaced, or the transfer is broken: give the same command again")]
    Broken {
        /// The URL.
        url: String,
        /// What was found.
        problem: String,
    },
    /// Another writer's lease.
    #[error(
        "{url}: {owner} is writing here; wait for it or stop it (should it be gone for good, wait {wait_s} s or remove {url})"
    )]
    Leased {
        /// The lease object.
        url: String,
        /// Host and process.
        owner: String,
        /// Seconds until a silent lease may be taken.
        wait_s: u64,
    },
    /// The lease went to another writer.
    #[error(
        "{url}: {owner} has taken over, because this process gave no sign of life for too long; stop one of the two, then give the same command again"
    )]
    LeaseLost {
        /// The lease object.
        url: String,
        /// Host and process.
        owner: String,
    },
    /// What else a store may say.
    #[error("{url}: {detail}")]
    Other {
        /// The URL.
        url: String,
        /// Its words.
        detail: String,
    },
    /// A local file that is sent or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl StorageError {
    /// Whether the user's input or set-up is at fault rather than store, network or disk.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Scheme { .. }
            | Self::Url { .. }
            | Self::Web { .. }
            | Self::Settings { .. }
            | Self::NoCredentials { .. }
            | Self::Forbidden { .. }
            | Self::NoBucket { .. }
            | Self::Missing { .. }
            | Self::Region { .. }
            | Self::Leased { .. } => true,
            Self::Busy { .. }
            | Self::Unreachable { .. }
            | Self::Stopped { .. }
            | Self::NeverThere { .. }
            | Self::Broken { .. }
            | Self::LeaseLost { .. }
            | Self::Other { .. }
            | Self::File(_) => false,
        }
    }

    /// What `error` means at `url`. The client tells most things only in words, so they are looked for in its text.
    pub(super) fn of(url: &BucketUrl, error: &StoreError) -> Self {
        let text = url.without_secrets_in(&whole_text(error));
        let status = between(&text, "status code: ", |c: char| !c.is_ascii_digit());
        let status = status.and_then(|digits| digits.parse::<u16>().ok());
        let code = between(&text, "<Code>", |c| c == '<');
        let tries = between(&text, "after ", |c| c == ' ').and_then(|count| count.parse::<usize>().ok());
        let tries = tries.map_or(String::new(), |retries| format!(", {} attempts", retries + 1));
        let answer = match (status, code) {
            (Some(status), Some(code)) => format!("{status} {code}{tries}"),
            (Some(status), None) => format!("{status}{tries}"),
            (None, Some(code)) => format!("{code}{tries}"),
            (None, None) => String::new(),
        };
        let scheme = url.scheme();
        let cause = url.without_secrets_in(&root_cause(error));
        let url = url.to_string();
        let metadata = ["169.254.169.254", "169.254.170.2", "metadata.google.internal"];
        if metadata.iter().any(|host| text.contains(host)) {
            return Self::NoCredentials { url, advice: credentials_advice(scheme) };
        }
        if let Some(never) = never_there(error) {
            return Self::NeverThere { url, detail: never.to_string() };
        }
        // Answers that come again however often they are asked for.
        let lasting = [
            ("too many redirects", "the server redirects in a circle; check the URL"),
            (
                "Content-Length Header missing",
                "the server does not say how long the file is, so nothing would show whether all of it came; download \
                 it and give the local file",
            ),
            (
                "Invalid last modified",
                "the server gives a date that cannot be read; download the file and give the local one",
            ),
        ];
        if let Some((_, problem)) = lasting.iter().find(|(words, _)| text.contains(words)) {
            return Self::Url { url, problem: (*problem).to_owned() };
        }
        match (error, status, code) {
            (_, _, Some("NoSuchBucket" | "ContainerNotFound")) => Self::NoBucket { url },
            (StoreError::NotFound { .. }, ..) => Self::Missing { url },
            (_, _, Some("PermanentRedirect" | "AuthorizationHeaderMalformed")) => Self::Region { url },
            _ if text.contains("incorrectly configured region") => Self::Region { url },
            (StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. }, ..)
            | (_, Some(401 | 403), _)
            | (_, _, Some("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "AccessDenied")) => {
                let detail = if answer.is_empty() { "not allowed".to_owned() } else { answer };
                Self::Forbidden { url, detail }
            }
            (_, Some(408 | 429 | 500..=599), _) | (_, _, Some("SlowDown" | "InternalError")) => {
                Self::Busy { url, detail: answer }
            }
            (_, Some(_), _) => {
                let said = between(&text, "<Message>", |c| c == '<').unwrap_or_default();
                Self::Other { url, detail: format!("the store says {answer} {said}").trim_end().to_owned() }
            }
            _ if text.contains("HTTP error") => Self::Unreachable { url, detail: format!("{cause}{tries}") },
            _ => Self::Other { url, detail: one_line(&text) },
        }
    }
}

/// What to set so that requests can be signed.
pub(super) fn credentials_advice(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::S3 => {
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_ENDPOINT_URL where the store is not Amazon's), or \
             AWS_SKIP_SIGNATURE=true for a public bucket"
        }
        Scheme::Gcs => {
            "set GOOGLE_APPLICATION_CREDENTIALS to a key file, or GOOGLE_SKIP_SIGNATURE=true for a public bucket"
        }
        Scheme::Azure => {
            "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY (or AZURE_STORAGE_SAS_TOKEN), or \
             AZURE_SKIP_SIGNATURE=true for a public container"
        }
        Scheme::Http => "the address must carry them itself",
    }
}

/// The messages of the whole chain, as the client leaves inner ones out here and there.
fn whole_text(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

fn never_there(error: &StoreError) -> Option<&NeverThere> {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    loop {
        match cause.downcast_ref() {
            Some(never) => return Some(never),
            None => cause = cause.source()?,
        }
    }
}

/// What stands behind `mark`, up to where `ends` says.
fn between<'a>(text: &'a str, mark: &str, ends: impl Fn(char) -> bool) -> Option<&'a str> {
    let (_, rest) = text.split_once(mark)?;
    rest.split(ends).next().filter(|found| !found.is_empty())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
