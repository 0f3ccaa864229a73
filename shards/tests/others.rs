//! Tars and Parquet of other people, through the commands as users meet them: members out of order, links, names and
//! captions that are not UTF-8, compressed tars, Hugging Face's tables, and what is saved under a shard's name but is none.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "test code")]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields, Schema};
use pairmill_shards::index::{dali, energon, sizes};
use pairmill_shards::sample::Sample;
use pairmill_shards::tar::{
    BadSamples, EndMarker, MappedTar, TarOptions, TarReader, TarSamples, TarWriter, Unsorted,
};
use tar::EntryType;

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pairmill-shards")).args(args).output().unwrap()
}

/// What a command prints that succeeds.
fn text(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The one line that bad input gives, with exit code 2.
fn refusal(args: &[&str]) -> String {
    let output = run(args);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
    assert_eq!(message.trim_end().lines().count(), 1, "{args:?}: {message}");
    message
}

fn utf8(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A tar made member by member, as its maker likes.
struct Odd(tar::Builder<Vec<u8>>);

impl Odd {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn header(name: &[u8], kind: EntryType, size: usize) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(kind);
        header.set_size(size as u64);
        header.set_mode(0o644);
        header
    }

    fn raw(mut self, name: &[u8], data: &[u8]) -> Self {
        let mut header = Self::header(name, EntryType::Regular, data.len());
        header.set_cksum();
        self.0.append(&header, data).unwrap();
        self
    }

    fn file(self, name: &str, data: &[u8]) -> Self {
        self.raw(name.as_bytes(), data)
    }

    fn link(mut self, kind: EntryType, name: &str, target: &str) -> Self {
        let mut header = Self::header(name.as_bytes(), kind, 0);
        header.as_gnu_mut().unwrap().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        self.0.append(&header, &[][..]).unwrap();
        self
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }

    fn write(self, path: &Path) {
        fs::write(path, self.bytes()).unwrap();
    }
}

/// Four samples whose captions come after all pictures.
fn unsorted() -> Odd {
    let pictures = (0..4).fold(Odd::new(), |tar, n| tar.file(&format!("{n:04}.jpg"), &[n; 600]));
    (0..4).fold(pictures, |tar, n| tar.file(&format!("{n:04}.txt"), format!("caption {n}").as_bytes()))
}

/// Keys, extensions and bytes.
fn outline(path: &Path, options: impl Into<TarOptions>) -> Vec<Sample> {
    let options = options.into();
    let mapped: Vec<Sample> =
        MappedTar::open_with(path, &options).unwrap().iter().map(|sample| sample.to_sample()).collect();
    let streamed: Vec<Sample> = TarSamples::open(path, &options).unwrap().map(Result::unwrap).collect();
    assert_eq!(mapped, streamed, "the two readers disagree about {}", path.display());
    mapped
}

fn keys(samples: &[Sample]) -> Vec<String> {
    let exts = |sample: &Sample| sample.members.iter().map(|m| m.ext.as_str()).collect::<Vec<_>>().join("+");
    samples.iter().map(|sample| format!("{}:{}", sample.key, exts(sample))).collect()
}

#[test]
fn f10_a_key_that_returns_stops_every_command_and_can_be_joined() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let tar = at("unsorted.tar");
    unsorted().write(&tar);
    let (out, sheet) = (at("out"), at("sheet.html"));
    let commands: [&[&str]; 7] = [
        &["reshard", utf8(&tar), "--out", utf8(&out)],
        &["subset", utf8(&tar), "--size", "2", "--out", utf8(&out)],
        &["convert", utf8(&tar), utf8(&out)],
        &["index", utf8(&tar)],
        &["contact-sheet", utf8(&tar), "--out", utf8(&sheet)],
        &["head", utf8(&tar)],
        &["cat", utf8(&tar)],
    ];
    for command in commands {
        let message = refusal(command);
        for part in ["unsorted.tar: at byte ", "key `0000` returns", "tar --sort=name", "`--unsorted join`"] {
            assert!(message.contains(part), "{command:?}: {message}");
        }
    }
    assert!(!sheet.exists() && !at("unsorted.idx").exists() && !at("sizes.json").exists());

    let joined = at("joined");
    let said = text(&["reshard", utf8(&tar), "--out", utf8(&joined), "--unsorted", "join"]);
    assert_eq!(said, "4 of 4 samples in 1 shards\n");
    let samples = outline(&joined.join("00000.tar"), EndMarker::Required);
    for (n, sample) in samples.iter().enumerate() {
        assert_eq!(sample.get("jpg"), Some(&[n as u8; 600][..]));
        assert_eq!(sample.caption(), Some(format!("caption {n}").as_bytes()));
    }
    let lines = text(&["cat", utf8(&tar), "--ext", "txt", "--unsorted", "join"]);
    assert_eq!(lines, "caption 0\ncaption 1\ncaption 2\ncaption 3\n");
    text(&["convert", utf8(&tar), utf8(&out), "--unsorted", "join"]);
    assert_eq!(text(&["cat", utf8(&out)]).lines().count(), 4);
    // An index has no words for a sample in two places, so it says what to do instead.
    assert!(refusal(&["index", utf8(&tar), "--unsorted", "join"]).contains("reshard --unsorted join"));
    // A run that read the tar in another way is another run.
    let other = refusal(&["reshard", utf8(&tar), "--out", utf8(&joined), "--unsorted", "split"]);
    assert!(other.contains("other settings"), "{other}");
}

