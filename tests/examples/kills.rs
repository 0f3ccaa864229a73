//! The kill matrix: every command that writes a dataset is killed (SIGKILL) at random moments and given again, over and
//! over, and must end in the bytes of a run that nobody disturbed, with every input row accounted for once.
//!
//! `./justw test-kills [KILLS] [SEED]` builds the commands and runs it. Sixty kills take some minutes of two cores, so it is
//! no part of `./justw ci`, which has twenty kills of one command (ingest/tests/cli/kill.rs).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that is started by hand, and tells on standard output"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};
use std::thread;
use std::time::Instant;

use pairmill_bucket::S3;
use pairmill_shards::account::Account;
use pairmill_shards::folder::DatasetFolder;
use pairmill_shards::random::SplitMix64;
use pairmill_shards::stats::ShardStats;
use pairmill_shards::status::FailureClass;
use pairmill_shards::table::{RowColumns, SidecarReader, SidecarRow, column};
use pairmill_tests::serve;
use pairmill_world::{Fault, FaultMix, Source, TableConfig};

const DEFAULT_KILLS: u64 = 60;
const ROWS: usize = 900;
/// Runs of a case that may get through before they are killed, for each kill that is wanted.
const MAX_TRIES: u64 = 40;

/// Where a case writes.
enum Place {
    Folder,
    Bucket,
}

/// What a killed and resumed case is held against.
#[derive(Clone, Copy, PartialEq)]
enum Check {
    /// Every row of the table, in its order.
    Table,
    /// The same, each row once as a failure and once in a retry.
    Retried,
    /// So many samples.
    Samples(u64),
    /// As many rows as the input of the conversion.
    Rows,
}

/// One command under test.
struct Case {
    name: &'static str,
    place: Place,
    check: Check,
    /// Copied to the output before the first run, and again whenever it is begun anew.
    begins_with: Option<PathBuf>,
    command: Box<dyn Fn(&str) -> Command>,
}

/// What became of a case.
#[derive(Default)]
struct Tally {
    kills: u64,
    /// Runs that were faster than their kill.
    got_through: u64,
    /// Finished shards at the moments of the kills.
    finished: BTreeSet<usize>,
    /// Kills that left temporary files, for the next run to remove.
    left_temps: u64,
    files: usize,
}

struct Matrix {
    dir: tempfile::TempDir,
    s3: S3,
    urls: Vec<String>,
    random: SplitMix64,
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let mut number = |default: u64| args.next().map_or(default, |text| text.parse().expect("a number"));
    let (kills, seed) = (number(DEFAULT_KILLS), number(0));
    println!("{kills} kills, seed {seed}");
    let (world, server) = serve().expect("a server");
    let mut table =
        TableConfig::new(Source::Laion, 2 * ROWS as u64, server.base_url()).with_faults(0.2, FaultMix::Quick);
    table.base_urls = server.base_urls();
    // A 429 pauses its host, a name server's silence costs seconds, and what recovers answers every run otherwise.
    let slow = [Fault::NoSuchHost, Fault::RateLimited, Fault::RateLimitedLong, Fault::RateLimitedDate];
    let steady =
        |fault: Option<Fault>| fault.is_none_or(|f| f.failures_before_ok().is_none() && !slow.contains(&f));
    let rows: Vec<_> = world.rows(&table).filter(|row| steady(row.fault)).take(ROWS).collect();
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("t.csv");
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut text = "url,caption\n".to_owned();
    for row in &rows {
        text.push_str(&format!("{},{}\n", quoted(&row.url), quoted(&row.caption.text)));
    }
    fs::write(&path, text).expect("a table");
    fs::create_dir(dir.path().join("tmp")).expect("a folder");
    let urls = rows.into_iter().map(|row| row.url).collect();
    let mut matrix = Matrix { dir, s3: S3::start(), urls, random: SplitMix64::new(seed) };
    let cases = matrix.cases(&path);
    println!(
        "\n| command | kills | got through | finished shards when killed | left temporaries | files equal |"
    );
    println!("|---|---:|---:|---|---:|---:|");
    let (mut total, num_cases) = (0, cases.len() as u64);
    for (at, case) in (0..).zip(&cases) {
        let wanted = kills / num_cases + u64::from(at < kills % num_cases);
        let tally = matrix.run(case, wanted);
        let finished = match (tally.finished.first(), tally.finished.last()) {
            (Some(first), Some(last)) => format!("{first} to {last}, {} different", tally.finished.len()),
            _ => String::new(),
        };
        println!(
            "| {} | {} | {} | {finished} | {} | {} |",
            case.name, tally.kills, tally.got_through, tally.left_temps, tally.files
        );
        total += tally.kills;
    }
    println!("\n{total} kills: the same bytes, every row accounted for once, nothing left behind");
    ExitCode::SUCCESS
}

