//! TIFF: every layout, depth, colour space and compression that Pillow decodes and the web has gives the same picture.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod support;

use std::io::Write;

use fax::maps::{black, white};
use fax::{BitWriter, Color, VecWriter};
use pairmill_pixels::{
    Limits, PixelError, ResizeMode, Rgb8, TransformConfig, Transformer, decode_rgb, hostile, probe,
};
use proptest::prelude::*;
use support::{formula, jpeg};
use turbojpeg::Subsamp;

const WIDTH: u32 = 37;
const HEIGHT: u32 = 29;

/// A TIFF of one page: tags with numbers of 16 or 32 bits, and its strips or tiles.
#[derive(Clone)]
struct Page {
    big_endian: bool,
    tags: Vec<(u16, Vec<u32>)>,
    chunks: Vec<Vec<u8>>,
    /// Bytes that a tag of type 7 holds.
    raw: Option<(u16, Vec<u8>)>,
}

impl Page {
    /// One strip of so many bits a sample.
    fn new(photometric: u32, bits: &[u32], chunk: Vec<u8>) -> Self {
        let tags = vec![
            (256, vec![WIDTH]),
            (257, vec![HEIGHT]),
            (258, bits.to_vec()),
            (259, vec![1]),
            (262, vec![photometric]),
            (277, vec![bits.len() as u32]),
            (278, vec![HEIGHT]),
        ];
        Self { big_endian: false, tags, chunks: vec![chunk], raw: None }
    }

    fn with(mut self, tag: u16, values: &[u32]) -> Self {
        self.tags.retain(|(known, _)| *known != tag);
        self.tags.push((tag, values.to_vec()));
        self
    }

    fn without(mut self, tag: u16) -> Self {
        self.tags.retain(|(known, _)| *known != tag);
        self
    }

    fn chunks(mut self, chunks: Vec<Vec<u8>>) -> Self {
        self.chunks = chunks;
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let short = |v: u16| if self.big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
        let long = |v: u32| if self.big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
        let mut out = if self.big_endian { b"MM\0*\0\0\0\0".to_vec() } else { b"II*\0\0\0\0\0".to_vec() };
        let mut places = Vec::new();
        for chunk in &self.chunks {
            places.push(out.len() as u32);
            out.extend(chunk);
        }
        let is_tiled = self.tags.iter().any(|(tag, _)| *tag == 322);
        let (places_tag, lengths_tag) = if is_tiled { (324, 325) } else { (273, 279) };
        let mut tags = self.tags.clone();
        tags.push((places_tag, places));
        tags.push((lengths_tag, self.chunks.iter().map(|chunk| chunk.len() as u32).collect()));
        tags.sort();
        let mut entries = Vec::new();
        for (tag, values) in &tags {
            let is_long = matches!(tag, 256 | 257 | 273 | 278 | 279 | 322 | 323 | 324 | 325);
            let (kind, count) = (if is_long { 4 } else { 3 }, values.len() as u32);
            let mut data: Vec<u8> = match is_long {
                true => values.iter().flat_map(|v| long(*v)).collect(),
                false => values.iter().flat_map(|v| short(*v as u16)).collect(),
            };
            if data.len() > 4 {
                let at = out.len() as u32;
                out.extend(&data);
                data = long(at).to_vec();
            }
            data.resize(4, 0);
            entries.push((*tag, [&short(*tag)[..], &short(kind), &long(count), &data].concat()));
        }
        if let Some((tag, data)) = &self.raw {
            let at = long(out.len() as u32);
            out.extend(data);
            entries.push((*tag, [&short(*tag)[..], &short(7), &long(data.len() as u32), &at].concat()));
        }
        entries.sort();
        let directory = out.len() as u32;
        out[4..8].copy_from_slice(&long(directory));
        out.extend(short(entries.len() as u16));
        entries.iter().for_each(|(_, entry)| out.extend(entry));
        out.extend([0; 4]);
        out
    }

    fn decode(&self) -> Rgb8 {
        decode_rgb(&self.bytes(), &Limits::default())
            .unwrap_or_else(|error| panic!("{:?}: {error}", self.tags))
    }
}