#[test]
fn f10_halves_are_samples_where_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let tar = dir.path().join("unsorted.tar");
    unsorted().write(&tar);
    let split = TarOptions { unsorted: Unsorted::Split, ..TarOptions::default() };
    assert_eq!(outline(&tar, split).len(), 8);
    let join = TarOptions { unsorted: Unsorted::Join, ..TarOptions::default() };
    assert_eq!(keys(&outline(&tar, &join)), ["0000:jpg+txt", "0001:jpg+txt", "0002:jpg+txt", "0003:jpg+txt"]);
    // Two whole samples of one key cannot be joined: that would lose one.
    Odd::new().file("a.jpg", b"1").file("b.jpg", b"2").file("a.jpg", b"3").write(&tar);
    let message = MappedTar::open_with(&tar, &join).unwrap_err().to_string();
    assert!(message.contains("sample `a` has two members `.jpg`"), "{message}");
}

#[test]
fn f10_links_stand_for_what_they_lead_to() {
    let dir = tempfile::tempdir().unwrap();
    let tar = dir.path().join("links.tar");
    Odd::new()
        .file("a.jpg", &[1; 600])
        .file("a.txt", b"one")
        .link(EntryType::Link, "b.jpg", "a.jpg")
        .file("b.txt", b"two")
        .link(EntryType::Symlink, "d/c.jpg", "../b.jpg")
        .link(EntryType::Symlink, "d/c.txt", "later")
        .file("d/later", b"three")
        .write(&tar);
    let samples = outline(&tar, EndMarker::Required);
    assert_eq!(keys(&samples), ["a:jpg+txt", "b:jpg+txt", "d/c:jpg+txt"]);
    assert!(samples.iter().all(|sample| sample.get("jpg") == Some(&[1; 600])));
    assert_eq!(samples[2].caption(), Some(&b"three"[..]));

    let out = dir.path().join("out");
    let said = text(&["reshard", utf8(&tar), "--out", utf8(&out)]);
    assert_eq!(
        said,
        format!(
            "3 of 3 samples in 1 shards; skipped 1 member of no sample (for example {}: d/later)\n",
            utf8(&tar)
        )
    );
    assert!(samples_of(&out.join("00000.tar")).iter().all(|sample| sample.get("jpg") == Some(&[1; 600])));
    assert_eq!(text(&["cat", utf8(&tar), "--ext", "txt"]), "one\ntwo\nthree\n");

    // DALI can follow places; Energon reads a sample as one range, and a link is not in it.
    let said = run(&["index", utf8(&tar)]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("no index for Energon"), "{said:?}");
    assert!(!energon::path_for(&tar).exists());
    let lines: Vec<_> = dali::read(&dali::path_for(&tar)).unwrap().map(Result::unwrap).collect();
    let bytes = fs::read(&tar).unwrap();
    let picture = &lines[1][0];
    assert_eq!(&bytes[picture.offset as usize..][..picture.size as usize], [1; 600]);
    // Other readers pass over links, which verify says.
    let found = run(&["verify", utf8(&tar)]);
    assert!(String::from_utf8_lossy(&found.stdout).contains("`b.jpg` is a link"), "{found:?}");
}

