//! `pairmill-world`: the miniature web on the command line. Reads the arguments, calls the library, prints.
#![allow(clippy::print_stdout, reason = "a program talks to its user")]

mod args;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use args::{Cli, Command, DatasetArgs, FaultsArgs, PictureArgs, ReleaseArgs, ServeArgs, TableArgs, TaskArgs};
use clap::Parser;
use pairmill_world::{
    Fault, HostBehaviour, LabelledConfig, ReleaseConfig, Server, ServerConfig, Source, TableConfig,
    TableFormat, Task, World,
};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

/// What `--slow-host` means.
const SLOW_HOST_LATENCY_MS: u64 = 1000;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => serve(args),
        Command::Table(args) => table(&args),
        Command::Release(args) => release(&args),
        Command::Picture(args) => picture(&args),
        Command::Task(args) => task(&args),
        Command::Dataset(args) => dataset(&args),
        Command::Faults(args) => {
            faults(&args);
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write;
            // Nothing is left to do where even the error stream is gone.
            let _ = writeln!(std::io::stderr(), "pairmill-world: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn serve(args: ServeArgs) -> Result<()> {
    let mut hosts = vec![HostBehaviour::Normal; usize::from(args.hosts)];
    let slow = HostBehaviour::Slow { latency_ms: SLOW_HOST_LATENCY_MS };
    for (numbers, behaviour) in [
        (&args.slow_host, slow),
        (&args.down_host, HostBehaviour::Down),
        (&args.unavailable_host, HostBehaviour::Unavailable),
    ] {
        for &number in numbers {
            match hosts.get_mut(usize::from(number).wrapping_sub(1)) {
                Some(host) => *host = behaviour,
                None => bail!("host {number} does not exist; there are --hosts {}", args.hosts),
            }
        }
    }
    let server = Server::start(ServerConfig {
        world: args.world.config(),
        port: args.port,
        hosts,
        root: args.root,
        latency_ms: args.latency_ms,
        max_cache_bytes: args.cache_mb << 20,
        num_threads: args.threads,
    })?;
    // The port file is written after binding and renamed into place, so a script that waits for it reads all of it.
    if let Some(path) = &args.port_file {
        let part = path.with_extension("part");
        fs::write(&part, format!("{}\n", server.address().port()))
            .and_then(|()| fs::rename(&part, path))
            .with_context(|| format!("{}: cannot write the port", path.display()))?;
    }
    println!("world of seed {} at {}", args.world.seed, server.base_urls().join(" "));
    wait_for_signal().context("cannot wait for signals")?;
    let stats = server.shutdown();
    println!(
        "served {} requests on {} connections, {} MB, at most {} at once",
        stats.requests,
        stats.connections,
        stats.body_bytes / 1_000_000,
        stats.max_in_flight
    );
    Ok(())
}

fn wait_for_signal() -> std::io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    })
}

fn table(args: &TableArgs) -> Result<()> {
    let world = World::new(args.world.config());
    let config = TableConfig {
        source: args.source,
        rows: args.rows,
        first: args.first,
        base_urls: args.base_url.iter().map(|url| url.trim_end_matches('/').to_owned()).collect(),
        fault_rate: args.faults,
        mix: args.mix,
    };
    let format = match args.format {
        Some(format) => format,
        None => TableFormat::for_path(args.source, &args.out)?,
    };
    let summary = world.write_table_as(&config, format, &args.out)?;
    let outcomes = summary.expectations(&args.policy.policy());
    if let Some(path) = &args.expect {
        let faults: serde_json::Map<_, _> =
            summary.faults.iter().map(|(fault, count)| (fault.to_string(), json!(count))).collect();
        let account = json!({ "rows": summary.rows, "outcomes": outcomes, "faults": faults });
        write(path, format!("{account:#}\n").as_bytes())?;
    }
    println!("{}: {} rows as {format}", args.out.display(), summary.rows);
    for (word, count) in outcomes {
        println!("  {word:<16} {count:>9}");
    }
    Ok(())
}

fn release(args: &ReleaseArgs) -> Result<()> {
    let config = ReleaseConfig {
        release: args.source,
        rows: args.rows,
        base_url: args.base_url.trim_end_matches('/').to_owned(),
    };
    let summary = World::new(args.world.config()).write_release(&config, &args.out)?;
    println!("{}: {} rows as {}", args.out.display(), summary.rows, args.source);
    for (quirk, rows) in &summary.quirks {
        println!("  {quirk:<22} {rows:>9}");
    }
    Ok(())
}

fn picture(args: &PictureArgs) -> Result<()> {
    let world = World::new(args.world.config());
    let picture = world.picture(args.source, args.index);
    write(&args.out, &picture.bytes()?)?;
    let caption = world.caption(args.source, args.index);
    let (scene, subject) = (&picture.scene, picture.scene.subject());
    let truth = json!({
        "file": args.out.display().to_string(),
        "format": picture.encoding.extension(),
        "width": picture.width,
        "height": picture.height,
        "caption": caption.text,
        "faithful": caption.faithful,
        "shape": subject.shape.as_str(),
        "count": scene.count,
        "colour": subject.colour.as_str(),
        "texture": subject.texture.as_str(),
        "extras": scene.extras().iter().map(|e| format!("{} {}", e.colour, e.shape)).collect::<Vec<_>>(),
        "backdrop": scene.backdrop.as_str(),
        "backdrop_colour": scene.backdrop_colour.as_str(),
    });
    println!("{truth:#}");
    Ok(())
}

fn task(args: &TaskArgs) -> Result<()> {
    if !args.shift.suits(args.task) {
        bail!("--shift {} leaves nothing of {} to see; choose another shift", args.shift, args.task);
    }
    let world = World::new(args.world.config());
    let write = if args.shard { Task::write_shard } else { Task::write };
    let total = write(args.task, &world, args.split, args.shift, args.per_class, &args.out)?;
    println!("{}: {total} pictures in {} classes", args.out.display(), args.task.class_names().len());
    Ok(())
}

fn dataset(args: &DatasetArgs) -> Result<()> {
    let config = LabelledConfig {
        classes: args.classes,
        real_size: args.real_size,
        ..LabelledConfig::new(args.dataset, args.per_class, args.form)
    };
    let truth = World::new(args.world.config()).write_labelled(&config, &args.out)?;
    println!(
        "{}: {} pictures in {} classes as {}",
        args.out.display(),
        truth.pictures.len(),
        truth.classes.len(),
        args.dataset
    );
    Ok(())
}

fn faults(args: &FaultsArgs) {
    let policy = args.policy.policy();
    println!("{:<22} {:<16} url", "fault", "outcome");
    for &fault in Fault::ALL {
        let outcome = fault.outcome(&policy).unwrap_or("private_address");
        println!("{fault:<22} {outcome:<16} {}", fault.url(&args.base_url, Source::Cc12m, 1));
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| path.display().to_string())
}
