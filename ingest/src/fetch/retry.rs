//! When a row is tried again: exponential back-off with full jitter, and the server's own `Retry-After`.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};

/// The wait before a row's next attempt, after `attempts` of them (≥ 1): uniform between 0 and
/// `base · 2^(attempts−1)`, at most `max`. Drawn from a hash of the URL and the attempt, so that rows of one host
/// spread out and a run can be repeated.
pub(super) fn backoff(url: &str, attempts: u32, base: Duration, max: Duration) -> Duration {
    let factor = 2u32.checked_pow(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
    let ceiling = base.saturating_mul(factor).min(max);
    // 53 bits: all that an f64 in [0, 1) can hold.
    let fraction = (hash(url, attempts) >> 11) as f64 / (1u64 << 53) as f64;
    ceiling.mul_f64(fraction)
}

/// FNV-1a over the URL, finished with SplitMix64 to spread the attempt's few bits.
fn hash(url: &str, attempts: u32) -> u64 {
    let fnv =
        url.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let mut z = fnv.wrapping_add(u64::from(attempts).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The wait a server asks for: seconds or an HTTP date (RFC 9110 §10.2.3), counted from `now`. A date that has
/// passed is no wait; anything else that cannot be read is none asked for.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if value.bytes().all(|b| b.is_ascii_digit()) && !value.is_empty() {
        // Too many digits to count is a very long time.
        return Some(Duration::from_secs(
            value.parse().unwrap_or(u64::from(u32::MAX)).min(u64::from(u32::MAX)),
        ));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_secs(1);
    const MAX: Duration = Duration::from_secs(30);

    #[test]
    fn backoff_grows_is_capped_and_repeats_itself() {
        let mean = |attempts: u32| {
            (0..400)
                .map(|i| backoff(&format!("http://a.test/{i}.jpg"), attempts, BASE, MAX).as_secs_f64())
                .sum::<f64>()
                / 400.0
        };
        assert!((0.4..0.6).contains(&mean(1)), "{}", mean(1));
        assert!((0.8..1.2).contains(&mean(2)), "{}", mean(2));
        assert!((13.0..17.0).contains(&mean(20)), "{}", mean(20));
        assert!((13.0..17.0).contains(&mean(u32::MAX)), "{}", mean(u32::MAX));
        assert_eq!(backoff("http://a.test/", 1, BASE, MAX), backoff("http://a.test/", 1, BASE, MAX));
        assert_ne!(backoff("http://a.test/", 1, BASE, MAX), backoff("http://b.test/", 1, BASE, MAX));
        assert_eq!(backoff("http://a.test/", 3, Duration::ZERO, MAX), Duration::ZERO);
    }

    #[test]
    fn retry_after_reads_seconds_and_dates() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(of("120"), Some(Duration::from_secs(120)));
        assert_eq!(of(" 0 "), Some(Duration::ZERO));
        assert_eq!(of("Sun, 06 Nov 1994 08:50:07 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(of("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(of("99999999999999999999999"), Some(Duration::from_secs(u64::from(u32::MAX))));
        for unreadable in ["", "soon", "-5", "1.5"] {
            assert_eq!(of(unreadable), None, "{unreadable}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
