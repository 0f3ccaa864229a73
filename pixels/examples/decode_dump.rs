//! `decode_dump < PATHS > ANSWERS`: what `decode_rgb` and `Transformer` make of files, for comparison with other tools.
//! A request is a path a line. The answer is a line of JSON (`outcome`, `detail`, `width`, `height`, `transformed`,
//! `peak_kib`) and, after an `outcome` of `success`, `width * height * 3` bytes. `transformed` is the outcome under the
//! options of a default run. `peak_kib` is the most memory the process held for this file, where Linux tells.
#![allow(clippy::print_stderr, reason = "an example that is run by tests/corpora")]

use std::error::Error;
use std::io::{BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use pairmill_pixels::{Limits, PixelError, Rgb8, TransformConfig, Transformer, decode_rgb};

fn main() -> Result<(), Box<dyn Error>> {
    let limits = Limits::default();
    let mut transformer = Transformer::new(&TransformConfig::default())?;
    let mut out = std::io::stdout().lock();
    for path in std::io::stdin().lock().lines() {
        let path = path?;
        let bytes = std::fs::read(&path).map_err(|e| format!("{path}: {e}"))?;
        reset_peak();
        let decoded = catch_unwind(|| decode_rgb(&bytes, &limits));
        let transformed = catch_unwind(AssertUnwindSafe(|| transformer.transform(&bytes).map(drop)));
        if transformed.is_err() {
            transformer = Transformer::new(&TransformConfig::default())?;
        }
        let picture = decoded.as_ref().ok().and_then(|result| result.as_ref().ok());
        let detail = match &decoded {
            Ok(Err(error)) => error.to_string(),
            _ => String::new(),
        };
        let answer = serde_json::json!({
            "outcome": word(decoded.as_ref().map(|result| result.as_ref().map(drop)).ok()),
            "detail": detail,
            "width": picture.map(|picture: &Rgb8| picture.width),
            "height": picture.map(|picture: &Rgb8| picture.height),
            "transformed": word(transformed.as_ref().map(|result| result.as_ref().map(drop)).ok()),
            "peak_kib": peak_kib(),
        });
        writeln!(out, "{answer}")?;
        if let Some(picture) = picture {
            out.write_all(&picture.data)?;
        }
        out.flush()?;
    }
    Ok(())
}

/// `None` is a panic.
fn word(result: Option<Result<(), &PixelError>>) -> &'static str {
    match result {
        None => "panic",
        Some(Ok(())) => "success",
        Some(Err(PixelError::NotAnImage)) => "not_an_image",
        Some(Err(PixelError::Unsupported(_))) => "unsupported",
        Some(Err(PixelError::Truncated)) => "truncated",
        Some(Err(PixelError::Corrupt(_))) => "corrupt",
        Some(Err(PixelError::Bomb { .. })) => "bomb",
        Some(Err(_)) => "another",
    }
}

/// Starts the kernel's count of the most memory anew.
fn reset_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