fn samples_of(tar: &Path) -> Vec<Sample> {
    TarReader::open(tar, EndMarker::Required).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn f10_links_that_lead_nowhere_are_an_error_or_cost_their_sample() {
    let dir = tempfile::tempdir().unwrap();
    let (tar, out) = (dir.path().join("links.tar"), dir.path().join("out"));
    for (kind, target, part) in [
        (EntryType::Link, "gone.jpg", "which is no file of this tar"),
        (EntryType::Link, "z.jpg", "which comes later"),
        (EntryType::Symlink, "/etc/passwd", "which is no file of this tar"),
        (EntryType::Symlink, "../../etc/passwd", "which is no file of this tar"),
        (EntryType::Symlink, "b.jpg", "which leads back"),
    ] {
        let _ = fs::remove_dir_all(&out);
        Odd::new()
            .file("a.jpg", b"1")
            .link(kind, "b.jpg", target)
            .file("b.txt", b"b")
            .file("z.jpg", b"3")
            .write(&tar);
        let message = refusal(&["reshard", utf8(&tar), "--out", utf8(&out)]);
        assert!(message.contains("`b.jpg` is a link") && message.contains(part), "{message}");
        assert!(message.contains("--hard-dereference"), "{message}");
        let said = text(&["reshard", utf8(&tar), "--out", utf8(&out), "--bad-samples", "skip"]);
        assert!(said.starts_with("2 of 2 samples in 1 shards; skipped 1 bad sample (for example "), "{said}");
        assert!(said.contains("sample `b`") && said.contains(part), "{said}");
    }
}

#[test]
fn f10_links_lead_where_gnu_tar_and_python_say() {
    let dir = tempfile::tempdir().unwrap();
    let script = r#"
import os, sys, tarfile, json
d = sys.argv[1]
os.chdir(d)
os.makedirs("s/sub")
for n in range(3):
    open(f"s/{n}.jpg", "wb").write(bytes([n]) * 700)
    open(f"s/{n}.txt", "w").write(f"caption {n}")
os.link("s/0.jpg", "s/3.jpg"); open("s/3.txt", "w").write("hard")
os.symlink("0.jpg", "s/4.jpg"); open("s/4.txt", "w").write("symbolic")
os.symlink("../4.jpg", "s/sub/5.jpg"); os.symlink("../2.txt", "s/sub/5.txt")
os.symlink("zz.jpg", "s/6.jpg"); open("s/zz.jpg", "wb").write(b"z" * 10)
long = "l" * 120
os.link("s/1.jpg", f"s/{long}.jpg"); os.symlink(f"{long}.jpg", f"s/{long}x.jpg")
for form in ["gnu", "pax", "posix", "ustar", "v7", "oldgnu"]:
    extra = "" if form not in ("ustar", "v7") else f"--exclude={long}*"
    code = os.system(f"tar --format={form} --sort=name {extra} -cf {form}.tar -C {d} s 2>/dev/null")
    assert code == 0, form
for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
    with tarfile.open(f"python{form}.tar", "w", format=form) as t:
        for root, _, names in os.walk("s"):
            for name in sorted(names):
                if form != tarfile.USTAR_FORMAT or len(name) < 90:
                    t.add(os.path.join(root, name))
wanted = {}
for name in sorted(os.listdir(".")):
    if name.endswith(".tar"):
        members = {}
        with tarfile.open(name) as t:
            for m in t:
                if m.isreg() or m.islnk() or m.issym():
                    members[m.name] = t.extractfile(m).read().hex()
        wanted[name] = members
print(json.dumps(wanted))
"#;
    let ran = Command::new("python3").args(["-c", script, utf8(dir.path())]).output();
    let Ok(ran) = ran else {
        eprintln!("SKIPPED: python3 is not there to make tars and to say what is in them");
        return;
    };
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let wanted: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&ran.stdout).unwrap();
    assert!(wanted.len() >= 9, "{wanted:?}");
    for (name, members) in &wanted {
        let options = TarOptions { unsorted: Unsorted::Join, ..TarOptions::default() };
        let tar = MappedTar::open_with(dir.path().join(name), &options).unwrap();
        let members = members.as_object().unwrap();
        let mut seen = 0;
        for span in tar.index().iter() {
            let sample = tar.sample(span.number()).unwrap();
            for (component, (_, data)) in span.components().zip(sample.members()) {
                let python = members[component.name].as_str().unwrap();
                let ours: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(ours, python, "{name}: {}", component.name);
                seen += 1;
            }
        }
        assert_eq!(seen, members.len(), "{name}");
    }
}

