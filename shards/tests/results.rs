//! Result rows: both forms read back as written, the authors' file byte for byte, and bad files are named in one line.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests; clippy knows only functions marked as tests"
)]

use std::path::Path;

use pairmill_shards::results::{
    Cell, Method, Names, Protocol, ReadNote, ResultRow, ResultTable, RunConfig, Selection, Shots, Split,
    TSV_COLUMNS, TsvRow, View, read_parquet, read_tsv, tsv_view, write_parquet, write_tsv,
};
use proptest::prelude::*;

fn row(run: &str, shots: Shots, value: f64) -> ResultRow {
    ResultRow {
        run: run.to_owned(),
        protocol: Protocol::Corrected,
        selection: Selection::ValBest,
        config: RunConfig {
            objective: "CLIP".to_owned(),
            arch: "RN50".to_owned(),
            us: "web".to_owned(),
            ds: "DTD".to_owned(),
            ds_lr: Some(3e-5),
            ..RunConfig::default()
        },
        shots,
        seed: Some(1),
        split: Split::Test,
        metric: "acc1".to_owned(),
        value,
        num_test: Some(1880),
        view: None,
        converged: None,
        versions: "pairmill 0.1.0".to_owned(),
        wall_s: Some(1.5),
        device_s: None,
    }
}

fn read(bytes: Vec<u8>) -> Result<ResultTable, String> {
    let mut table = ResultTable::default();
    table.add_bytes(Path::new("r"), bytes, Protocol::AsPublished).map_err(|e| e.to_string())?;
    Ok(table)
}

fn tsv(lines: &[&str]) -> Vec<u8> {
    format!("{}\n{}\n", TSV_COLUMNS.join("\t"), lines.join("\n")).into_bytes()
}

const LINE: &str =
    "7\tCLIP\tRN50\tCC3m\tDTD\t16\t0.001\t512\t0.1\t64\t3E-05\t32\t0.1\t2.34\t10\t\tNan\t\t62.5\t\t";

#[test]
fn the_authors_file_is_read_whole_and_written_byte_for_byte() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/paper_results.tsv"));
    let Ok(bytes) = std::fs::read(path) else {
        eprintln!("SKIPPED: no {}; reading the authors' file was NOT checked", path.display());
        return;
    };
    let rows: Vec<TsvRow> = read_tsv(path, &bytes).unwrap().into_iter().map(|(_, row)| row).collect();
    assert_eq!(rows.len(), 947);
    assert!(write_tsv(&rows).into_bytes() == bytes, "the text differs");
    let table = read(bytes).unwrap();
    let zero = table.rows.iter().filter(|r| r.row.shots == Shots::Zero).count();
    assert_eq!((table.rows.len() - zero, zero), (3_812, 831));
    assert_eq!(table.notes.len(), 21);
}

#[test]
fn a_line_gives_its_values_and_notes_its_nan() {
    let table = read(tsv(&[LINE])).unwrap();
    let values: Vec<(String, f64)> =
        table.rows.iter().map(|r| (r.row.shots.to_string(), r.row.value)).collect();
    assert_eq!(values, [("zero".into(), 2.34), ("1".into(), 10.0), ("full".into(), 62.5)]);
    assert_eq!(table.rows[0].row.config.ds_lr, Some(3e-5));
    assert_eq!(table.rows[0].origin.to_string(), "r row 7");
    assert!(
        matches!(&table.notes[..], [ReadNote::Nan { shots: Shots::PerClass(10), .. }]),
        "{:?}",
        table.notes
    );
}

#[test]
fn bad_tables_say_where_and_what_to_do() {
    let with = |from: &str, to: &str| tsv(&[LINE, &LINE.replacen(from, to, 1)]);
    for (bytes, want) in [
        (Vec::new(), "r: empty, not even a header"),
        (b"\n\n".to_vec(), "r: empty, not even a header"),
        (b"a,b,c\n".to_vec(), "r: the header has commas, not tabs"),
        (
            TSV_COLUMNS.join("\t").replace("zero", "nil").into_bytes(),
            "r: unknown column `nil`; the columns are",
        ),
        (TSV_COLUMNS[..20].join("\t").into_bytes(), "r: no column `200`"),
        (format!("{}\t200", TSV_COLUMNS.join("\t")).into_bytes(), "r: column `200` stands twice"),
        (with("CC3m\tDTD", "CC3m"), "r: line 3: 20 cells, not 21"),
        (with("62.5", "162.5"), "r: line 3: column `full`: 162.5 is not a percentage"),
        (with("62.5", "inf"), "r: line 3: column `full`: `inf` is no number"),
        (with("62.5", "-1"), "r: line 3: column `full`: `-1` is no number"),
        (with("0.001", "1e-3x"), "r: line 3: column `us_lr`: `1e-3x` is no number"),
        (with("512", "51.2"), "r: line 3: column `us_bs`: `51.2` is no whole number"),
        (with("CC3m", ""), "r: line 3: column `us`: blank"),
        (with("7", "x"), "r: line 3: column 1 (row number): `x` is no whole number"),
        (b"PAR1 and nothing".to_vec(), "r: not a readable Parquet file"),
        (b"\xff\xfe\x00".to_vec(), "r: byte 0 is not UTF-8"),
    ] {
        let message = read(bytes).unwrap_err();
        assert!(message.starts_with(want) && !message.contains('\n'), "{message}\nwanted {want}");
    }
}