/// Packs samples of `bits` into rows of whole bytes, the high bit first.
fn packed(samples: &[u32], bits: usize, in_row: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for row in samples.chunks(in_row) {
        let (mut held, mut count) = (0_u64, 0);
        for sample in row {
            held = (held << bits) | u64::from(*sample);
            count += bits;
            while count >= 8 {
                out.push((held >> (count - 8)) as u8);
                count -= 8;
            }
        }
        if count > 0 {
            out.push((held << (8 - count)) as u8);
        }
    }
    out
}

fn colours() -> Vec<u8> {
    formula(WIDTH, HEIGHT, 3)
}

fn greys() -> Vec<u8> {
    formula(WIDTH, HEIGHT, 1)
}

fn spread(grey: &[u8]) -> Vec<u8> {
    grey.iter().flat_map(|v| [*v; 3]).collect()
}

fn most_apart(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn f23_grey_of_every_depth_and_both_polarities() {
    for bits in [1_usize, 2, 4, 8, 12, 16] {
        let most = (1_u32 << bits) - 1;
        let samples: Vec<u32> = greys().iter().map(|v| (u32::from(*v) * most + 127) / 255).collect();
        let wanted: Vec<u8> = samples.iter().map(|v| ((v * 255 + most / 2) / most) as u8).collect();
        for white_is_zero in [false, true] {
            let stored: Vec<u32> =
                samples.iter().map(|v| if white_is_zero { most - v } else { *v }).collect();
            for big_endian in [false, true] {
                let data = match (bits, big_endian) {
                    (16, false) => stored.iter().flat_map(|v| (*v as u16).to_le_bytes()).collect(),
                    _ => packed(&stored, bits, WIDTH as usize),
                };
                let photometric = if white_is_zero { 0 } else { 1 };
                let mut page = Page::new(photometric, &[bits as u32], data);
                page.big_endian = big_endian;
                let apart = most_apart(&page.decode().data, &spread(&wanted));
                assert!(apart <= 1, "{bits} bits, {white_is_zero}, {big_endian}: {apart}");
            }
        }
    }
}

#[test]
fn f23_palettes_of_1_to_8_bits() {
    for bits in [1_usize, 2, 4, 8] {
        let count = 1_usize << bits;
        let samples: Vec<u32> = (0..WIDTH * HEIGHT).map(|at| at * 7 % count as u32).collect();
        let palette: Vec<[u8; 3]> =
            (0..count).map(|i| [(i * 37 + 50) as u8, (i * 11 + 200) as u8, 255 - i as u8]).collect();
        let wanted: Vec<u8> = samples.iter().flat_map(|v| palette[*v as usize]).collect();
        // Some writers put 8 bits where 16 belong.
        for scale in [256, 1] {
            let map: Vec<u32> =
                (0..3).flat_map(|c| palette.iter().map(move |colour| u32::from(colour[c]) * scale)).collect();
            let page = Page::new(3, &[bits as u32], packed(&samples, bits, WIDTH as usize)).with(320, &map);
            assert_eq!(page.decode().data, wanted, "{bits} bits, times {scale}");
            assert!(
                Transformer::new(&keep_size()).unwrap().transform(&page.bytes()).unwrap().applied.palette
            );
        }
        let page = Page::new(3, &[bits as u32], packed(&samples, bits, WIDTH as usize));
        assert!(matches!(decode_rgb(&page.bytes(), &Limits::default()), Err(PixelError::Corrupt(_))));
    }
}

fn keep_size() -> TransformConfig {
    TransformConfig { resize_mode: ResizeMode::No, ..TransformConfig::default() }
}

#[test]
fn f23_fill_order_2_begins_with_the_low_bit() {
    for (page, wanted) in
        [(Page::new(1, &[8], greys()), spread(&greys())), (Page::new(2, &[8, 8, 8], colours()), colours())]
    {
        let reversed = page.chunks[0].iter().map(|byte| byte.reverse_bits()).collect();
        assert_eq!(page.with(266, &[2]).chunks(vec![reversed]).decode().data, wanted);
    }
    // The bits of compressed bytes are turned too.
    let reversed = lzw(&colours()).iter().map(|byte| byte.reverse_bits()).collect();
    let page = Page::new(2, &[8, 8, 8], Vec::new()).with(259, &[5]).with(266, &[2]).chunks(vec![reversed]);
    assert_eq!(page.decode().data, colours());
}

#[test]
fn f23_associated_alpha_is_divided_out_and_unassociated_alpha_is_taken_as_it_is() {
    let alphas: Vec<u8> = (0..WIDTH * HEIGHT).map(|at| (at * 5 % 256) as u8).collect();
    let over = |colour: u8, alpha: u8| {
        ((u32::from(colour) * u32::from(alpha) + 255 * (255 - u32::from(alpha)) + 127) / 255) as u8
    };
    let colours = colours();
    let pixels = colours.as_chunks::<3>().0;
    let wanted: Vec<u8> =
        pixels.iter().zip(&alphas).flat_map(|(rgb, alpha)| rgb.map(|c| over(c, *alpha))).collect();
    let times = |c: u8, alpha: u8| ((u32::from(c) * u32::from(alpha) + 127) / 255) as u8;
    for extra in [1_u32, 2] {
        let chunk = pixels.iter().zip(&alphas).flat_map(|([r, g, b], alpha)| {
            let stored = |c: u8| if extra == 1 { times(c, *alpha) } else { c };
            [stored(*r), stored(*g), stored(*b), *alpha]
        });
        let page = Page::new(2, &[8; 4], chunk.collect()).with(338, &[extra]);
        let done = Transformer::new(&keep_size()).unwrap().transform(&page.bytes()).unwrap();
        assert!(done.applied.alpha);
        let apart = most_apart(&page.decode().data, &wanted);
        assert!(apart <= 2, "extra sample {extra}: {apart}");
    }
    // What is neither is passed over.
    let chunk = pixels.iter().flat_map(|[r, g, b]| [*r, *g, *b, 77]).collect();
    assert_eq!(Page::new(2, &[8; 4], chunk).with(338, &[0]).decode().data, colours);
}

/// Cuts the picture into chunks of so many pixels; each of `planes` planes has its own.
fn cut(pixels: &[u8], samples: usize, planar: bool, chunk: (usize, usize), is_tiled: bool) -> Vec<Vec<u8>> {
    let (width, height) = (WIDTH as usize, HEIGHT as usize);
    let planes: Vec<Vec<usize>> =
        if planar { (0..samples).map(|s| vec![s]).collect() } else { vec![(0..samples).collect()] };
    let mut chunks = Vec::new();
    for plane in &planes {
        for top in (0..height).step_by(chunk.1) {
            for left in (0..width).step_by(chunk.0) {
                let mut data = Vec::new();
                for y in top..top + chunk.1 {
                    if y >= height && !is_tiled {
                        break;
                    }
                    for x in left..left + chunk.0 {
                        for sample in plane {
                            let at = (y.min(height - 1) * width + x.min(width - 1)) * samples + sample;
                            data.push(pixels[at]);
                        }
                    }
                }
                chunks.push(data);
            }
        }
    }
    chunks
}

#[test]
fn f23_strips_tiles_and_planes_hold_the_same_picture() {
    for planar in [false, true] {
        for (is_tiled, chunk) in [
            (false, (37, 29)),
            (false, (37, 8)),
            (false, (37, 1)),
            (true, (16, 16)),
            (true, (48, 32)),
            (true, (16, 48)),
        ] {
            let mut page = Page::new(2, &[8, 8, 8], Vec::new())
                .with(284, &[if planar { 2 } else { 1 }])
                .chunks(cut(&colours(), 3, planar, chunk, is_tiled));
            page = match is_tiled {
                true => page.without(278).with(322, &[chunk.0 as u32]).with(323, &[chunk.1 as u32]),
                false => page.with(278, &[chunk.1 as u32]),
            };
            assert_eq!(page.decode().data, colours(), "planar {planar}, tiled {is_tiled}, {chunk:?}");
        }
    }
    // Lengths are not needed where nothing is compressed, nor is the number of rows where there is one strip.
    let bytes = Page::new(2, &[8, 8, 8], colours()).without(278).bytes();
    assert_eq!(decode_rgb(&bytes, &Limits::default()).unwrap().data, colours());
}

fn lzw(bytes: &[u8]) -> Vec<u8> {
    weezl::encode::Encoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8).encode(bytes).unwrap()
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Runs of three and more, everything else as it is.
fn packbits(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let [first, ..] = rest {
        let run = rest.iter().take(128).take_while(|byte| *byte == first).count();
        let taken = if run >= 3 { run } else { rest.len().min(5) };
        match run >= 3 {
            true => out.extend([(257 - run) as u8, *first]),
            false => {
                out.push(taken as u8 - 1);
                out.extend(&rest[..taken]);
            }
        }
        rest = &rest[taken..];
        out.push(128);
    }
    out
}

#[test]
fn f23_lossless_compressions_and_their_predictors() {
    let differences = |bytes: &[u8], samples: usize| -> Vec<u8> {
        let rows = bytes.chunks(WIDTH as usize * samples);
        rows.flat_map(|row| {
            (0..row.len())
                .map(move |at| if at < samples { row[at] } else { row[at].wrapping_sub(row[at - samples]) })
        })
        .collect()
    };
    let page = |compression: u32, predictor: u32, chunk: Vec<u8>| {
        Page::new(2, &[8, 8, 8], chunk).with(259, &[compression]).with(317, &[predictor])
    };
    let plain = colours();
    let flat = [9; 37 * 29 * 3].to_vec();
    for (compression, coded, of_flat) in [
        (5, lzw(&plain), lzw(&flat)),
        (8, deflated(&plain), deflated(&flat)),
        (32_946, deflated(&plain), deflated(&flat)),
        (32_773, packbits(&plain), packbits(&flat)),
    ] {
        assert_eq!(page(compression, 1, coded).decode().data, plain, "compression {compression}");
        assert_eq!(page(compression, 1, of_flat).decode().data, flat, "compression {compression}");
    }
    for (compression, coded) in [(5, lzw(&differences(&plain, 3))), (8, deflated(&differences(&plain, 3)))] {
        assert_eq!(page(compression, 2, coded).decode().data, plain, "compression {compression}");
    }
    // Only LZW and deflate have predictors.
    assert_eq!(page(1, 2, plain.clone()).decode().data, plain);
    // Differences of 16 bits carry.
    let deep: Vec<u16> = greys().iter().map(|v| u16::from(*v) * 257).collect();
    let rows = deep.chunks(WIDTH as usize).flat_map(|row| {
        (0..row.len())
            .flat_map(move |at| row[at].wrapping_sub(if at == 0 { 0 } else { row[at - 1] }).to_le_bytes())
    });
    let page = Page::new(1, &[16], lzw(&rows.collect::<Vec<_>>())).with(259, &[5]).with(317, &[2]);
    assert_eq!(page.decode().data, spread(&greys()));
    // Floats from 0 to 1, their bytes sorted by significance and then differenced.
    let floats: Vec<[u8; 4]> = greys().iter().map(|v| (f32::from(*v) / 255.0).to_be_bytes()).collect();
    let rows = floats.chunks(WIDTH as usize).flat_map(|row| {
        let sorted: Vec<u8> = (0..4).flat_map(|byte| row.iter().map(move |float| float[byte])).collect();
        let first = sorted[0];
        std::iter::once(first)
            .chain(sorted.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])))
            .collect::<Vec<_>>()
    });
    let page = Page::new(1, &[32], deflated(&rows.collect::<Vec<_>>()));
    let page = page.with(259, &[8]).with(317, &[3]).with(339, &[3]);
    assert_eq!(page.decode().data, spread(&greys()));
}