#[test]
fn f10_the_inputs_that_failed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/faults");
    if !folder.is_dir() {
        eprintln!("SKIPPED: {} is not there", folder.display());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let out = |name: &str| dir.path().join(name);
    let tar = folder.join("unsorted.tar");
    assert!(refusal(&["reshard", utf8(&tar), "--out", utf8(&out("a"))]).contains("tar --sort=name"));
    let said = text(&["reshard", utf8(&tar), "--out", utf8(&out("b")), "--unsorted", "join"]);
    assert_eq!(said, "4 of 4 samples in 1 shards\n");
    text(&["reshard", utf8(&folder.join("hardlink.tar")), "--out", utf8(&out("c"))]);
    let samples = samples_of(&out("c").join("00000.tar"));
    assert_eq!(keys(&samples), ["000000000:jpg+txt", "000000001:jpg+txt"]);
    assert_eq!(samples[0].get("jpg"), samples[1].get("jpg"));
    let caption = folder.join("latin1-caption.tar");
    assert!(refusal(&["convert", utf8(&caption), utf8(&out("d"))]).contains("--bad-samples skip"));
    let said = text(&["convert", utf8(&caption), utf8(&out("e")), "--bad-samples", "skip"]);
    assert!(said.starts_with("converted 3 samples in 1 shards; skipped 1 bad sample"), "{said}");
    let name = folder.join("latin1-member-name.tar");
    let said = text(&["convert", utf8(&name), utf8(&out("f")), "--bad-samples", "skip"]);
    assert!(said.starts_with("converted 0 samples in 1 shards; skipped 3 bad samples"), "{said}");
}

#[test]
fn f16_a_name_that_is_not_utf8_stops_or_costs_its_sample() {
    let dir = tempfile::tempdir().unwrap();
    let tar = dir.path().join("names.tar");
    Odd::new()
        .file("a.jpg", b"1")
        .raw(b"caf\xe9.jpg", b"2")
        .raw(b"caf\xe9.txt", b"caption")
        .raw(b"caf\xe8.jpg", b"3")
        .file("d.jpg", b"4")
        .write(&tar);
    let out = dir.path().join("out");
    for command in [
        &["head", utf8(&tar)][..],
        &["cat", utf8(&tar)],
        &["convert", utf8(&tar), utf8(&out)],
        &["reshard", utf8(&tar), "--out", utf8(&out)],
        &["index", utf8(&tar)],
    ] {
        let message = refusal(command);
        assert!(message.contains("`caf\\xe9.jpg` is not UTF-8"), "{command:?}: {message}");
        assert!(message.contains("`--bad-samples skip`"), "{command:?}: {message}");
        let _ = fs::remove_dir_all(&out);
        let skipping: Vec<&str> = command.iter().copied().chain(["--bad-samples", "skip"]).collect();
        let output = run(&skipping);
        assert!(output.status.success(), "{skipping:?}: {output:?}");
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        if command[0] != "index" {
            let part = "skipped 2 bad samples (for example ";
            assert!(said.contains(part) && said.contains("caf\\xe9"), "{skipping:?}: {said}");
        }
    }
    let skip = TarOptions { bad_samples: BadSamples::Skip, ..TarOptions::default() };
    assert_eq!(keys(&outline(&tar, skip)), ["a:jpg", "d:jpg"]);
    let keep = TarOptions { bad_samples: BadSamples::Keep, ..TarOptions::default() };
    let kept = MappedTar::open_with(&tar, keep).unwrap();
    let bad: Vec<bool> = kept.iter().map(|sample| sample.problem().is_some()).collect();
    assert_eq!(bad, [false, true, true, false]);
    // Other readers see four samples, and an index is for them.
    assert_eq!(sizes::read(&sizes::path_in(dir.path())).unwrap()["names.tar"], 4);
}