#[test]
fn repeated_runs_count_once_contradicting_ones_are_refused() {
    let (a, b) = (row("r1", Shots::All, 50.0), row("r1", Shots::All, 51.0));
    let table = read(write_parquet(&[a.clone(), a.clone()]).unwrap()).unwrap();
    assert_eq!((table.rows.len(), table.notes.len()), (1, 1));
    let message = read(write_parquet(&[a.clone(), b]).unwrap()).unwrap_err();
    assert_eq!(
        message,
        "r row 0 and r row 1 give run r1 (CLIP) at full shots, test acc1 two values, 50 and 51; remove the wrong one"
    );
    let other_seed = ResultRow { seed: Some(2), ..a.clone() };
    assert_eq!(read(write_parquet(&[a, other_seed]).unwrap()).unwrap().rows.len(), 2);
}

/// Mixtures of one run share its id and differ in alpha; two of them may be right on as many images.
#[test]
fn t15_mixtures_of_one_run_are_values_of_their_own() {
    let tuned = row("r1", Shots::All, 50.0);
    let mixed = |alpha: f64, value: f64| {
        let config = RunConfig { alpha: Some(alpha), ..tuned.config.clone() };
        ResultRow { config, value, ..tuned.clone() }
    };
    let rows = [tuned.clone(), mixed(0.0, 40.0), mixed(0.5, 50.0), mixed(1.0, 50.0)];
    let table = read(write_parquet(&rows).unwrap()).unwrap();
    assert_eq!((table.rows.len(), table.notes.len()), (4, 0));
    // The same file twice is still one measurement each.
    let mut twice = read(write_parquet(&rows).unwrap()).unwrap();
    twice.add_bytes(Path::new("again"), write_parquet(&rows).unwrap(), Protocol::Corrected).unwrap();
    assert_eq!((twice.rows.len(), twice.notes.len()), (4, 4));
    // One text in the table for people, and back.
    let view = tsv_view(&rows).unwrap();
    let losses: Vec<String> = view.rows.iter().map(|line| line.config.loss()).collect();
    assert_eq!(losses, ["CLIP", "CLIP_WiSE-FT-0", "CLIP_WiSE-FT-0.5", "CLIP_WiSE-FT-1"]);
    let text = write_tsv(&view.rows);
    let back = read_tsv(Path::new("r"), text.as_bytes()).unwrap();
    assert_eq!(back[2].1.config.alpha, Some(0.5));
    assert_eq!(back.into_iter().map(|(_, row)| row).collect::<Vec<_>>(), view.rows);
}

#[test]
fn t15_a_loss_is_taken_apart_and_put_together() {
    for (loss, objective, method, alpha) in [
        ("CLIP", "CLIP", Method::FineTune, None),
        ("SimCLR_LP-FT", "SimCLR", Method::LpFt, None),
        ("CLIP_LP", "CLIP", Method::LinearProbe, None),
        ("CLIP_zero-shot", "CLIP", Method::ZeroShot, None),
        ("CLIP_random-head", "CLIP", Method::RandomHead, None),
        ("CLIP_LP-FT_WiSE-FT-0.5", "CLIP", Method::LpFt, Some(0.5)),
        // What is not written so by us stays as it is.
        ("CLIP_WiSE-FT-0.50", "CLIP_WiSE-FT-0.50", Method::FineTune, None),
        ("CLIP_WiSE-FT-2", "CLIP_WiSE-FT-2", Method::FineTune, None),
        ("_LP", "_LP", Method::FineTune, None),
    ] {
        let config = RunConfig::of_loss(loss);
        assert_eq!(
            (config.objective.as_str(), config.method, config.alpha),
            (objective, method, alpha),
            "{loss}"
        );
        assert_eq!(config.loss(), loss);
    }
    let doubtful = RunConfig { objective: "CLIP_LP".to_owned(), ..row("r1", Shots::All, 1.0).config };
    let message = write_parquet(&[ResultRow { config: doubtful, ..row("r1", Shots::All, 1.0) }]).unwrap_err();
    assert!(message.to_string().contains("ends like a method"), "{message}");
}