/// A drawing of two colours, `true` for black.
fn drawing() -> Vec<bool> {
    let ink = |x: u32, y: u32| (x / 5 + y / 3) % 2 == 1 || x == y || (y == 7 && x < 20) || y == 11;
    (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| ink(x, y))).collect()
}

fn runs(row: &[bool]) -> Vec<u16> {
    let mut runs = vec![0];
    let mut is_black = false;
    for pixel in row {
        if *pixel != is_black {
            runs.push(0);
            is_black = *pixel;
        }
        *runs.last_mut().unwrap() += 1;
    }
    runs
}

fn write_runs(row: &[bool], out: &mut VecWriter) {
    for (index, run) in runs(row).into_iter().enumerate() {
        out.write(if index % 2 == 0 { white::encode(run) } else { black::encode(run) }.unwrap()).unwrap();
    }
}

#[test]
fn f23_fax_pages_of_every_group() {
    let drawing = drawing();
    let wanted: Vec<u8> = drawing.iter().flat_map(|ink| [if *ink { 0 } else { 255 }; 3]).collect();
    let mut aligned = Vec::new();
    let mut marked = VecWriter::new();
    let mut group_4 = fax::encoder::Encoder::new(VecWriter::new());
    for row in drawing.chunks(WIDTH as usize) {
        let mut writer = VecWriter::new();
        write_runs(row, &mut writer);
        aligned.extend(writer.finish());
        marked.write(fax::maps::EOL).unwrap();
        write_runs(row, &mut marked);
        let pels = row.iter().map(|ink| if *ink { Color::Black } else { Color::White });
        group_4.encode_line(pels, WIDTH as u16).unwrap();
    }
    let group_4 = group_4.finish().unwrap().finish();
    for (compression, chunk) in [(2, aligned), (3, marked.finish()), (4, group_4)] {
        let page = Page::new(0, &[1], chunk.clone()).with(259, &[compression]);
        assert_eq!(page.decode().data, wanted, "compression {compression}");
        let reversed = chunk.iter().map(|byte| byte.reverse_bits()).collect();
        let page = page.with(266, &[2]).chunks(vec![reversed]);
        assert_eq!(page.decode().data, wanted, "compression {compression}, the low bit first");
        let cut = Page::new(0, &[1], chunk[..chunk.len() / 2].to_vec()).with(259, &[compression]);
        let error = decode_rgb(&cut.bytes(), &Limits::default()).unwrap_err();
        // What follows the chunk in the file is not read on.
        assert_eq!(error, PixelError::Truncated, "compression {compression}, cut");
    }
}