#[test]
fn f16_a_caption_that_is_not_utf8_stops_or_costs_its_sample() {
    let dir = tempfile::tempdir().unwrap();
    let tar = dir.path().join("captions.tar");
    Odd::new()
        .file("a.jpg", b"1")
        .file("a.txt", b"one")
        .file("b.jpg", b"2")
        .file("b.txt", b"caf\xe9")
        .file("c.jpg", b"3")
        .file("c.json", b"{\"x\": \"\xff\"}")
        .write(&tar);
    let [stopped, parquet, tars] = ["stopped", "parquet", "tars"].map(|name| dir.path().join(name));
    let message = refusal(&["convert", utf8(&tar), utf8(&stopped)]);
    assert!(message.contains("sample `b`: `txt` is not UTF-8"), "{message}");
    let left: Vec<_> = fs::read_dir(&stopped).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["_pairmill"], "something half-written was left");
    let said = text(&["convert", utf8(&tar), utf8(&parquet), "--bad-samples", "skip"]);
    let example = format!("{}: sample `b`: `txt` is not UTF-8", utf8(&tar));
    assert_eq!(
        said,
        format!("converted 1 samples in 1 shards; skipped 2 bad samples (for example {example})\n")
    );
    // Tars hold bytes: those of a caption go from one to the other as they are.
    text(&["reshard", utf8(&tar), "--out", utf8(&tars)]);
    assert_eq!(samples_of(&tars.join("00000.tar"))[1].caption(), Some(&b"caf\xe9"[..]));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn plain_tar() -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    for n in 0..20_u8 {
        let caption = format!("caption {n}");
        tar.append(&format!("{n:04}"), &[("jpg", &[n; 900]), ("txt", caption.as_bytes())]).unwrap();
    }
    tar.finish().unwrap().0
}

#[test]
fn f22_compressed_tars_are_read_like_plain_ones() {
    let plain = plain_tar();
    // Two gzip members and what tape writers leave behind are one stream, as gzip has it.
    let parts = [gzip(&plain[..5_000]), gzip(&plain[5_000..]), vec![0; 700]].concat();
    for (name, bytes) in [
        ("00000.tar.gz", gzip(&plain)),
        ("00000.tgz", parts),
        ("00000.tar.bz2", bzip2(&plain)),
        ("00000.tar.zst", zst(&plain)),
        // The content counts, not the name.
        ("00000.tar", gzip(&plain)),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("set");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(name), bytes).unwrap();
        let [parquet, tars] = ["parquet", "tars"].map(|name| dir.path().join(name));
        let folder = utf8(&folder);
        assert_eq!(text(&["cat", folder, "--ext", "txt"]).lines().count(), 20, "{name}");
        assert!(text(&["head", "-n", "1", folder]).contains("caption 0"), "{name}");
        assert_eq!(run(&["cat", folder, "--key", "0007", "--ext", "jpg"]).stdout, [7; 900], "{name}");
        assert_eq!(
            text(&["convert", folder, utf8(&parquet)]),
            "converted 20 samples in 1 shards\n",
            "{name}"
        );
        assert!(parquet.join("00000.parquet").is_file(), "{name}");
        let subset = ["subset", folder, "--size", "5", "--prefix", "--out", utf8(&tars)];
        assert_eq!(text(&subset), "5 of 20 samples in 1 shards\n", "{name}");
        assert_eq!(samples_of(&tars.join("00000.tar"))[4].caption(), Some(&b"caption 4"[..]), "{name}");
        let account = text(&["stat", folder]);
        assert!(account.contains("samples") && account.contains("20"), "{name}: {account}");
        let said = run(&["index", folder]);
        assert!(
            said.status.success() && String::from_utf8_lossy(&said.stderr).contains("compressed"),
            "{name}"
        );
        assert!(refusal(&["index", "--energon", folder]).contains("reshard"), "{name}");
    }
}

#[test]
fn f22_a_shard_that_lies_there_twice_is_read_once() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("00000.tar"), plain_tar()).unwrap();
    fs::write(dir.path().join("00000.tar.gz"), gzip(&plain_tar())).unwrap();
    fs::write(dir.path().join("00001.tar.gz"), gzip(&plain_tar())).unwrap();
    assert_eq!(text(&["cat", utf8(dir.path())]).lines().count(), 40);
}

#[test]
fn f22_a_cut_compressed_tar_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    // Bytes that do not shrink, so that the cut is inside.
    let noise: Vec<u8> = (0..40_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut tar = TarWriter::new(Vec::new());
    tar.append("a", &[("jpg", &noise)]).unwrap();
    let plain = tar.finish().unwrap().0;
    for (name, bytes) in
        [("a.tar.gz", gzip(&plain)), ("a.tar.bz2", bzip2(&plain)), ("a.tar.zst", zst(&plain))]
    {
        let path = dir.path().join(name);
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        for command in [&["cat", utf8(&path)][..], &["cat", utf8(&path), "--key", "a"]] {
            let message = refusal(command);
            assert!(message.contains(name), "{message}");
        }
    }
}