/// Files and records of the first version had one column `loss`.
#[test]
fn t15_rows_of_the_first_version_are_still_read() {
    use arrow::array::{ArrayRef, RecordBatch, StringArray};
    let mixture = RunConfig { alpha: Some(0.5), ..row("r1", Shots::All, 50.0).config };
    let new = write_parquet(&[ResultRow { config: mixture.clone(), ..row("r1", Shots::All, 50.0) }]).unwrap();
    let reader =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(new));
    let batch = reader.unwrap().build().unwrap().next().unwrap().unwrap();
    let schema = batch.schema();
    let second = ["objective", "method", "alpha", "weights", "images", "setup", "view", "converged"];
    let mut columns: Vec<(&str, ArrayRef)> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| (field.name().as_str(), column.clone()))
        .filter(|(name, _)| !second.contains(name))
        .collect();
    columns.insert(3, ("loss", std::sync::Arc::new(StringArray::from(vec!["CLIP_WiSE-FT-0.5"]))));
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    let table = read(writer.into_inner().unwrap()).unwrap();
    assert_eq!(table.rows[0].row.config, mixture);
    assert_eq!((table.rows[0].row.view, table.rows[0].row.converged), (None, None));

    let mut json = serde_json::to_value(row("r1", Shots::All, 50.0)).unwrap();
    let config = json["config"].as_object_mut().unwrap();
    for name in ["objective", "method", "alpha", "weights", "images", "setup"] {
        config.remove(name);
    }
    config.insert("loss".to_owned(), "CLIP_WiSE-FT-0.5".into());
    for name in ["view", "converged"] {
        json.as_object_mut().unwrap().remove(name);
    }
    assert_eq!(serde_json::from_value::<ResultRow>(json).unwrap().config, mixture);
}

/// Two checkpoints that are both called `epoch_1` are two lines, whatever table shows them.
#[test]
fn t04_sources_and_tasks_of_one_name_are_told_apart_by_content() {
    let of = |weights: &str, images: &str, value| {
        let mut row = row(weights, Shots::Zero, value);
        (row.config.weights, row.config.images) = (Some(weights.to_owned()), Some(images.to_owned()));
        row
    };
    let rows = [
        of("0123456789abcdef", "aaaa", 30.0),
        of("fedcba9876543210", "aaaa", 50.0),
        row("r3", Shots::Zero, 60.0),
    ];
    let view = tsv_view(&rows).unwrap();
    let names: Vec<&str> = view.rows.iter().map(|line| line.config.us.as_str()).collect();
    assert_eq!(names, ["web@01234567", "web@fedcba98", "web"]);
    assert!(view.rows.iter().all(|line| line.config.ds == "DTD"));
    let notes = Names::of(rows.iter().map(|row| &row.config)).notes();
    assert_eq!(notes.len(), 1);
    assert!(
        notes[0].starts_with("source web (CLIP, RN50) is the name of 2 different checkpoints"),
        "{notes:?}"
    );
}

#[test]
fn parquet_of_another_shape_is_refused_by_column() {
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    let file = |columns: Vec<(&str, ArrayRef)>| {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer = parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    };
    let ints: ArrayRef = std::sync::Arc::new(Int64Array::from(vec![1]));
    let message = read(file(vec![("run", ints)])).unwrap_err();
    assert_eq!(message, "r: column `run` is Int64, not Utf8; cast it");

    // One of ours with a column more.
    let ours = write_parquet(&[row("r1", Shots::All, 50.0)]).unwrap();
    let reader =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(ours));
    let batch = reader.unwrap().build().unwrap().next().unwrap().unwrap();
    let schema = batch.schema();
    let mut columns: Vec<(&str, ArrayRef)> =
        schema.fields().iter().zip(batch.columns()).map(|(f, c)| (f.name().as_str(), c.clone())).collect();
    columns.push(("mood", std::sync::Arc::new(Int64Array::from(vec![1]))));
    let message = read(file(columns)).unwrap_err();
    assert!(message.starts_with("r: unknown column `mood`; drop it"), "{message}");
}

#[test]
fn the_view_refuses_what_it_cannot_show() {
    let good = row("r1", Shots::All, 50.0);
    let other = ResultRow { protocol: Protocol::AsPublished, ..good.clone() };
    assert!(tsv_view(&[good.clone(), other]).unwrap_err().to_string().contains("cannot stand in one table"));
    let odd = ResultRow { shots: Shots::PerClass(3), ..good.clone() };
    assert!(tsv_view(&[odd]).unwrap_err().to_string().contains("no column for 3 shots"));
    let val = ResultRow { split: Split::Val, ..good.clone() };
    let seed = ResultRow { seed: Some(2), ..good.clone() };
    let view = tsv_view(&[good.clone(), val, seed, ResultRow { shots: Shots::PerClass(1), ..good }]).unwrap();
    assert_eq!((view.rows.len(), view.num_left_out), (2, 1));
    assert_eq!(view.rows[0].cells[1], Cell::Value(50.0));
}

