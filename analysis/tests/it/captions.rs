//! `captions` and `gallery` from outside: counts against an independent one, what is written, what is refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use pairmill_analysis::data::Funnel;
use pairmill_shards::tar::TarWriter;
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use sha2::{Digest, Sha256};

use crate::cli::{refused, run, text};

fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is not there; word counts were NOT compared with Python's", path.display());
    None
}

fn write_lines(path: &Path, captions: &[&str]) -> String {
    let lines: String =
        captions.iter().map(|c| serde_json::json!({ "caption": c }).to_string() + "\n").collect();
    std::fs::write(path, lines).unwrap();
    path.display().to_string()
}

fn succeed(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The counts of `tests/captions/count.py`, which shares nothing with the crate.
#[test]
fn real_captions_are_counted_as_python_counts_them() {
    let Some(table) = shared("laion_sample_3000.parquet") else { return };
    let expected =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captions/laion_words.txt"))
            .unwrap();
    let (head, top) = expected.split_once('\n').unwrap();
    let dir = tempfile::tempdir().unwrap();
    for threads in ["1", "3"] {
        let out = dir.path().join(threads);
        let (table, out) = (table.to_str().unwrap(), out.to_str().unwrap());
        let args = [
            "captions",
            table,
            "--caption-col",
            "TEXT",
            "--measure",
            "words",
            "--threads",
            threads,
            "--out",
            out,
        ];
        succeed(&args);
        let words = std::fs::read_to_string(Path::new(out).join("words.csv")).unwrap();
        let lines = words.strip_prefix("word,count\n").unwrap();
        assert!(lines.starts_with(top), "{}", &lines[..200]);
        let total: u64 = lines.lines().map(|l| l.rsplit_once(',').unwrap().1.parse::<u64>().unwrap()).sum();
        let digest: String = Sha256::digest(lines.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(format!("{total} {} {digest}", lines.lines().count()), head);
    }
}

#[test]
fn two_sources_are_measured_and_compared() {
    let dir = tempfile::tempdir().unwrap();
    let cats =
        write_lines(&dir.path().join("c.jsonl"), &["a cat", "a black cat", "a cat", " ", "the Maine Coon"]);
    let dogs = write_lines(
        &dir.path().join("d.jsonl"),
        &["a dog", "a brown dog runs", "ein Hund läuft schnell über die Wiese"],
    );
    let classes = dir.path().join("pets.txt");
    std::fs::write(&classes, "Maine_Coon\npug\n").unwrap();
    let out = dir.path().join("out");
    let (cats, dogs) = (format!("cats={cats}"), format!("dogs={dogs}"));
    let said = succeed(&[
        "captions",
        &cats,
        &dogs,
        "--classes",
        classes.to_str().unwrap(),
        "--ngrams",
        "3",
        "--out",
        out.to_str().unwrap(),
    ]);
    assert!(said.contains("cats: 5 rows, 1 blank; 4 captions, 10 words, 6 distinct"), "{said}");
    let file = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    assert!(file("cats/words.csv").starts_with("word,count\na,3\ncat,3\n"));
    assert!(file("cats/document_frequencies.csv").contains("\ncat,3,0.75\n"));
    assert!(
        file("cats/ngrams.csv").contains("\n2,a cat,2,2\n")
            && file("cats/ngrams.csv").contains("\n3,a black cat,1,1\n")
    );
    assert_eq!(file("cats/duplicates.csv"), "copies,caption\n2,a cat\n");
    assert_eq!(file("cats/classes.csv"), "task,class,mentions,captions\npets,Maine_Coon,1,1\npets,pug,0,0\n");
    assert!(file("dogs/languages.csv").contains("\ndeu,1,"), "{}", file("dogs/languages.csv"));
    // "a cat": start, two words, end.
    assert!(file("cats/lengths.csv").contains("\ntokens,4,2\n"));
    assert!(file("distinctive.csv").lines().any(|l| l.starts_with("cats,cat,3,0,")));
    let overlap = file("overlap.csv");
    let distance: f64 = overlap.lines().nth(1).unwrap().rsplit_once(',').unwrap().1.parse().unwrap();
    assert!(overlap.starts_with("a,b,jaccard,") && distance > 0.3 && distance < 1.0, "{overlap}");
    assert!(file("captions.md").contains("What sets dogs apart") && out.join("words-0.svg").exists());
    let json: serde_json::Value = serde_json::from_str(&file("captions.json")).unwrap();
    assert_eq!(json["sources"][0]["coverage"][0]["share_named"], 0.5);
}

#[test]
fn a_sample_is_exact_in_size_and_the_same_for_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let captions: Vec<String> =
        (0..500).map(|n| format!("word{}", char::from(b'a' + (n % 26) as u8))).collect();
    let input =
        write_lines(&dir.path().join("c.jsonl"), &captions.iter().map(String::as_str).collect::<Vec<_>>());
    let counts = |seed: &str, threads: &str| {
        let out = dir.path().join(format!("{seed}-{threads}"));
        let said = succeed(&[
            "captions",
            &input,
            "--sample",
            "100",
            "--seed",
            seed,
            "--threads",
            threads,
            "--measure",
            "words",
            "--out",
            out.to_str().unwrap(),
        ]);
        assert!(said.contains("; 100 captions"), "{said}");
        std::fs::read_to_string(out.join("words.csv")).unwrap()
    };
    assert_eq!(counts("1", "1"), counts("1", "4"));
    assert_ne!(counts("1", "1"), counts("2", "1"));
}

#[test]
fn bad_input_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let out = out.to_str().unwrap();
    let empty_tar = dir.path().join("empty.tar");
    std::fs::write(&empty_tar, TarWriter::new(Vec::new()).finish().unwrap().0).unwrap();
    let good = write_lines(&dir.path().join("good.jsonl"), &["a cat"]);
    let blank = write_lines(&dir.path().join("blank.jsonl"), &["", "  "]);
    let at = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(at("classes.txt"), "12\n").unwrap();
    for (args, part) in [
        (vec![at("missing")], "missing"),
        (vec![at("empty.tar")], "no captions: 0 rows"),
        (vec![blank], "2 rows, 2 blank"),
        (vec![good.clone(), "--caption-col".into(), "captoin".into()], "did you mean `caption`?"),
        (vec![good.clone(), "--memory".into(), "1".into()], "--memory"),
        (vec![good.clone(), "--classes".into(), at("classes.txt")], "no class name"),
    ] {
        let mut all = vec!["captions", "--out", out];
        all.extend(args.iter().map(String::as_str));
        let message = refused(&all);
        assert!(message.contains(part), "{message}");
    }
    let message = refused(&["gallery", empty_tar.to_str().unwrap(), "--out", out]);
    assert!(message.contains("no sample"), "{message}");
}