#[test]
fn f22_a_compression_bomb_is_an_error_before_it_fills_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bomb.tar.zst");
    // A member of 600 MB of zeros takes a few kilobytes.
    let mut out = zstd::Encoder::new(File::create(&path).unwrap(), 1).unwrap();
    let mut header = Odd::header(b"a.jpg", EntryType::Regular, 600 << 20);
    header.set_cksum();
    out.write_all(header.as_bytes()).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..600 {
        out.write_all(&zeros).unwrap();
    }
    out.finish().unwrap();
    let read = MappedTar::open_with(
        &path,
        TarOptions { scratch: Some(dir.path().to_owned()), ..TarOptions::default() },
    );
    assert_eq!(read.unwrap_err().rule.name(), "oversize");
    assert!(refusal(&["head", utf8(&path)]).contains("more than 200 times its size"));
}

#[test]
fn f22_what_is_no_shard_is_told_by_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n".to_vec();
    let page = b"\n<!DOCTYPE HTML>\n<title>Sign in</title>".to_vec();
    for (bytes, part) in [(pointer, "git lfs pull"), (page, "HTML page")] {
        for name in ["00000.tar", "00000.parquet"] {
            for bytes in [bytes.clone(), [bytes.clone(), vec![b' '; 2_000]].concat()] {
                let path = dir.path().join(name);
                fs::write(&path, bytes).unwrap();
                let message = refusal(&["head", utf8(&path)]);
                assert!(message.contains(part) && message.contains(name), "{message}");
            }
        }
    }
}

fn image_struct(images: &[Option<&[u8]>], paths: &[Option<&str>]) -> ArrayRef {
    let fields: Fields =
        vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)].into();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(images.iter().copied().collect::<BinaryArray>()),
        Arc::new(paths.iter().copied().collect::<StringArray>()),
    ];
    let nulls = NullBuffer::from_iter(images.iter().map(Option::is_some));
    Arc::new(StructArray::new(fields, columns, Some(nulls)))
}

fn write_parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let fields: Vec<Field> =
        columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(File::create(path).unwrap(), schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// A table as `datasets` writes it: images as a struct, captions as `text`, labels, no key.
fn hugging_face(path: &Path) {
    let (png, jpg) = (&b"\x89PNG\r\n\x1a\n1"[..], &b"\xff\xd8\xff2"[..]);
    write_parquet(
        path,
        vec![
            (
                "image",
                image_struct(&[Some(png), Some(jpg), None], &[None, Some("n01_7.JPEG"), Some("gone.jpg")]),
            ),
            ("text", Arc::new(StringArray::from(vec!["one", "two", "three"]))),
            ("label", Arc::new(Int64Array::from(vec![7, 8, 9]))),
        ],
    );
}

#[test]
fn f22_hugging_faces_tables_are_shards() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("data");
    fs::create_dir(&folder).unwrap();
    hugging_face(&folder.join("train-00000-of-00002.parquet"));
    hugging_face(&folder.join("train-00001-of-00002.parquet"));
    let shown = utf8(&folder);
    let lines: Vec<serde_json::Value> =
        text(&["cat", shown]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[1]["key"], "train-00000-of-00002-000001");
    assert_eq!(lines[1]["caption"], "two");
    assert_eq!(lines[1]["metadata"], serde_json::json!({"text": "two", "label": 8}));
    assert!(
        lines[0]["members"].get("png").is_some() && lines[1]["members"].get("jpeg").is_some(),
        "{lines:?}"
    );
    let key = ["cat", shown, "--key", "train-00001-of-00002-000000", "--ext", "png"];
    assert_eq!(run(&key).stdout, b"\x89PNG\r\n\x1a\n1");
    assert!(text(&["head", shown]).contains("two"));

    let tars = dir.path().join("tars");
    let said = text(&["convert", shown, utf8(&tars)]);
    assert!(said.starts_with("converted 4 samples in 2 shards; skipped 2 bad samples"), "{said}");
    assert!(said.contains("its row 2 has no image bytes"), "{said}");
    let samples = samples_of(&tars.join("train-00001-of-00002.tar"));
    assert_eq!(
        keys(&samples),
        ["train-00001-of-00002-000000:json+png+txt", "train-00001-of-00002-000001:jpeg+json+txt"]
    );
    let subset = dir.path().join("subset");
    let said = text(&["subset", shown, "--size", "3", "--prefix", "--out", utf8(&subset)]);
    assert!(said.starts_with("3 of 4 samples in 1 shards; skipped 2 bad samples"), "{said}");
    let account = text(&["stat", shown]);
    assert!(account.contains("samples        4") && account.contains("without image  2"), "{account}");
    let sheet = dir.path().join("sheet.html");
    text(&["contact-sheet", shown, "--out", utf8(&sheet)]);
    assert!(fs::read_to_string(&sheet).unwrap().contains("two"));
}