impl Matrix {
    fn command(&self, name: &str) -> Command {
        let example = std::env::current_exe().expect("our own path");
        let binaries = example.parent().and_then(Path::parent).expect("the folder of binaries");
        let mut command = Command::new(binaries.join(name));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.env("TMPDIR", self.path("tmp")).envs(self.s3.env());
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The cases, whose inputs are made on the way.
    fn cases(&self, table: &Path) -> Vec<Case> {
        let staging = self.path("staging");
        let ingest = |more: &'static [&'static str]| {
            let (base, table, staging) =
                (self.command_maker("pairmill-ingest"), table.to_owned(), staging.clone());
            move |out: &str| {
                let mut command = base();
                command.arg("run").arg("--url-list").arg(&table).args(["--output-folder", out]);
                command.args([
                    "--caption-col",
                    "caption",
                    "--number-sample-per-shard",
                    "50",
                    "--image-size",
                    "32",
                ]);
                command
                    .args(["--thread-count", "32", "--timeout", "5", "--quiet"])
                    .arg("--staging")
                    .arg(&staging);
                command.args(more);
                command
            }
        };
        let webdataset = &["--output-format", "webdataset", "--allow-private-addresses"][..];
        let parquet = &["--output-format", "parquet", "--allow-private-addresses"][..];
        // Everything fails here, so that a retry has a run's worth of rows to fetch.
        let (tars, tables, failed) = (self.path("in-tars"), self.path("in-tables"), self.path("in-failed"));
        for (more, out) in
            [(webdataset, &tars), (parquet, &tables), (&["--output-format", "webdataset"][..], &failed)]
        {
            finish(&mut ingest(more)(out.to_str().expect("UTF-8")));
        }
        let samples =
            Account::of(&DatasetFolder::scan(&tars).expect("tars")).expect("an account").outcomes.successes;
        let shards = |args: &[&str], input: &Path| {
            let (base, input) = (self.command_maker("pairmill-shards"), input.to_owned());
            let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
            move |out: &str| {
                let mut command = base();
                for arg in &args {
                    match arg.as_str() {
                        "INPUT" => command.arg(&input),
                        "OUTPUT" => command.arg(out),
                        other => command.arg(other),
                    };
                }
                command
            }
        };
        let retry = {
            let base = self.command_maker("pairmill-ingest");
            move |out: &str| {
                let mut command = base();
                command.args([
                    "retry",
                    out,
                    "--class",
                    "private_address",
                    "--allow-private-addresses",
                    "--quiet",
                ]);
                command
            }
        };
        let case = |name, check, command: Box<dyn Fn(&str) -> Command>| Case {
            name,
            place: Place::Folder,
            check,
            begins_with: None,
            command,
        };
        let half = samples / 2;
        let size = half.to_string();
        vec![
            case("ingest run, webdataset", Check::Table, Box::new(ingest(webdataset))),
            case(
                "ingest run, files",
                Check::Table,
                Box::new(ingest(&["--output-format", "files", "--allow-private-addresses"])),
            ),
            case("ingest run, parquet", Check::Table, Box::new(ingest(parquet))),
            Case { begins_with: Some(failed), ..case("ingest retry", Check::Retried, Box::new(retry)) },
            Case {
                place: Place::Bucket,
                ..case("ingest run to s3://", Check::Table, Box::new(ingest(webdataset)))
            },
            case(
                "shards subset",
                Check::Samples(half),
                Box::new(shards(
                    &[
                        "subset",
                        "INPUT",
                        "--size",
                        &size,
                        "--number-sample-per-shard",
                        "40",
                        "-q",
                        "--out",
                        "OUTPUT",
                    ],
                    &tars,
                )),
            ),
            case(
                "shards reshard --shuffle",
                Check::Samples(samples),
                Box::new(shards(
                    &[
                        "reshard",
                        "INPUT",
                        "--shuffle",
                        "7",
                        "--number-sample-per-shard",
                        "40",
                        "-q",
                        "--out",
                        "OUTPUT",
                    ],
                    &tables,
                )),
            ),
            case(
                "shards convert to Parquet",
                Check::Rows,
                Box::new(shards(&["convert", "INPUT", "OUTPUT", "--overwrite"], &tars)),
            ),
            case(
                "shards convert to tar",
                Check::Rows,
                Box::new(shards(&["convert", "INPUT", "OUTPUT", "--overwrite"], &tables)),
            ),
        ]
    }

