//! Numbers as people read them, bytes as names are made of them, and refused command lines on one line; the same in
//! every command.

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes as two hexadecimal digits each, small letters.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// A number above 0 as people type it: `2700000`, `2_700_000`, `2.7M`, `500k`, `1.5G`. In digits, not in floating
/// point: 2.7M is 2,700,000 and no row less.
///
/// # Errors
/// What to type instead.
pub fn parse_count(typed: &str) -> Result<u64, String> {
    let refused = || "give a number above 0, as in 500k, 2.7M or 2700000".to_owned();
    let plain = typed.replace('_', "");
    let (digits, unit) = match plain.chars().last().map(|c| c.to_ascii_lowercase()) {
        Some('k') => (&plain[..plain.len() - 1], 1_000),
        Some('m') => (&plain[..plain.len() - 1], 1_000_000),
        Some('g' | 'b') => (&plain[..plain.len() - 1], 1_000_000_000),
        _ => (plain.as_str(), 1),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return Err(refused());
    }
    let mut count = if whole.is_empty() { Some(0) } else { whole.parse::<u64>().ok() }
        .and_then(|whole| whole.checked_mul(unit));
    let mut place = unit;
    for digit in fraction.bytes() {
        if place % 10 != 0 && digit != b'0' {
            return Err(format!("{typed} is no whole number"));
        }
        place /= 10;
        count = count.and_then(|count| count.checked_add(u64::from(digit - b'0') * place));
    }
    count.filter(|&count| count > 0).ok_or_else(refused)
}

/// `1.2 GB`; powers of 1000.
pub fn bytes(count: f64) -> String {
    let mut value = count;
    for unit in ["B", "kB", "MB", "GB", "TB"] {
        if value < 999.5 {
            let digits = usize::from(unit != "B" && value < 99.95);
            return format!("{value:.digits$} {unit}");
        }
        value /= 1_000.0;
    }
    format!("{value:.1} PB")
}

/// `45s`, `1m 05s`, `2h 03m`, `3d 04h`.
pub fn duration(seconds: f64) -> String {
    // Saturating, and 0 for what is not a number.
    let seconds = seconds.round() as u64;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {:02}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d {:02}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// `12.3%` of `whole`. Only all is `100%`, and only none is `0%`.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 || part == 0 {
        return "0%".to_owned();
    }
    if part >= whole {
        return "100%".to_owned();
    }
    let share = 100.0 * part as f64 / whole as f64;
    format!("{:.1}%", share.clamp(0.1, 99.9))
}

/// `1,234/s`, with a digit behind the point below 10.
pub fn rate(per_s: f64) -> String {
    if per_s < 9.95 && per_s > 0.0 {
        format!("{per_s:.1}/s")
    } else {
        format!("{}/s", grouped(per_s.round() as u64))
    }
}

/// What clap says of a command line that it refuses, on one line: without the usage and the hint at `--help`.
pub fn usage_line(rendered: &str) -> String {
    let said = rendered.lines().take_while(|line| !line.starts_with("Usage:"));
    let said = said.filter(|line| !line.starts_with("For more information"));
    let parts: Vec<&str> = said.map(str::trim).filter(|line| !line.is_empty()).collect();
    let line = parts.join("; ").replace(":; ", ": ");
    if line.starts_with("error: ") { line } else { format!("error: {line}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f20_what_the_parser_says_of_flags_is_one_line() {
        let said = "error: unexpected argument '--sise' found\n\n  tip: a similar argument exists: '--size'\n\n\
                    Usage: pairmill-shards subset --size <N>\n\nFor more information, try '--help'.\n";
        assert_eq!(
            usage_line(said),
            "error: unexpected argument '--sise' found; tip: a similar argument exists: '--size'"
        );
        let said = "error: the following required arguments were not provided:\n  --out <DIR>\n\nUsage: x\n";
        assert_eq!(
            usage_line(said),
            "error: the following required arguments were not provided: --out <DIR>"
        );
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(hex(&[0x00, 0x0f, 0xa5, 0xff]), "000fa5ff");
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0.0, 999.0, 1_500.0, 99_960.0, 999_600.0, 2.5e9, 1e15].map(bytes),
            ["0 B", "999 B", "1.5 kB", "100 kB", "1.0 MB", "2.5 GB", "1.0 PB"]
        );
        assert_eq!(
            [0.4, 59.4, 65.0, 7_380.0, 273_600.0].map(duration),
            ["0s", "59s", "1m 05s", "2h 03m", "3d 04h"]
        );
        assert_eq!(duration(f64::INFINITY), "213503982334601d 07h");
        assert_eq!(
            [(0, 0), (0, 9), (1, 3), (1, 100_000), (99_999, 100_000), (9, 9)]
                .map(|(part, whole)| percent(part, whole)),
            ["0%", "0%", "33.3%", "0.1%", "99.9%", "100%"]
        );
        assert_eq!([0.0, 0.25, 9.96, 1_234.4].map(rate), ["0/s", "0.2/s", "10/s", "1,234/s"]);
    }

    #[test]
    fn counts_are_exact() {
        for (typed, count) in [
            ("1200", 1_200),
            ("2.7M", 2_700_000),
            ("15m", 15_000_000),
            (".5M", 500_000),
            ("500k", 500_000),
            ("1.5G", 1_500_000_000),
            ("2_700_000", 2_700_000),
            ("2.765430M", 2_765_430),
        ] {
            assert_eq!(parse_count(typed), Ok(count), "{typed}");
        }
        for bad in ["1.5", "2.7654321M", "2.76543210M", "many", "0", "-3", "", "k", "1e20"] {
            assert!(parse_count(bad).is_err(), "{bad}");
        }
    }
}