fn name() -> impl Strategy<Value = String> {
    "[A-Za-zäλ0-9_.-]{1,12}"
}

/// One that does not end like a method.
fn objective() -> impl Strategy<Value = String> {
    name().prop_filter("ends like a method", |text| RunConfig::of_loss(text).objective == *text)
}

fn number() -> impl Strategy<Value = Option<f64>> {
    proptest::option::of(prop_oneof![0.0..1.0f64, Just(0.0), Just(3e-6), 1e-12..1e-4f64, 1.0..1e9f64])
}

prop_compose! {
    fn config()(
        (objective, arch, us, ds) in (objective(), name(), name(), name()),
        method in proptest::sample::select(Method::ALL),
        alpha in proptest::option::of(0.0..=1.0f64),
        (us_epochs, us_bs, ds_epochs, ds_bs) in any::<(Option<u32>, Option<u32>, Option<u32>, Option<u32>)>(),
        (us_lr, us_wd, ds_lr, ds_wd) in (number(), number(), number(), number()),
    ) -> RunConfig {
        RunConfig {
            objective, method, alpha, arch, us, ds, us_epochs, us_lr, us_bs, us_wd, ds_epochs, ds_lr, ds_bs, ds_wd,
            ..RunConfig::default()
        }
    }
}

prop_compose! {
    fn any_row()(
        mut config in config(),
        (weights, images, setup) in proptest::array::uniform3(proptest::option::of(name())).prop_map(|[a, b, c]| (a, b, c)),
        view in proptest::option::of(proptest::sample::select(View::ALL)),
        converged in any::<Option<bool>>(),
        protocol in proptest::sample::select(Protocol::ALL),
        selection in proptest::sample::select(Selection::ALL),
        split in proptest::sample::select(Split::ALL),
        shots in prop_oneof![Just(Shots::Zero), Just(Shots::All), (1..u32::MAX).prop_map(Shots::PerClass)],
        seed in proptest::option::of(0..i64::MAX as u64),
        (run, metric, versions) in (name(), name(), ".{0,20}"),
        value in prop_oneof![0.0..100.0f64, Just(100.0)],
        num_test in proptest::option::of(0..i64::MAX as u64),
        (wall_s, device_s) in (number(), number()),
    ) -> ResultRow {
        (config.weights, config.images, config.setup) = (weights, images, setup);
        ResultRow {
            run, protocol, selection, config, shots, seed, split, metric, value, num_test, view, converged, versions, wall_s,
            device_s,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn parquet_reads_back_what_was_written(rows in proptest::collection::vec(any_row(), 0..8)) {
        let bytes = write_parquet(&rows).unwrap();
        prop_assert_eq!(&bytes, &write_parquet(&rows).unwrap());
        prop_assert_eq!(read_parquet(Path::new("r"), bytes.into()).unwrap(), rows);
    }

    #[test]
    fn tsv_reads_back_what_was_written(
        rows in proptest::collection::vec((any::<u32>(), config(), proptest::array::uniform8(
            prop_oneof![Just(Cell::Blank), Just(Cell::Nan), (0.0..100.0f64).prop_map(Cell::Value)]
        )), 0..8)
    ) {
        let rows: Vec<TsvRow> =
            rows.into_iter().map(|(index, config, cells)| TsvRow { index, config, cells }).collect();
        let text = write_tsv(&rows);
        let back: Vec<TsvRow> =
            read_tsv(Path::new("r"), text.as_bytes()).unwrap().into_iter().map(|(_, row)| row).collect();
        prop_assert_eq!(back, rows);
    }

    #[test]
    fn damaged_files_are_errors_not_panics(
        is_tsv in any::<bool>(),
        hits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes =
            if is_tsv { tsv(&[LINE, LINE]) } else { write_parquet(&[row("r1", Shots::All, 50.0)]).unwrap() };
        for (at, byte) in hits {
            // Behind the first four bytes, which choose the form.
            let at = at.index(bytes.len() - 4) + 4;
            bytes[at] = byte;
        }
        // Rows or an error are both fine; a panic fails the test, and so does a TSV that reads differently.
        if let Err(error) = pairmill_shards::hostile::read_results(&bytes) {
            prop_assert!(!error.starts_with("own text"), "{}", error);
        }
    }
}
