//! Makes the two tables this crate carries: the merges of CLIP's byte-pair encoding and the classes of all characters.
//!
//! Merges. OpenAI's vocabulary file comes with the crate `instant-clip-tokenizer`, which keeps the file to itself but
//! decodes any id to text. That is enough: ids are in merge order, so the two parts of token *n* are what the merges
//! before *n* make of its bytes. `tests/peers/token_reference.py` computes [`MERGES_FNV`] from the original file, and the
//! build stops if what was recovered here is anything else.
//!
//! Classes. `\p{L}`, `\p{Nd}` and `\p{N}` as regex-syntax has them, in two stages of 256 characters a block.

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::{env, fs};

use instant_clip_tokenizer::{Token, Tokenizer};
use regex_syntax::hir::{Class, HirKind};

/// FNV-1a (64 bits) of all merges in order, each as two little-endian 16-bit ids.
const MERGES_FNV: u64 = 0xec65_9b92_f543_691e;
/// The ids below this are the 256 bytes, and the 256 bytes at the end of a word.
const FIRST_MERGED: u16 = 512;
const START: u16 = 49_406;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let out = env::var("OUT_DIR")?;
    let merges = merges()?;
    let fnv = merges
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
    if fnv != MERGES_FNV {
        return Err(format!("the merges of instant-clip-tokenizer are not OpenAI's: {fnv:#x}").into());
    }
    fs::write(Path::new(&out).join("merges.bin"), merges)?;
    fs::write(Path::new(&out).join("classes.bin"), classes()?)?;
    Ok(())
}

/// A byte to the place it has in the vocabulary: first those that print in Latin-1, then the others.
fn byte_order() -> Vec<u8> {
    let prints = |b: &u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    (0..=255).filter(prints).chain((0..=255).filter(|b| !prints(b))).collect()
}

fn merges() -> Result<Vec<u8>, Box<dyn Error>> {
    let crate_vocabulary = Tokenizer::new();
    let mut id_of = [0_u16; 256];
    for (id, byte) in (0..).zip(byte_order()) {
        id_of[usize::from(byte)] = id;
    }
    let mut known = HashMap::new();
    let mut file = Vec::new();
    for id in FIRST_MERGED..START {
        let (bytes, ends_word) = token_bytes(&crate_vocabulary, &id_of, id)?;
        let mut symbols: Vec<u16> = bytes.iter().map(|b| id_of[usize::from(*b)]).collect();
        if let (true, Some(last)) = (ends_word, symbols.last_mut()) {
            *last += 256;
        }
        while symbols.len() > 2 {
            let pairs = symbols.windows(2).enumerate();
            let best = pairs.filter_map(|(at, p)| Some((*known.get(&(p[0], p[1]))?, at))).min();
            let Some((merged, at)) = best else { break };
            symbols[at] = merged;
            symbols.remove(at + 1);
        }
        let [first, second] = symbols[..] else {
            return Err(format!("token {id} is not made of two earlier ones").into());
        };
        known.insert((first, second), id);
        file.extend([first.to_le_bytes(), second.to_le_bytes()].concat());
    }
    Ok(file)
}

/// The bytes of a token, and whether it ends a word.
///
/// The crate replaces what is no UTF-8, and many tokens are pieces of a character. Bytes set before and behind the
/// token make it whole: a lead byte for one to three left-over continuation bytes, continuations for a lead byte.
fn token_bytes(
    vocabulary: &Tokenizer,
    id_of: &[u16; 256],
    id: u16,
) -> Result<(Vec<u8>, bool), Box<dyn Error>> {
    const BEFORE: [&[u8]; 4] = [b"", b"\xc2", b"\xe1", b"\xf1"];
    const BEHIND: [&[u8]; 9] = [
        b"",
        b"\x80",
        b"\xa0",
        b"\x80\x80",
        b"\xa0\x80",
        b"\x90\x80",
        b"\x80\x80\x80",
        b"\x90\x80\x80",
        b"\xa0\x80\x80",
    ];
    let between = |before: &[u8], behind: &[u8], whole: bool| -> Option<(Vec<u8>, bool)> {
        let ids_of = |bytes: &[u8]| bytes.iter().map(|b| id_of[usize::from(*b)]).collect::<Vec<_>>();
        let ids = [ids_of(before), vec![id], ids_of(behind)].concat();
        let tokens: Option<Vec<Token>> = ids.into_iter().map(|i| Token::from_u16(i, vocabulary)).collect();
        let text = vocabulary.decode(tokens?);
        if whole && text.contains('\u{fffd}') {
            return None;
        }
        let (text, ends_word) = text.strip_suffix(' ').map_or((text.as_str(), false), |t| (t, true));
        let bytes = text.as_bytes().get(before.len()..text.len().checked_sub(behind.len())?)?;
        Some((bytes.to_vec(), ends_word))
    };
    let mut around = BEFORE.iter().flat_map(|before| BEHIND.iter().map(move |behind| (before, behind)));
    around
        .find_map(|(before, behind)| between(before, behind, true))
        // Two tokens are the replacement character itself.
        .or_else(|| between(b"", b"", false))
        .ok_or_else(|| format!("token {id} is part of no UTF-8 text").into())
}

/// One byte a character (0 other, 1 letter, 2 decimal digit, 3 other number): 4,352 block numbers, then the blocks.
fn classes() -> Result<Vec<u8>, Box<dyn Error>> {
    let mut of_char = vec![0_u8; 0x11_0000];
    for (pattern, class) in [(r"\p{L}", 1), (r"\p{N}", 3), (r"\p{Nd}", 2)] {
        let hir = regex_syntax::Parser::new().parse(pattern)?;
        let HirKind::Class(Class::Unicode(ranges)) = hir.kind() else {
            return Err(format!("{pattern} is no class").into());
        };
        for range in ranges.iter() {
            of_char[range.start() as usize..=range.end() as usize].fill(class);
        }
    }
    let (mut stages, mut blocks) = (Vec::new(), Vec::<&[u8]>::new());
    for block in of_char.chunks(256) {
        let known = blocks.iter().position(|b| *b == block);
        let number = known.unwrap_or_else(|| {
            blocks.push(block);
            blocks.len() - 1
        });
        stages.push(u8::try_from(number)?);
    }
    stages.extend(blocks.concat());
    Ok(stages)
}
