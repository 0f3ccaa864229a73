//! Numbers as text.

/// `x` as Python's `'%.{digits}g' % x` has it: that many significant digits, ties to even, no trailing zeros, and an
/// exponent where it is below −4 or not below `digits`. The paper's heat-maps print `%.2g`.
pub fn general(x: f64, digits: usize) -> String {
    let precision = digits.max(1) - 1;
    let scientific = format!("{x:.precision$e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let Ok(exponent) = exponent.parse::<i32>() else { return scientific };
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if exponent < -4 || exponent > precision as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim(mantissa), exponent.abs());
    }
    let decimals = (precision as i32 - exponent).max(0) as usize;
    trim(&format!("{x:.decimals$}"))
}

/// At most `decimals` digits behind the point, without trailing zeros.
pub fn short(x: f64, decimals: usize) -> String {
    let text = format!("{x:.decimals$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn general_is_pythons_percent_g() {
        // CPython 3.11: '%.2g' % x.
        for (x, want) in [
            (86.5, "86"),
            (87.5, "88"),
            (7.9, "7.9"),
            (7.95, "8"),
            (11.064, "11"),
            (40.0, "40"),
            (0.0, "0"),
            (9.96, "10"),
            (99.4, "99"),
            (99.5, "1e+02"),
            (100.0, "1e+02"),
            (0.96, "0.96"),
            (0.00012345, "0.00012"),
            (0.000012345, "1.2e-05"),
        ] {
            assert_eq!(general(x, 2), want, "{x}");
        }
        assert_eq!(general(0.03761, 3), "0.0376");
    }
}
