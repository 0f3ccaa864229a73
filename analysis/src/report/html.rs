//! A report as one self-contained page: figures as inline SVG, style and a few lines of script inside, nothing from
//! elsewhere. Light or dark as the reader's system has it, until the reader says otherwise.

use std::fmt::Write;

use pairmill_shards::markup::escape;

use super::{Block, FigureBlock, Finding, Mark, Report, Table, Value};
use crate::chart::{Theme, css_variables};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page.
pub fn to_html(report: &Report) -> String {
    let title = escape(&report.title);
    let (light, dark) = (css_variables(false), css_variables(true));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\n<style>\n\
         :root{{{light}}}\n@media(prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}}}}}\n\
         :root[data-theme=dark]{{{dark}}}\n{STYLE}</style></head>\n<body>\n<header><h1>{title}</h1>\
         <button id=\"theme\" type=\"button\" aria-label=\"switch between light and dark\">Dark</button>\n\
         <p class=\"lead\">{}</p><nav>",
        escape(&report.lead)
    );
    // Writing to a string cannot fail.
    for section in &report.sections {
        let _ = write!(page, "<a href=\"#{}\">{}</a>", escape(&section.id), escape(&section.title));
    }
    page.push_str("</nav></header>\n<main>\n");
    for section in &report.sections {
        let _ = writeln!(page, "<section id=\"{}\"><h2>{}</h2>", escape(&section.id), escape(&section.title));
        if !section.lead.is_empty() {
            let _ = writeln!(page, "<p class=\"lead\">{}</p>", escape(&section.lead));
        }
        for block in &section.blocks {
            write_block(&mut page, block);
        }
        page.push_str("</section>\n");
    }
    let _ = write!(page, "</main><footer></footer>\n<script>\n{SCRIPT}</script>\n</body></html>\n");
    page
}

fn write_block(page: &mut String, block: &Block) {
    match block {
        Block::Figure(figure) => write_figure(page, figure),
        Block::Table(table) => {
            page.push_str("<div class=\"panel\">");
            if !table.title.is_empty() {
                let _ = write!(page, "<h3>{}</h3>", escape(&table.title));
            }
            write_table(page, table);
            page.push_str("</div>\n");
        }
        Block::Findings(findings) => {
            page.push_str("<div class=\"panel\"><ul class=\"findings\">\n");
            for finding in findings {
                write_finding(page, finding);
            }
            page.push_str("</ul></div>\n");
        }
        Block::Text(text) => {
            let _ = writeln!(page, "<p>{}</p>", escape(text));
        }
    }
}

fn write_figure(page: &mut String, figure: &FigureBlock) {
    let _ = write!(
        page,
        "<figure id=\"{}\"><h3>{}</h3>\n{}<figcaption>{}</figcaption>\n<details><summary>The numbers ({} rows)</summary>",
        escape(&figure.id),
        escape(&figure.title),
        figure.drawing.to_svg(Theme::Page),
        escape(&figure.caption),
        figure.table.rows.len()
    );
    write_table(page, &figure.table);
    page.push_str("</details></figure>\n");
}

fn write_finding(page: &mut String, finding: &Finding) {
    let class = match finding.mark {
        Mark::Good => "good",
        Mark::Bad => "bad",
        Mark::Note => "note",
        Mark::Unknown => "unknown",
    };
    let _ = write!(
        page,
        "<li><span class=\"mark {class}\">{}</span><div>{}",
        escape(&finding.verdict),
        escape(&finding.statement)
    );
    if !finding.details.is_empty() {
        page.push_str("<ul>");
        for detail in &finding.details {
            let _ = write!(page, "<li>{}</li>", escape(detail));
        }
        page.push_str("</ul>");
    }
    page.push_str("</div></li>\n");
}

fn write_table(page: &mut String, table: &Table) {
    page.push_str("<div class=\"scroll\"><table><thead><tr>");
    let numeric: Vec<bool> = (0..table.columns.len()).map(|n| table.is_numeric(n)).collect();
    for (name, numeric) in table.columns.iter().zip(&numeric) {
        let class = if *numeric { " class=\"n\"" } else { "" };
        let _ = write!(page, "<th{class}><button type=\"button\">{}</button></th>", escape(name));
    }
    page.push_str("</tr></thead><tbody>\n");
    for row in &table.rows {
        page.push_str("<tr>");
        for (value, numeric) in row.iter().zip(&numeric) {
            let shown = escape(&value.shown());
            let _ = match value {
                Value::Number(x, _) => write!(page, "<td class=\"n\" data-v=\"{x}\">{shown}</td>"),
                _ if *numeric => write!(page, "<td class=\"n\" data-v=\"\">{shown}</td>"),
                _ => write!(page, "<td class=\"w\">{shown}</td>"),
            };
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div>");
}
