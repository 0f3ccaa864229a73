//! Numbers as people read them, the same in every command.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
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
}
