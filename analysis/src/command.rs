//! The commands of `pairmill-report`, a function each: from what was typed to what is written.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use clap::CommandFactory;
use pairmill_shards::printable::printable_json;
use pairmill_shards::results::{tsv_view, write_parquet, write_tsv};

use crate::args::{
    Cli, Command, FindingsArgs, FindingsFormat, ReportArgs, ReportFormat, RowsArgs, RowsFormat, StudyArgs,
    TransferArgs,
};
use crate::captions::{CaptionsArgs, captions};
use crate::load::{LoadError, Results};
use crate::report::{Block, Finding, Report, Section, Table, findings_text, to_html, to_markdown};
use crate::transfer::{Study, all_figures, provenance, sections};
use crate::{audit, claims, data, gallery, output};

/// Does what a command line says.
///
/// # Errors
/// What is wrong with the input, or with the place that the output goes to.
pub fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Transfer(args) => transfer(&args),
        Command::Claims(args) => run_claims(&args),
        Command::Audit(args) => run_audit(&args),
        Command::Report(args) => report(&args),
        Command::Rows(args) => rows(&args),
        Command::Captions(args) => run_captions(&args),
        Command::Gallery(args) => gallery::gallery(&args).and_then(|text| Ok(output::say(&text)?)),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "pairmill-report", &mut script);
            output::write(Path::new("-"), &script).map_err(Into::into)
        }
    }
}

fn transfer(args: &TransferArgs) -> anyhow::Result<()> {
    let results = args.study.load()?;
    let study = Study::new(&results, args.study.rule, args.study.seed);
    let figures = all_figures(&study);
    if figures.is_empty() {
        let kinds = results.rows.iter().map(|r| format!("{} {}", r.row.split, r.row.metric));
        let kinds: std::collections::BTreeSet<String> = kinds.collect();
        let kinds: Vec<String> = kinds.into_iter().collect();
        return Err(LoadError::NothingToDraw(kinds.join(", ")).into());
    }
    let names = output::write_figures(&figures, &args.out)?;
    let mut text = format!(
        "{} values, {} protocol, {}\n",
        results.rows.len(),
        results.protocol,
        study.picker.rule().as_str()
    );
    for figure in &figures {
        for name in figure.file_names {
            text.push_str(&format!(
                "{name:<10} {:>4} values  {}\n",
                figure.block.table.rows.len(),
                figure.block.title
            ));
        }
    }
    text.push_str(&format!("{} figures in {} (.svg, .png, .csv)\n", names.len(), args.out.display()));
    Ok(output::say(&text)?)
}

fn run_claims(args: &FindingsArgs) -> anyhow::Result<()> {
    let results = args.study.load()?;
    let claims = claims::all_claims(&study_of(&results, &args.study));
    write_findings(args, "Claims", &claims::to_findings(&claims), &claims::to_table(&claims), || {
        claims::to_json(&claims)
    })
}

fn run_audit(args: &FindingsArgs) -> anyhow::Result<()> {
    let results = args.study.load()?;
    let defects = audit::audit(&study_of(&results, &args.study));
    write_findings(args, "Audit", &audit::to_findings(&defects), &audit::to_table(&defects), || {
        audit::to_json(&defects)
    })
}

fn study_of<'a>(results: &'a Results, args: &StudyArgs) -> Study<'a> {
    Study::new(results, args.rule, args.seed)
}

fn write_findings(
    args: &FindingsArgs,
    title: &str,
    findings: &[Finding],
    table: &Table,
    json: impl Fn() -> serde_json::Value,
) -> anyhow::Result<()> {
    let text = match args.format {
        FindingsFormat::Text => {
            let coloured = args.out.as_os_str() == "-" && output::wants_colour();
            return Ok(output::write_coloured(&args.out, &findings_text(findings, coloured))?);
        }
        FindingsFormat::Json => printable_json(&format!("{:#}\n", json())).into_owned(),
        FindingsFormat::Csv => table.to_csv(),
        FindingsFormat::Md => {
            let section = Section {
                id: title.to_lowercase(),
                title: title.to_owned(),
                lead: String::new(),
                blocks: vec![Block::Findings(findings.to_vec())],
            };
            let report = Report { title: title.to_owned(), lead: String::new(), sections: vec![section] };
            to_markdown(&report, "")
        }
    };
    Ok(output::write(&args.out, text.as_bytes())?)
}

fn report(args: &ReportArgs) -> anyhow::Result<()> {
    let data = data::sections(&args.data, args.study.seed)?;
    let only_data = args.study.results.is_empty();
    let (mut all, mut end, lead) = if only_data {
        let lead = "What became of the rows of each source, and what its captions say.".to_owned();
        let end = Section {
            id: "provenance".to_owned(),
            title: "Provenance".to_owned(),
            lead: String::new(),
            blocks: Vec::new(),
        };
        (Vec::new(), end, lead)
    } else {
        let results = args.study.load()?;
        let study = study_of(&results, &args.study);
        let lineup = &study.lineup;
        let lead = format!(
            "{} values of {} sources on {} tasks, {} protocol.",
            results.rows.len(),
            lineup.sources.len(),
            lineup.tasks.len(),
            results.protocol
        );
        (sections(&study), provenance(&study, args.study.seed), lead)
    };
    all.extend(data.sections);
    end.blocks.extend(data.provenance);
    all.push(end);
    let title = if only_data { "What the data hold" } else { "What transferred" };
    let title = args.title.clone().unwrap_or_else(|| title.to_owned());
    let report = Report { title, lead, sections: all };
    let is_md = args.out.extension().is_some_and(|e| e.eq_ignore_ascii_case("md"));
    match args.format.unwrap_or(if is_md { ReportFormat::Md } else { ReportFormat::Html }) {
        ReportFormat::Html => output::write(&args.out, to_html(&report).as_bytes())?,
        ReportFormat::Md => {
            // Beside the file, in a folder of its name, so that the links work wherever both are moved.
            let stem =
                args.out.file_stem().and_then(|s| s.to_str()).filter(|s| *s != "-").unwrap_or("figures");
            let folder = format!("{stem}_figures");
            if args.out.as_os_str() != "-" {
                output::write_linked(&report.sections, &args.out.with_file_name(&folder))?;
            }
            output::write(&args.out, to_markdown(&report, &format!("{folder}/")).as_bytes())?;
        }
    }
    Ok(())
}

fn run_captions(args: &CaptionsArgs) -> anyhow::Result<()> {
    let (result, names) = captions(args)?;
    let mut text = String::new();
    for source in &result.sources {
        let account = &source.account;
        let distinct =
            source.words.as_ref().map_or_else(String::new, |w| format!(", {} distinct", w.num_distinct));
        text.push_str(&format!(
            "{}: {account}; {} captions, {} words{distinct}\n",
            source.name, account.num_captions, account.num_words
        ));
    }
    text.push_str(&format!("{} files in {}\n", names.len(), args.out.display()));
    Ok(output::say(&text)?)
}

fn rows(args: &RowsArgs) -> anyhow::Result<()> {
    let results = args.study.load_as_written()?;
    let rows: Vec<_> = results.rows.into_iter().map(|r| r.row).collect();
    let bytes = match args.to {
        RowsFormat::Parquet => write_parquet(&rows)?,
        RowsFormat::Tsv => {
            let view = tsv_view(&rows)?;
            if view.num_left_out > 0 {
                let _ = writeln!(
                    io::stderr(),
                    "left out {} values that the TSV has no place for (validation, other metrics)",
                    view.num_left_out
                );
            }
            write_tsv(&view.rows).into_bytes()
        }
    };
    output::write(&args.out, &bytes).context("rows")
}
