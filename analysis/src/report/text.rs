//! Findings for a terminal.

use std::fmt::Write;

use pairmill_shards::printable::printable;

use super::{Finding, Mark};

/// One finding a paragraph: verdict, statement, numbers. Colour only where it is wanted.
pub fn findings_text(findings: &[Finding], colour: bool) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for finding in findings {
        let code = match finding.mark {
            Mark::Good => "32",
            Mark::Bad => "31",
            Mark::Note => "33",
            Mark::Unknown => "2",
        };
        let verdict = printable(&finding.verdict);
        let verdict =
            if colour { format!("\x1b[{code}m{verdict:<16}\x1b[0m") } else { format!("{verdict:<16}") };
        let _ = writeln!(text, "{verdict}{}", printable(&finding.statement));
        for detail in &finding.details {
            let _ = writeln!(text, "{:16}  {}", "", printable(detail));
        }
    }
    text
}