    /// [`command`](Self::command) for closures that outlive the borrow.
    fn command_maker(&self, name: &'static str) -> impl Fn() -> Command + use<> {
        let command = self.command(name);
        let program = command.get_program().to_owned();
        let set: Vec<_> =
            command.get_envs().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect();
        move || {
            let mut command = Command::new(&program);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).envs(set.clone());
            command
        }
    }

    fn run(&mut self, case: &Case, wanted: u64) -> Tally {
        let (calm, rough) = (self.path("calm"), self.path("rough"));
        let mut tally = Tally::default();
        self.begin(case, &calm);
        let started = Instant::now();
        finish(&mut (case.command)(&self.target(case, &calm)));
        let whole = started.elapsed();
        let expected = self.content(case, &calm);
        self.hold(case, &calm);
        self.begin(case, &rough);
        let (mut tries, mut interrupted) = (0, false);
        while tally.kills < wanted {
            tries += 1;
            assert!(
                tries <= wanted * MAX_TRIES,
                "{}: only {} kills came before the end",
                case.name,
                tally.kills
            );
            let mut child = (case.command)(&self.target(case, &rough)).spawn().expect("the command");
            // Up to the whole length of an undisturbed run: resumed ones are shorter, and then one gets through.
            thread::sleep(whole.mul_f64(self.random.below(1_000) as f64 / 1_000.0));
            if child.try_wait().expect("its state").is_none() {
                child.kill().expect("a kill");
                tally.kills += 1;
                interrupted = true;
                let output = child.wait_with_output().expect("its end");
                assert!(!output.status.success() || output.stderr.is_empty(), "{}", text(&output));
                let found = self.content(case, &rough);
                let finished = found.keys().filter(|name| name.ends_with("_stats.json")).count();
                tally.finished.insert(finished);
                tally.left_temps += u64::from(!self.temps(case, &rough).is_empty());
                self.finished_are_whole(case, &found, &expected);
                continue;
            }
            let output = child.wait_with_output().expect("its end");
            assert!(output.status.success(), "{}: {}", case.name, text(&output));
            tally.got_through += 1;
            self.compare(case, &rough, &expected);
            if interrupted {
                interrupted = false;
                self.hold(case, &rough);
            }
            self.begin(case, &rough);
        }
        finish(&mut (case.command)(&self.target(case, &rough)));
        self.compare(case, &rough, &expected);
        self.hold(case, &rough);
        tally.files = expected.len();
        tally
    }

    /// The output as the command takes it.
    fn target(&self, case: &Case, out: &Path) -> String {
        let name = out.file_name().expect("a name").to_str().expect("UTF-8");
        match case.place {
            Place::Folder => out.to_str().expect("UTF-8").to_owned(),
            Place::Bucket => self.s3.url(name),
        }
    }

    /// Empties the output, or fills it with what the case begins with.
    fn begin(&self, case: &Case, out: &Path) {
        let _ = fs::remove_dir_all(out);
        if let Place::Bucket = case.place {
            let name = out.file_name().expect("a name").to_str().expect("UTF-8");
            for key in self.s3.objects(name).into_keys() {
                self.s3.remove(&format!("{name}/{key}"));
            }
        }
        if let Some(from) = &case.begins_with {
            copy(from, out);
        }
    }

    /// Every file but what tells the time or is Pairmill's own; statistics without the time.
    fn content(&self, case: &Case, out: &Path) -> BTreeMap<String, Vec<u8>> {
        let mut files = match case.place {
            Place::Folder => files_of(out),
            Place::Bucket => self.s3.objects(out.file_name().expect("a name").to_str().expect("UTF-8")),
        };
        files.retain(|name, _| !name.starts_with("_pairmill") && !is_temp(name));
        for (name, bytes) in &mut files {
            if name.ends_with("_stats.json") {
                let stats = ShardStats::parse(Path::new(name), bytes).expect("statistics are whole");
                let stats = ShardStats {
                    start_time: 0.0,
                    end_time: 0.0,
                    fetch_ms: None,
                    fetched_bytes: None,
                    ..stats
                };
                *bytes = stats.to_json().into_bytes();
            }
        }
        files
    }

    /// Temporary files that a kill left, in the output and in the folder for temporary files.
    fn temps(&self, case: &Case, out: &Path) -> Vec<String> {
        let mut temps: Vec<String> = match case.place {
            Place::Folder => files_of(out).into_keys().filter(|name| is_temp(name)).collect(),
            Place::Bucket => Vec::new(),
        };
        let scratch = fs::read_dir(self.path("tmp")).expect("the folder").flatten();
        temps.extend(scratch.map(|entry| entry.file_name().to_string_lossy().into_owned()));
        temps
    }

    /// Whatever is called finished has the bytes of the undisturbed run.
    fn finished_are_whole(
        &self,
        case: &Case,
        found: &BTreeMap<String, Vec<u8>>,
        expected: &BTreeMap<String, Vec<u8>>,
    ) {
        for shard in found.keys().filter_map(|name| name.strip_suffix("_stats.json")) {
            for (name, bytes) in expected.iter().filter(|(name, _)| belongs_to(name, shard)) {
                assert!(found.get(name) == Some(bytes), "{}: {name} of a finished shard differs", case.name);
            }
        }
    }

    fn compare(&self, case: &Case, out: &Path, expected: &BTreeMap<String, Vec<u8>>) {
        let found = self.content(case, out);
        let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(expected), "{}", case.name);
        for (name, bytes) in expected {
            assert!(found[name] == *bytes, "{}: {name} differs", case.name);
        }
        assert_eq!(self.temps(case, out), Vec::<String>::new(), "{}: left behind", case.name);
    }

    /// The account against the input, and `verify`.
    fn hold(&self, case: &Case, out: &Path) {
        let target = self.target(case, out);
        let mut verify = self.command("pairmill-shards");
        finish(verify.args(["verify", "--images", &target]).stdout(Stdio::piped()));
        let here = match case.place {
            Place::Folder => out.to_owned(),
            Place::Bucket => {
                let copy = self.path("copy");
                let _ = fs::remove_dir_all(&copy);
                for (name, bytes) in
                    self.s3.objects(out.file_name().expect("a name").to_str().expect("UTF-8"))
                {
                    let path = copy.join(name);
                    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
                    fs::write(path, bytes).expect("a file");
                }
                copy
            }
        };
        let folder = DatasetFolder::scan(&here).expect("the output");
        let account = Account::of(&folder).expect("an account");
        let outcomes = &account.outcomes;
        assert!(outcomes.adds_up() && account.missing_shards == 0, "{}: {account:?}", case.name);
        match case.check {
            Check::Samples(samples) => {
                assert_eq!((outcomes.rows, outcomes.successes), (samples, samples), "{}", case.name);
            }
            Check::Table | Check::Rows => {
                let urls = urls_of(&folder, |row| row.retry_of.is_none());
                assert!(urls == self.urls, "{}: other rows than the table's", case.name);
            }
            Check::Retried => {
                let urls = urls_of(&folder, |row| row.retry_of.is_none());
                assert!(urls == self.urls, "{}: other rows than the table's", case.name);
                // What is no address at all is none of a private network, and is not fetched again.
                let wanted = urls_of(&folder, |row| {
                    row.retry_of.is_none() && row.failure_class == Some(FailureClass::PrivateAddress)
                });
                let again = urls_of(&folder, |row| row.retry_of.is_some());
                assert!(again == wanted && !again.is_empty(), "{}: other rows than failed so", case.name);
                assert_eq!(account.retried, again.len() as u64, "{}", case.name);
            }
        }
    }
}

