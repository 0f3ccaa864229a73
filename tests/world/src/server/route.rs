//! Paths to answers.
//!
//! | path | answer |
//! |---|---|
//! | `/<source>/<index>.<any>` | the picture |
//! | `/fault/<fault>/<source>/<index>.<any>` | the fault, acted out on that picture |
//! | `/removed/<any>` | a redirect to `/removed.png`, a picture that says the real one is gone |
//! | `/files/<name>` | a file of the root folder |
//! | `/files.txt` | their URLs, one a line |
//! | `/stats`, `/reset` | the counts as JSON; forget them |
//! | `/robots.txt` | all but `/private/` is allowed |
//! | `/` | a page that shows all of this |

use std::sync::Arc;

use super::cache::{Body, BodyKey};
use super::reply::{Reply, Wire};
use super::{State, fault_reply, files};
use crate::encode::Encoding;
use crate::fault::{ClientPolicy, Fault};
use crate::raster::Pixels;
use crate::source::{SizeClass, Source};

pub(super) async fn route(target: &str, host: usize, state: &State) -> Reply {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    match path {
        "/" => return Reply::ok("text/html; charset=utf-8", home().into_bytes()),
        "/robots.txt" => return Reply::ok("text/plain", b"User-agent: *\nDisallow: /private/\n".to_vec()),
        "/files.txt" => return Reply::ok("text/plain; charset=utf-8", file_list(host, state).into_bytes()),
        "/removed.png" => return removed(),
        "/stats" => return stats(state),
        "/reset" => {
            state.stats.clear();
            state.attempts.clear();
            return Reply::ok("text/plain", b"forgotten\n".to_vec()).over(Wire::Close);
        }
        _ => {}
    }
    if path.starts_with("/removed/") {
        return Reply::redirect(302, "/removed.png");
    }
    if let Some(name) = path.strip_prefix("/files/") {
        let name = percent_decode(name);
        return match state.files.get(&name) {
            Some(body) => Reply::ok(files::content_type(&name), body),
            None => Reply::page(404),
        };
    }
    let mut parts = path.trim_start_matches('/').split('/');
    let first = parts.next().unwrap_or_default();
    if first == "fault" {
        let fault = parts.next().and_then(|word| word.parse::<Fault>().ok());
        return match (fault, picture_of(parts)) {
            (Some(fault), Some((source, index))) => {
                fault_reply::reply(&fault_reply::Asked { fault, source, index, path, query, host }, state)
                    .await
            }
            _ => Reply::page(404),
        };
    }
    match picture_of(std::iter::once(first).chain(parts)) {
        Some((source, index)) => picture(source, index, state).await,
        None => Reply::page(404),
    }
}

/// `<source>/<index>.<any>` and nothing after it.
fn picture_of<'a>(mut parts: impl Iterator<Item = &'a str>) -> Option<(Source, u64)> {
    let source = parts.next()?.parse().ok()?;
    let file = parts.next()?;
    let index = file.split_once('.').map_or(file, |(stem, _)| stem).parse().ok()?;
    parts.next().is_none().then_some((source, index))
}

async fn picture(source: Source, index: u64, state: &State) -> Reply {
    let index = state.world.canonical_index(index);
    let planned = state.world.picture(source, index);
    let content_type = planned.encoding.content_type();
    let inline = state.world.config().sizes == SizeClass::Small;
    match body(BodyKey::Picture(source, index), inline, state, move || planned.bytes()).await {
        Some(body) => Reply::ok(content_type, body),
        None => Reply::page(500),
    }
}

/// The body under `key`, made at most once while the cache holds it; large ones off the serving threads.
pub(super) async fn body(
    key: BodyKey,
    inline: bool,
    state: &State,
    make: impl FnOnce() -> crate::Result<Vec<u8>> + Send + 'static,
) -> Option<Body> {
    if let Some(body) = state.cache.get(key) {
        return Some(body);
    }
    let made = if inline { make() } else { tokio::task::spawn_blocking(make).await.ok()? };
    let body: Body = Arc::from(made.ok()?);
    state.cache.put(key, &body);
    Some(body)
}

/// Imgur's answer for a picture that was taken down: 161 by 81 pixels, status 200.
fn removed() -> Reply {
    let pixels = Pixels { width: 161, height: 81, rgb: vec![34; 161 * 81 * 3] };
    match Encoding::Png.encode(&pixels) {
        Ok(png) => Reply::ok("image/png", png),
        Err(_) => Reply::page(500),
    }
}

fn stats(state: &State) -> Reply {
    match serde_json::to_vec_pretty(&state.stats.snapshot()) {
        Ok(json) => Reply::ok("application/json", json),
        Err(_) => Reply::page(500),
    }
}

fn file_list(host: usize, state: &State) -> String {
    let base = state.addresses[host];
    state.files.names().map(|name| format!("http://{base}/files/{}\n", percent_encode(name))).collect()
}

fn percent_encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                out.push(char::from(byte))
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn percent_decode(name: &str) -> String {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'%').then(|| after.get(..2)).flatten();
        let value = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match value {
            Some(value) => {
                out.push(value);
                rest = &after[2..];
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn home() -> String {
    let mut page = String::from(
        "<!doctype html>\n<html><head><meta charset=\"utf-8\"><title>The miniature web</title></head><body>\n\
         <h1>The miniature web</h1>\n<p><a href=\"/stats\">stats</a> · <a href=\"/robots.txt\">robots.txt</a> · \
         <a href=\"/files.txt\">files</a></p>\n",
    );
    for source in Source::ALL {
        page.push_str(&format!("<h2>{source}</h2>\n<p>"));
        for index in 0..8 {
            page.push_str(&format!(
                "<a href=\"/{source}/{index}.jpg\"><img height=\"120\" src=\"/{source}/{index}.jpg\"></a>\n"
            ));
        }
        page.push_str("</p>\n");
    }
    page.push_str("<h2>Faults</h2>\n<ul>\n");
    for fault in Fault::ALL {
        let class = fault.outcome(&ClientPolicy::default()).unwrap_or("private_address");
        let url = fault.url("", Source::Cc12m, 1);
        page.push_str(&format!("<li><a href=\"{url}\">{fault}</a>: {class}</li>\n"));
    }
    page.push_str("</ul></body></html>\n");
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_url() {
        for name in ["a b.jpg", "ü/50%.png", "plain.jpg", "%zz"] {
            assert_eq!(percent_decode(&percent_encode(name)), name);
        }
        assert_eq!(percent_decode("%zz%4"), "%zz%4");
    }

    #[test]
    fn picture_paths_are_exact() {
        let of = |path: &str| picture_of(path.split('/'));
        assert_eq!(of("laion/12.jpg"), Some((Source::Laion, 12)));
        assert_eq!(of("wit/0"), Some((Source::Wit, 0)));
        assert_eq!(of("laion/12.jpg/more"), None);
        assert_eq!(of("laion/x.jpg"), None);
        assert_eq!(of("nowhere/1.jpg"), None);
    }
}