#[test]
fn f23_inks_and_luma_with_chroma() {
    // Cyan, magenta, yellow, black; 0 is no ink.
    let inks = [0, 255, 0, 0].repeat(37 * 29);
    assert_eq!(&Page::new(5, &[8; 4], inks).decode().data[..3], [255, 0, 255]);
    let inks = [0, 0, 0, 255].repeat(37 * 29);
    assert_eq!(&Page::new(5, &[8; 4], inks).decode().data[..3], [0, 0, 0]);

    // Red has a luma of 76 and a chroma of (85, 255) under the usual weights.
    let red = [76, 85, 255];
    let whole = Page::new(6, &[8; 3], red.repeat(37 * 29)).with(530, &[1, 1]).decode();
    assert!(most_apart(&whole.data[..3], &[254, 0, 0]) <= 1, "{:?}", &whole.data[..3]);
    for (across, down) in [(2_usize, 2_usize), (2, 1), (4, 1), (4, 2)] {
        let unit = [vec![76; across * down], vec![85, 255]].concat();
        let units = 37_usize.div_ceil(across) * 29_usize.div_ceil(down);
        let page = Page::new(6, &[8; 3], unit.repeat(units)).with(530, &[across as u32, down as u32]);
        let apart = most_apart(&page.decode().data, &whole.data);
        assert_eq!(apart, 0, "{across} by {down}");
    }
}