/// URLs of those rows of every table that `counts` picks, in order.
fn urls_of(folder: &DatasetFolder, counts: impl Fn(&SidecarRow) -> bool) -> Vec<String> {
    let mut urls = Vec::new();
    for shard in folder.done() {
        let table = shard.get(pairmill_shards::folder::ShardFile::Table).expect("a table");
        let table = SidecarReader::open(table).expect("a table");
        assert!(table.has_column(column::URL), "a column of URLs");
        for row in table.rows(RowColumns::All).expect("rows") {
            let row = row.expect("a row");
            if counts(&row) {
                urls.push(row.url.unwrap_or_default());
            }
        }
    }
    urls
}

fn is_temp(name: &str) -> bool {
    name.split('/').any(|part| part.starts_with('.') && part.ends_with(".tmp"))
        || name.contains("_pairmill/shuffle/")
}

fn belongs_to(name: &str, shard: &str) -> bool {
    name.strip_prefix(shard).is_some_and(|rest| rest.starts_with(['.', '/', '_']))
}

fn files_of(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn gather(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                gather(root, &path, found);
            } else if let Ok(bytes) = fs::read(&path) {
                let name = path.strip_prefix(root).expect("within").to_string_lossy().into_owned();
                found.insert(name, bytes);
            }
        }
    }
    let mut found = BTreeMap::new();
    gather(folder, folder, &mut found);
    found
}

fn copy(from: &Path, to: &Path) {
    for (name, bytes) in files_of(from) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

#[track_caller]
fn finish(command: &mut Command) {
    let output = command.output().expect("the command");
    assert!(output.status.success(), "{command:?}\n{}", text(&output));
}
