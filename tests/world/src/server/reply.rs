//! What to answer, before anything goes wrong on the wire.

use super::cache::Body;

/// How the answer travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// Whole, with its length; the connection stays open.
    Whole,
    /// Whole, with its length, then the connection is closed.
    Close,
    /// Whole, in chunks; the connection stays open.
    Chunked,
    /// Chunks, but never the last one.
    ShortChunked,
    /// Half of the promised length, then an orderly close.
    ShortBody,
    /// Nothing, and a reset.
    Reset,
    /// Half of the promised length, then a reset.
    ResetMidBody,
    /// Nothing, and an orderly close.
    CloseAtOnce,
    /// Nothing, ever.
    Silence,
    /// A header line a second, for ever.
    DripHead,
    /// A body byte a second.
    DripBody,
    /// The body, then zeros for ever, in chunks.
    EndlessChunked,
    /// The body, then zeros for ever; the promised length, if there is one, is far off.
    Endless(Option<u64>),
    /// Something that is not HTTP.
    NotHttp,
}

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub status: u16,
    pub content_type: Option<&'static str>,
    pub headers: Vec<(&'static str, Vec<u8>)>,
    pub body: Body,
    pub wire: Wire,
}

impl Reply {
    pub(super) fn new(status: u16, content_type: &'static str, body: impl Into<Body>) -> Self {
        Self {
            status,
            content_type: Some(content_type),
            headers: Vec::new(),
            body: body.into(),
            wire: Wire::Whole,
        }
    }

    pub(super) fn ok(content_type: &'static str, body: impl Into<Body>) -> Self {
        Self::new(200, content_type, body)
    }

    /// A status with a short page, as servers give.
    pub(super) fn page(status: u16) -> Self {
        let reason = reason(status);
        let page = format!(
            "<!doctype html>\n<html><head><title>{status} {reason}</title></head>\
             <body><h1>{reason}</h1></body></html>\n"
        );
        Self::new(status, "text/html; charset=utf-8", page.into_bytes())
    }

    /// A status without a body.
    pub(super) fn bare(status: u16) -> Self {
        Self { content_type: None, ..Self::new(status, "", Vec::new()) }
    }

    pub(super) fn redirect(status: u16, location: &str) -> Self {
        Self::page(status).with("Location", location)
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn over(self, wire: Wire) -> Self {
        Self { wire, ..self }
    }
}

/// Reason phrases (RFC 9110 §15, RFC 6585, RFC 7725).
pub(super) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        410 => "Gone",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Unnamed",
    }
}