#[test]
fn f23_jpeg_in_tiff_with_and_without_shared_tables() {
    let original = colours();
    let stream = jpeg(&original, WIDTH, HEIGHT, 3, Subsamp::None, |_| {});
    let wanted = decode_rgb(&stream, &Limits::default()).unwrap().data;
    let page = Page::new(6, &[8; 3], stream.clone()).with(259, &[7]).with(530, &[1, 1]);
    assert_eq!(page.decode().data, wanted);
    // The tables apart: everything between the start and the frame header but application data.
    let frame = stream.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    let tables = stream.windows(2).position(|w| w == [0xFF, 0xDB]).unwrap();
    assert!(tables < frame);
    let shared = [&[0xFF, 0xD8], &stream[tables..frame], &[0xFF, 0xD9]].concat();
    let rest = [&[0xFF, 0xD8], &stream[frame..]].concat();
    let mut apart = Page::new(6, &[8; 3], rest).with(259, &[7]).with(530, &[1, 1]);
    apart.raw = Some((347, shared));
    assert_eq!(apart.decode().data, wanted);
    // TIFF says that these three components are RGB; the stream does not.
    let as_rgb = jpeg(&original, WIDTH, HEIGHT, 3, Subsamp::None, |codec| {
        codec.set_colorspace(turbojpeg::Colorspace::RGB).unwrap();
    });
    let page = Page::new(2, &[8; 3], as_rgb).with(259, &[7]);
    assert!(most_apart(&page.decode().data, &original) < 12);
    // A stream that is larger than its strip is refused before it is decoded.
    let large = jpeg(&formula(64, 64, 3), 64, 64, 3, Subsamp::None, |_| {});
    let page = Page::new(6, &[8; 3], large).with(259, &[7]);
    assert!(matches!(decode_rgb(&page.bytes(), &Limits::default()), Err(PixelError::Corrupt(_))));
}

