//! A report as Markdown, for a README: figures as links to files beside it, tables as tables.

use std::fmt::Write;

use pairmill_shards::printable::printable_lines;

use super::{Block, Mark, Report};

/// The Markdown. Figures are linked as `{folder}{id}.svg`; `folder` is blank or ends in `/`.
pub fn to_markdown(report: &Report, folder: &str) -> String {
    let mut text = format!("# {}\n\n{}\n", report.title, report.lead);
    // Writing to a string cannot fail.
    for section in &report.sections {
        let _ = write!(text, "\n## {}\n", section.title);
        if !section.lead.is_empty() {
            let _ = write!(text, "\n{}\n", section.lead);
        }
        for block in &section.blocks {
            text.push('\n');
            match block {
                Block::Figure(figure) => {
                    let _ = writeln!(text, "### {}\n", figure.title);
                    let _ = writeln!(text, "![{}]({folder}{}.svg)\n", figure.drawing.description, figure.id);
                    let _ = writeln!(
                        text,
                        "{} Numbers: [{id}.csv]({folder}{id}.csv).",
                        figure.caption,
                        id = figure.id
                    );
                }
                Block::Table(table) => {
                    if !table.title.is_empty() {
                        let _ = writeln!(text, "**{}**\n", table.title);
                    }
                    text.push_str(&table.to_markdown());
                }
                Block::Findings(findings) => {
                    for finding in findings {
                        let sign = match finding.mark {
                            Mark::Good => "✓",
                            Mark::Bad => "✗",
                            Mark::Note => "•",
                            Mark::Unknown => "–",
                        };
                        let _ = writeln!(text, "- {sign} **{}**: {}", finding.verdict, finding.statement);
                        for detail in &finding.details {
                            let _ = writeln!(text, "  - {detail}");
                        }
                    }
                }
                Block::Text(paragraph) => {
                    let _ = writeln!(text, "{paragraph}");
                }
            }
        }
    }
    printable_lines(&text).into_owned()
}