#[test]
fn a_gallery_is_a_page_and_a_picture_for_each_source() {
    let dir = tempfile::tempdir().unwrap();
    let picture: &[u8] = include_bytes!("../captions/dot.png");
    let mut tar = TarWriter::new(Vec::new());
    for n in 0..5 {
        let caption = format!("caption <{n}>");
        tar.append(&n.to_string(), &[("png", picture), ("txt", caption.as_bytes())]).unwrap();
    }
    let path = dir.path().join("dots.tar");
    std::fs::write(&path, tar.finish().unwrap().0).unwrap();
    let pages: Vec<String> = ["a", "b"]
        .map(|out| {
            let out = dir.path().join(out);
            succeed(&[
                "gallery",
                path.to_str().unwrap(),
                "--num",
                "3",
                "--seed",
                "5",
                "--out",
                out.to_str().unwrap(),
            ]);
            assert!(std::fs::read(out.join("dots.png")).unwrap().starts_with(b"\x89PNG"));
            std::fs::read_to_string(out.join("dots.html")).unwrap()
        })
        .to_vec();
    assert_eq!(pages[0], pages[1]);
    assert_eq!(pages[0].matches("<figure>").count(), 3);
    assert!(pages[0].contains("3 of 5 samples, seed 5") && pages[0].contains("caption &lt;"));
}

/// 14 rows in 2 shards, 7 images: `shards/tests/fixtures/img2dataset-1.47` (its README says how it was made).
pub fn made_by_img2dataset() -> String {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shards/tests/fixtures/img2dataset-1.47/webdataset");
    path.display().to_string()
}