#[test]
fn f23_what_a_tiff_promises_is_bounded() {
    let page = Page::new(2, &[8, 8, 8], colours());
    let limits = Limits::default();
    let outcome = |page: Page| decode_rgb(&page.bytes(), &limits).map(drop);
    let tiled = page.clone().without(278);
    for (name, page) in [
        ("tiles beyond all measure", tiled.clone().with(322, &[1 << 31]).with(323, &[1 << 31])),
        ("tiles wide as never", tiled.with(322, &[1 << 30]).with(323, &[1])),
        ("60,000 samples a pixel", page.clone().with(258, &[8]).with(277, &[60_000]).with(257, &[9_000])),
    ] {
        assert!(matches!(outcome(page), Err(PixelError::Bomb { .. })), "{name}");
    }
    let cut = page.clone().chunks(vec![vec![0; 100]]).with(257, &[20_000]);
    assert_eq!(outcome(cut), Err(PixelError::Truncated));
    let compressed = page.clone().with(259, &[5]).chunks(vec![lzw(&colours()[..900])]);
    assert_eq!(outcome(compressed), Err(PixelError::Truncated));
    for (tag, values) in [(259, [34_925]), (262, [32_803]), (258, [32])] {
        let strange = if tag == 258 { page.clone().with(277, &[1]).with(262, &[1]) } else { page.clone() };
        let strange = strange.with(tag, &values);
        assert!(matches!(outcome(strange), Err(PixelError::Unsupported(_))), "tag {tag}");
    }
    assert!(matches!(outcome(page.with(530, &[0, 0])), Err(PixelError::Corrupt(_))));
}

#[test]
fn f23_the_header_of_a_tiff_names_its_size_before_anything_is_decoded() {
    let header = probe(&Page::new(3, &[4], vec![0; 19 * 29]).bytes()).unwrap();
    assert_eq!((header.width, header.height, header.bit_depth, header.channels), (37, 29, 4, 1));
}

fn seeds() -> Vec<Vec<u8>> {
    let drawing = packed(&drawing().iter().map(|ink| u32::from(*ink)).collect::<Vec<_>>(), 1, WIDTH as usize);
    let tiles = cut(&colours(), 3, true, (16, 16), true);
    let stream = jpeg(&colours(), WIDTH, HEIGHT, 3, Subsamp::Sub2x2, |_| {});
    [
        Page::new(2, &[8, 8, 8], lzw(&colours())).with(259, &[5]).with(317, &[2]),
        Page::new(2, &[8, 8, 8], deflated(&colours())).with(259, &[8]).with(317, &[2]),
        Page::new(1, &[8], packbits(&greys())).with(259, &[32_773]),
        Page::new(0, &[1], drawing).with(259, &[4]),
        Page::new(0, &[1], vec![0x35; 400]).with(259, &[3]),
        Page::new(2, &[8, 8, 8], Vec::new())
            .without(278)
            .with(284, &[2])
            .with(322, &[16])
            .with(323, &[16])
            .chunks(tiles),
        Page::new(6, &[8; 3], stream).with(259, &[7]).with(530, &[2, 2]),
        Page::new(6, &[8; 3], vec![7; 3_000]).with(530, &[2, 2]),
        Page::new(3, &[4], vec![7; 3_000]).with(320, &[300; 48]),
    ]
    .iter()
    .map(Page::bytes)
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn f23_mutated_tiffs_neither_panic_nor_lie(
        seed in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), any::<u8>()), 1..8),
    ) {
        static SEEDS: std::sync::LazyLock<Vec<Vec<u8>>> = std::sync::LazyLock::new(seeds);
        let mut bytes = seed.get(&SEEDS).clone();
        // The directory is at the end: half of the edits go there.
        let directory = bytes.len() - 200;
        for (at, in_directory, value) in edits {
            let at = if in_directory { directory + at.index(200) } else { at.index(bytes.len()) };
            bytes[at] = value;
        }
        prop_assert_eq!(hostile::exercise(&bytes), Ok(()));
    }
}