#[test]
fn f22_members_of_a_webdataset_as_columns_are_shards() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("0000.parquet");
    let meta: Fields = vec![Field::new("w", DataType::Int64, true)].into();
    write_parquet(
        &path,
        vec![
            ("jpg", image_struct(&[Some(b"\xff\xd8\xff1"), Some(b"\xff\xd8\xff2")], &[None, None])),
            (
                "json",
                Arc::new(StructArray::new(meta, vec![Arc::new(Int64Array::from(vec![640, 512]))], None)),
            ),
            ("txt", Arc::new(StringArray::from(vec!["one", "two"]))),
            ("cls", Arc::new(Int64Array::from(vec![3, 4]))),
            ("__key__", Arc::new(StringArray::from(vec!["d/000", "d/001"]))),
            ("__url__", Arc::new(StringArray::from(vec!["a.tar", "a.tar"]))),
        ],
    );
    let tars = dir.path().join("tars");
    text(&["convert", utf8(&path), utf8(&tars)]);
    let samples = samples_of(&tars.join("0000.tar"));
    assert_eq!(keys(&samples), ["d/000:cls+jpg+json+txt", "d/001:cls+jpg+json+txt"]);
    assert_eq!(samples[1].get("cls"), Some(&b"4"[..]));
    assert_eq!(samples[1].metadata(), Some(&b"{\n    \"w\": 512\n}"[..]));
    let lines = text(&["cat", utf8(&path), "--key", "d/001"]);
    assert!(lines.contains("\"caption\":\"two\""), "{lines}");

    write_parquet(&path, vec![("text", Arc::new(StringArray::from(vec!["one"])))]);
    let message = refusal(&["cat", utf8(&path)]);
    assert!(message.contains("no column of images") && message.contains("it has: text"), "{message}");
}

#[test]
fn f02_files_beside_a_tar_are_read_in_bounded_memory() {
    let dir = tempfile::tempdir().unwrap();
    // Holes on the disk: a file that says it is large and takes no room.
    let huge = |name: &str| {
        let path = dir.path().join(name);
        File::create(&path).unwrap().set_len(4 << 30).unwrap();
        path
    };
    assert!(energon::read(&huge("0.tar.idx")).unwrap_err().to_string().contains("the limit"));
    assert!(sizes::read(&huge("sizes.json")).unwrap_err().to_string().contains("the limit"));
    assert!(dali::read(&huge("0.idx")).unwrap_err().to_string().contains("0.idx"));
    let path = dir.path().join("1.idx");
    fs::write(&path, "v1.2 18446744073709551615\njpg 512 1 0.jpg\n").unwrap();
    let samples = dali::read(&path).unwrap();
    assert_eq!(samples.promised(), usize::MAX);
    assert!(samples.last().unwrap().unwrap_err().to_string().contains("it has 1"));
}

#[test]
fn f02_links_cannot_multiply_a_member_without_bound() {
    let dir = tempfile::tempdir().unwrap();
    let tar = dir.path().join("links.tar");
    // 100 links to a member of a gibibyte of holes: 50 kB of headers that stand for 100 GiB.
    let mut header = Odd::header(b"a.jpg", EntryType::Regular, 1 << 30);
    header.set_cksum();
    let mut file = File::create(&tar).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    let links = (0..100).fold(Odd::new(), |tar, n| tar.link(EntryType::Link, &format!("b{n}.jpg"), "a.jpg"));
    file.set_len(512 + (1 << 30)).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &links.bytes(), 512 + (1 << 30)).unwrap();
    assert_eq!(MappedTar::open(&tar).unwrap_err().rule.name(), "linked_too_large");
}