#[test]
fn a_page_of_sources_accounts_for_every_row() {
    let folder = made_by_img2dataset();
    let funnel = Funnel::of("web", Path::new(&folder)).unwrap().unwrap();
    let lost: u64 = funnel.steps.iter().map(|s| s.rows).sum();
    assert_eq!((funnel.rows, funnel.kept, lost), (14, 7, 7));
    assert_eq!(funnel.steps[0].name, "http_4xx");
    assert_eq!(funnel.made_by, "another tool");

    // What a source's rules dropped comes first, and the rows still add up.
    let dir = tempfile::tempdir().unwrap();
    let carded = dir.path().join("carded");
    std::fs::create_dir_all(carded.join("_pairmill")).unwrap();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, carded.join(path.file_name().unwrap())).unwrap();
        }
    }
    let card = r#"{"format": 1, "runs": [{"rules": [{"rule": "nsfw", "rows_in": 20, "dropped": 6}, {"rule": "size", "dropped": 0}]}]}"#;
    std::fs::write(carded.join("_pairmill/card.json"), card).unwrap();
    let funnel = Funnel::of("web", &carded).unwrap().unwrap();
    assert_eq!((funnel.rows, funnel.steps[0].name.as_str(), funnel.steps[0].rows), (20, "nsfw", 6));
    assert_eq!(funnel.steps.iter().map(|s| s.rows).sum::<u64>() + funnel.kept, funnel.rows);
    std::fs::write(carded.join("_pairmill/card.json"), "[]").unwrap();
    assert!(Funnel::of("web", &carded).unwrap_err().to_string().contains("card.json"));

    let table = write_lines(&dir.path().join("other.jsonl"), &["a cat", "a dog"]);
    let out = dir.path().join("page.md");
    let (web, other) = (format!("web={folder}"), format!("other={table}"));
    let args = ["report", "--captions", &web, "--captions", &other, "--out", out.to_str().unwrap()];
    succeed(&args);
    let page = std::fs::read_to_string(&out).unwrap();
    assert!(page.starts_with("# What the data hold\n"), "{page}");
    assert!(
        page.contains("### From rows to images: web") && page.contains("What sets other apart"),
        "{page}"
    );
    for link in page.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        assert!(dir.path().join(link).exists(), "{link}");
    }
    let csv = std::fs::read_to_string(dir.path().join("page_figures/funnel-0.csv")).unwrap();
    assert!(csv.starts_with("step,rows,meaning\nrows,14,") && csv.contains("\nimages,7,"), "{csv}");

    for usage in
        [&["report", "--out", "page.html"][..], &["report", "--sample", "5", "x.tsv", "--out", "p.html"]]
    {
        assert_eq!(run(usage).status.code(), Some(2), "{usage:?}");
    }
    let refusal = refused(&["report", "--captions", "nowhere/*.tar", "--out", "page.html"]);
    assert!(refusal.contains("nowhere"), "{refusal}");
}

/// A folder with one tar, and beside it a table of the given format version.
fn shards_of_version(folder: &Path, version: &str, caption: &str) -> String {
    let name = folder.join("00000.tar");
    let mut tar = TarWriter::new(std::fs::File::create(&name).unwrap());
    tar.append("000000000", &[("jpg", include_bytes!("../captions/dot.png")), ("txt", caption.as_bytes())])
        .unwrap();
    tar.finish().unwrap();
    let column = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
    let columns = [("caption", column(caption)), ("key", column("000000000")), ("status", column("success"))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let entry = KeyValue::new("pairmill.format_version".to_owned(), version.to_owned());
    let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![entry])).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    std::fs::write(folder.join("00000.parquet"), writer.into_inner().unwrap()).unwrap();
    folder.display().to_string()
}

#[test]
fn f26_captions_and_gallery_stop_at_a_newer_format() {
    let dir = tempfile::tempdir().unwrap();
    let folder = shards_of_version(dir.path(), "1", "a cat");
    let out = dir.path().join("out").display().to_string();
    succeed(&["captions", &folder, "--out", &out]);
    succeed(&["gallery", &folder, "--out", &out]);
    shards_of_version(dir.path(), "2", "a cat");
    let table = format!("{folder}/00000.parquet");
    for args in [
        &["captions", &folder, "--out", &out][..],
        &["captions", &table, "--out", &out],
        &["gallery", &folder, "--out", &out],
    ] {
        let message = refused(args);
        assert!(message.contains("00000.parquet: written in format version `2`"), "{args:?}: {message}");
    }
}

#[test]
fn f25_captions_do_not_steer_the_page_or_the_terminal() {
    use pairmill_shards::printable::steers;
    let steering = "a\x1b]0;x\x07\u{9b}2J \u{202e}gpj\u{2066} cat";
    let dir = tempfile::tempdir().unwrap();
    let folder = shards_of_version(dir.path(), "1", steering);
    let out = dir.path().join("out");
    let named = format!("s\u{202e}x={folder}");
    let is_plain = |text: &str| !text.chars().any(|c| steers(c) && c != '\n' && c != '\t');
    for args in [
        &["captions", &named, &format!("b={folder}"), "--out", out.to_str().unwrap()][..],
        &["gallery", &format!("b={folder}"), "--out", out.to_str().unwrap()],
        &["captions", "no\x1b[2J", "--out", "x"],
        &["\u{202e}"],
    ] {
        let output = run(args);
        let (said, error) = (text(&output.stdout), text(&output.stderr));
        assert!(is_plain(&said) && is_plain(&error), "{args:?}: {said:?} {error:?}");
    }
    let mut pages = 0;
    for entry in std::fs::read_dir(&out).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "html" || e == "md" || e == "svg") {
            pages += 1;
            assert!(is_plain(&std::fs::read_to_string(&path).unwrap()), "{}", path.display());
        }
    }
    assert!(pages >= 2, "{pages} pages");
}
