//! What each number of a config may be. Beyond these, a thread pool would take the machine's memory, a sum of times
//! would overflow, or a row would be waited for longer than anyone does; a test holds every number of a config against
//! this list or against the check that its own module has.

use std::ops::RangeInclusive;

use pairmill_pixels::ResizeMode;

use crate::config::{Config, ConfigError};

/// More threads than any machine has use for; each takes a stack.
const MOST_THREADS: u64 = 1_024;
/// Connections that one process can have to one address of a server.
const MOST_CONNECTIONS: u64 = 65_535;
/// A day: longer waits are runs of their own.
const DAY_MS: u64 = 86_400_000;
/// A year, for what is remembered.
const YEAR_S: u64 = 31_536_000;
/// Attempts beyond which a row is not worth waiting for.
const MOST_RETRIES: u64 = 100;
/// Largest body: what a tar's member may be (FORMAT.md §2).
const MOST_BODY_BYTES: u64 = 1 << 30;
/// More memory than machines have.
const MOST_BYTES: u64 = 1 << 46;
/// Rows, seeds and shards are written down as TOML, whose integers have 63 bits.
const MOST: u64 = i64::MAX as u64;

type Number = (&'static str, u64, RangeInclusive<u64>);

/// Every whole number of `config` that no other module judges: its name, its value and what it may be.
pub(crate) fn numbers(config: &Config) -> Vec<Number> {
    let (fetch, runtime) = (&config.fetch, &config.runtime);
    let (breaker, dns, limits) = (&fetch.breaker, &fetch.dns, &config.pixels.limits);
    let wide = |number: usize| number as u64;
    let mut numbers = vec![
        ("--processes-count (runtime.workers)", wide(runtime.workers), 0..=MOST_THREADS),
        ("runtime.fetch_threads", wide(runtime.fetch_threads), 0..=MOST_THREADS),
        ("runtime.window_rows", runtime.window_rows, 1..=1 << 40),
        ("runtime.reorder_bytes", runtime.reorder_bytes, 0..=MOST_BYTES),
        ("runtime.progress_interval_s", runtime.progress_interval_s, 0..=DAY_MS / 1_000),
        ("runtime.uploads", wide(runtime.uploads), 1..=MOST_THREADS),
        ("--subset (subset.rows)", config.subset.rows.unwrap_or(1), 1..=MOST),
        ("--prefix (subset.prefix)", config.subset.prefix.unwrap_or(1), 1..=MOST),
        ("--seed (subset.seed)", config.subset.seed, 0..=MOST),
        ("filter.max_distinct", config.filter.max_distinct, 1..=1 << 40),
        ("--thread-count (fetch.concurrency)", wide(fetch.concurrency), 1..=MOST_CONNECTIONS),
        ("fetch.per_host", wide(fetch.per_host), 1..=MOST_CONNECTIONS),
        ("--timeout (fetch.timeout_ms)", fetch.timeout_ms, 1..=DAY_MS),
        ("fetch.connect_timeout_ms", fetch.connect_timeout_ms, 1..=DAY_MS),
        ("fetch.host_interval_ms", fetch.host_interval_ms, 0..=DAY_MS),
        ("fetch.max_bytes", fetch.max_bytes, 1..=MOST_BODY_BYTES),
        ("fetch.min_bytes_per_s", fetch.min_bytes_per_s, 0..=MOST_BODY_BYTES),
        ("fetch.grace_ms", fetch.grace_ms, 1..=DAY_MS),
        ("fetch.max_redirects", u64::from(fetch.max_redirects), 0..=MOST_RETRIES),
        ("--retries (fetch.retries)", u64::from(fetch.retries), 0..=MOST_RETRIES),
        ("fetch.backoff_base_ms", fetch.backoff_base_ms, 0..=DAY_MS),
        ("fetch.backoff_max_ms", fetch.backoff_max_ms, 0..=DAY_MS),
        ("fetch.max_retry_after_ms", fetch.max_retry_after_ms, 0..=DAY_MS),
        ("fetch.large_body_budget_bytes", fetch.large_body_budget_bytes, 0..=MOST_BYTES),
        ("fetch.breaker.failures", u64::from(breaker.failures), 0..=u64::from(u32::MAX)),
        ("fetch.breaker.open_ms", breaker.open_ms, 1..=DAY_MS),
        ("fetch.breaker.patience_ms", breaker.patience_ms, 0..=DAY_MS),
        ("fetch.dns.cache_entries", wide(dns.cache_entries), 0..=100_000_000),
        ("fetch.dns.min_ttl_s", dns.min_ttl_s, 0..=YEAR_S),
        ("fetch.dns.max_ttl_s", dns.max_ttl_s, 0..=YEAR_S),
        ("fetch.dns.negative_ttl_s", dns.negative_ttl_s, 0..=YEAR_S),
        ("fetch.dns.failure_ttl_ms", dns.failure_ttl_ms, 0..=DAY_MS),
        ("fetch.dns.timeout_ms", dns.timeout_ms, 1..=DAY_MS),
        ("fetch.dns.retries", wide(dns.retries), 0..=MOST_RETRIES),
        ("pixels.limits.max_pixels", limits.max_pixels, 1..=1 << 32),
        ("pixels.limits.max_decode_bytes", limits.max_decode_bytes, 1..=MOST_BYTES),
    ];
    if let Some((first, end)) = runtime.shards {
        numbers.push(("--shards (runtime.shards)", first, 0..=MOST));
        numbers.push(("--shards (runtime.shards)", end, 1..=MOST));
    }
    numbers
}

/// Refuses the first number that is out of range.
pub(crate) fn check(config: &Config) -> Result<(), ConfigError> {
    for (setting, value, range) in numbers(config) {
        if !range.contains(&value) {
            let (least, most) = range.into_inner();
            return Err(ConfigError::OutOfRange { setting, value, least, most });
        }
    }
    let (pixels, value) = (&config.pixels, config.pixels.image_size);
    let area = u64::from(value) * u64::from(value);
    if pixels.resize_mode != ResizeMode::No && area > pixels.limits.max_pixels {
        return Err(ConfigError::Range {
            setting: "--image-size (pixels.image_size)",
            value: value.to_string(),
            rule: "its square is more than pixels.limits.max_pixels; lower it, or raise that too",
        });
    }
    let dns = &config.fetch.dns;
    if dns.min_ttl_s > dns.max_ttl_s {
        return Err(ConfigError::Range {
            setting: "fetch.dns.min_ttl_s",
            value: dns.min_ttl_s.to_string(),
            rule: "must not be above fetch.dns.max_ttl_s",
        });
    }
    let filter = &config.filter;
    // Not a number passes every comparison or none.
    let shares = [
        ("filter.min_similarity", filter.min_similarity, -1.0..=1.0, "a cosine: give a number from -1 to 1"),
        ("filter.max_punsafe", filter.max_punsafe, 0.0..=1.0, "a probability: give a number from 0 to 1"),
        (
            "filter.max_pwatermark",
            filter.max_pwatermark,
            0.0..=1.0,
            "a probability: give a number from 0 to 1",
        ),
        (
            "filter.max_aspect_ratio",
            filter.max_aspect_ratio,
            1.0..=f64::INFINITY,
            "longer over shorter side: give a number of at least 1",
        ),
    ];
    for (setting, value, range, rule) in shares {
        if let Some(value) = value.filter(|value| !range.contains(value)) {
            return Err(ConfigError::Range { setting, value: value.to_string(), rule });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A config in which no number is left out when it is written down.
    fn all_numbers() -> Config {
        let mut config = Config::default();
        config.input.url_list = "t.csv".to_owned();
        config.filter.min_caption_chars = Some(1);
        config.filter.max_caption_chars = Some(1);
        config.filter.min_caption_words = Some(1);
        config.filter.max_caption_words = Some(1);
        config.filter.min_similarity = Some(0.5);
        config.filter.max_punsafe = Some(0.5);
        config.filter.max_pwatermark = Some(0.5);
        config.filter.min_width = Some(1);
        config.filter.min_height = Some(1);
        config.filter.max_aspect_ratio = Some(2.0);
        config.subset.rows = Some(2);
        config.pixels.max_image_area = 1e6;
        config.pixels.max_aspect_ratio = 3.0;
        config.runtime.uploads = 3;
        config.runtime.shards = Some((0, 7));
        config.storage.retries = 11;
        config
    }

    /// Places of all numbers of a table, as the keys that lead there.
    fn places(value: &toml::Value, above: &[String], found: &mut Vec<Vec<String>>) {
        let below = |key: &str| above.iter().cloned().chain([key.to_owned()]).collect::<Vec<_>>();
        match value {
            toml::Value::Integer(_) | toml::Value::Float(_) => found.push(above.to_vec()),
            toml::Value::Table(table) => {
                table.iter().for_each(|(key, value)| places(value, &below(key), found));
            }
            toml::Value::Array(items) => {
                let items = items.iter().enumerate();
                items.for_each(|(at, value)| places(value, &below(&at.to_string()), found));
            }
            _ => {}
        }
    }

    fn put(value: &mut toml::Value, path: &[String], number: toml::Value) {
        match (path, value) {
            ([], place) => *place = number,
            ([key, rest @ ..], toml::Value::Table(table)) => put(table.get_mut(key).unwrap(), rest, number),
            ([key, rest @ ..], toml::Value::Array(items)) => {
                put(&mut items[key.parse::<usize>().unwrap()], rest, number);
            }
            _ => unreachable!(),
        }
    }

    #[test]
    fn f20_every_number_of_a_config_is_good_or_refused_by_its_name() {
        let config = all_numbers();
        let table = toml::Value::try_from(&config).unwrap();
        let mut found = Vec::new();
        places(&table, &[], &mut found);
        assert!(found.len() > 55, "{found:?}");
        let integers = [0, 1, -1, i64::MAX, i64::MIN, i64::from(u32::MAX)].map(toml::Value::Integer);
        let floats = [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e308, 0.5].map(toml::Value::Float);
        let mut refused = 0;
        for path in found {
            for number in integers.iter().chain(&floats) {
                let mut table = table.clone();
                put(&mut table, &path, number.clone());
                let text = toml::to_string(&table).unwrap();
                let checked = Config::parse(&text).and_then(|c| c.validate().map_err(|e| e.to_string()));
                let Err(message) = checked else { continue };
                refused += 1;
                // A list is named by its key.
                let key = path.iter().rev().find(|key| key.parse::<usize>().is_err()).unwrap();
                // What has an option of its own is called so.
                let option = match key.as_str() {
                    "workers" => "processes-count",
                    "rows" => "subset",
                    key => key,
                };
                let named = [key.replace('_', "-"), key.clone(), option.replace('_', "-")];
                assert!(named.iter().any(|name| message.contains(name)), "{path:?} = {number}: {message}");
                assert!(!message.contains('\n') && message.len() < 300, "{message}");
            }
        }
        assert!(refused > 300, "{refused}");
    }

    #[test]
    fn f20_the_ends_of_each_range_are_good_and_one_beyond_is_not() {
        let config = all_numbers();
        check(&config).unwrap();
        for (setting, _, range) in numbers(&config) {
            assert!(range.start() <= range.end(), "{setting}");
        }
        let beyond = |change: fn(&mut Config)| {
            let mut config = all_numbers();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert_eq!(
            beyond(|config| config.runtime.workers = 1_000_000_000),
            "--processes-count (runtime.workers) is 1000000000; give a number from 0 to 1024"
        );
        assert_eq!(
            beyond(|config| config.runtime.fetch_threads = 100_000),
            "runtime.fetch_threads is 100000; give a number from 0 to 1024"
        );
        assert_eq!(
            beyond(|config| config.subset.seed = u64::MAX),
            "--seed (subset.seed) is 18446744073709551615; give a number from 0 to 9223372036854775807"
        );
        let nan = beyond(|config| config.filter.min_similarity = Some(f64::NAN));
        assert_eq!(nan, "filter.min_similarity is NaN; a cosine: give a number from -1 to 1");
    }
}