/// A shard as ingest writes it whose rows all failed, and one with a success.
fn set_with_failures(folder: &Path, image: &str) {
    use pairmill_shards::key::{KeyLayout, ShardId};
    use pairmill_shards::stats::ShardStats;
    use pairmill_shards::status::{Failure, FailureClass};
    use pairmill_shards::table::{
        ImageSize, RowOutcome, SidecarOptions, SidecarSchema, SidecarWriter, sample_json,
    };
    fs::create_dir(folder).unwrap();
    let fields: Fields =
        vec![Field::new("caption", DataType::Utf8, true), Field::new("url", DataType::Utf8, true)].into();
    let schema = SidecarSchema::new(&fields, SidecarOptions::default()).unwrap();
    let layout = KeyLayout::new(10, 5).unwrap();
    for (shard, successes) in [(0, 0), (1, 1)] {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec!["one", "two"])),
            Arc::new(StringArray::from(vec!["http://host.invalid/1", "http://host.invalid/2"])),
        ];
        let rows = RecordBatch::try_new(Arc::new(Schema::new(fields.clone())), columns).unwrap();
        let outcome = |n: u64| RowOutcome {
            key: layout.key(ShardId(shard), n),
            result: match n < successes {
                false => Err(Failure::new(FailureClass::Timeout, "timed out")),
                true => Ok(ImageSize {
                    width: Some(1),
                    height: Some(1),
                    original_width: Some(1),
                    original_height: Some(1),
                }),
            },
            exif: None,
            hash: None,
            final_url: None,
            attempts: 1,
            retry_of: None,
        };
        let outcomes: Vec<RowOutcome> = (0..2).map(outcome).collect();
        let file = |suffix: &str| folder.join(format!("{shard:05}{suffix}"));
        let mut tar = TarWriter::new(File::create(file(".tar")).unwrap());
        for (row, outcome) in outcomes.iter().enumerate().filter(|(_, outcome)| outcome.result.is_ok()) {
            let json = sample_json(&rows, row, outcome, &schema);
            let members: [(&str, &[u8]); 3] =
                [(image, b"picture"), ("json", json.as_bytes()), ("txt", b"one")];
            tar.append(outcome.key.as_str(), &members).unwrap();
        }
        tar.finish().unwrap();
        let mut table = SidecarWriter::new(Vec::new(), &schema).unwrap();
        table.write(&rows, &outcomes, None).unwrap();
        fs::write(file(".parquet"), table.finish().unwrap()).unwrap();
        let mut stats = ShardStats {
            count: 2,
            successes,
            failed_to_download: 2 - successes,
            start_time: 1.0,
            end_time: 2.0,
            ..ShardStats::default()
        };
        stats.status_dict.add("timed out", 2 - successes);
        stats.failure_classes.insert(FailureClass::Timeout, 2 - successes);
        if successes > 0 {
            stats.status_dict.add("success", successes);
        }
        fs::write(file("_stats.json"), stats.to_json()).unwrap();
    }
}

#[test]
fn f27_a_shard_without_successes_converts_and_converts_back() {
    for flags in [&[][..], &["--hf-images"]] {
        for image in ["webp", "jpg"] {
            let dir = tempfile::tempdir().unwrap();
            let [tars, parquet, back]: [PathBuf; 3] =
                ["tars", "parquet", "back"].map(|name| dir.path().join(name));
            set_with_failures(&tars, image);
            assert_eq!(text(&["verify", utf8(&tars)]), "2 shards: nothing found\n");
            let args: Vec<&str> =
                ["convert", utf8(&tars), utf8(&parquet)].into_iter().chain(flags.iter().copied()).collect();
            assert_eq!(text(&args), "converted 1 samples in 2 shards\n");
            assert_eq!(text(&["verify", utf8(&parquet)]), "2 shards: nothing found\n");
            text(&["convert", utf8(&parquet), utf8(&back)]);
            assert_eq!(text(&["verify", utf8(&back)]), "2 shards: nothing found\n");
            for name in ["00000.tar", "00000.parquet", "00000_stats.json", "00001.tar", "00001.parquet"] {
                let same = fs::read(tars.join(name)).unwrap() == fs::read(back.join(name)).unwrap();
                assert!(same, "{name} differs ({image}, {flags:?})");
            }
            // Of one set, every shard has the same columns.
            let columns = |name: &str| {
                let table = pairmill_shards::table::SidecarReader::open(&parquet.join(name)).unwrap();
                table.schema().fields().clone()
            };
            assert_eq!(columns("00000.parquet"), columns("00001.parquet"));
        }
    }
}
