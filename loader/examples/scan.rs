//! `scan index|touch|stream TAR...`: how fast samples are reached without decoding any. `index` parses each tar and
//! walks its samples; `touch` also reads every byte of every member, mapped; `stream` reads whole samples through
//! `read`, as from a pipe. Prints samples, bytes and a checksum that keeps the compiler honest. `bench/loader.sh` runs it
//! beside `cat`.
#![allow(clippy::print_stdout, reason = "an example that is run by the bench")]

use std::error::Error;

use pairmill_shards::tar::{EndMarker, MappedTar, TarReader};

fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let words = words.iter().fold(0_u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)));
    rest.iter().fold(words, |sum, byte| sum.wrapping_add(u64::from(*byte)))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let mode = args.next().ok_or("usage: scan index|touch|stream TAR...")?;
    let (mut samples, mut bytes, mut check) = (0_u64, 0_u64, 0_u64);
    for path in args {
        match mode.as_str() {
            "stream" => {
                for sample in TarReader::open(&path, EndMarker::Required)? {
                    let sample = sample?;
                    samples += 1;
                    for member in &sample.members {
                        bytes += member.data.len() as u64;
                        check = check.wrapping_add(u64::from(*member.data.last().unwrap_or(&0)));
                    }
                }
            }
            _ => {
                let tar = MappedTar::open(path)?;
                for sample in tar.iter() {
                    samples += 1;
                    for (_, data) in sample.members() {
                        bytes += data.len() as u64;
                        check =
                            check.wrapping_add(if mode == "touch" { sum(data) } else { data.len() as u64 });
                    }
                }
            }
        }
    }
    println!("{{\"samples\": {samples}, \"bytes\": {bytes}, \"check\": {check}}}");
    Ok(())
}
