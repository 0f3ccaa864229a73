//! All segments of a JPEG in the order of the file, and what can be told from them without decoding: how much work the
//! scans promise, whether the file ends, and whether anything is missing. Also a copy of the file without the oddities
//! of headers that libjpeg only warns of: it reports no more than its first warning, and a harmless one would hide that
//! the data is cut.

use crate::config::Limits;
use crate::error::PixelError;

/// Most components that libjpeg takes.
const MAX_COMPONENTS: usize = 10;

/// A part of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Segment<'a> {
    /// A marker segment other than a scan: its code, and what follows its length.
    Header(u8, &'a [u8]),
    /// A scan: its header, and the entropy-coded data with restart markers.
    Scan(&'a [u8], &'a [u8]),
    /// The end marker.
    End,
}

/// Goes from segment to segment, and ends after the end marker or where the file does.
#[derive(Debug, Clone)]
pub(super) struct Segments<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Segments<'a> {
    /// The segments of a file that begins with a start marker.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 2 }
    }

    fn take(&mut self) -> Option<Segment<'a>> {
        loop {
            // Any bytes but 0xFF between segments are skipped, as libjpeg does; 0xFF may repeat as fill.
            self.at += memchr::memchr(0xFF, self.bytes.get(self.at..)?)?;
            self.at += self.bytes[self.at..].iter().take_while(|byte| **byte == 0xFF).count();
            let code = *self.bytes.get(self.at)?;
            self.at += 1;
            match code {
                0x00 | 0x01 | 0xD0..=0xD8 => continue,
                0xD9 => {
                    self.at = self.bytes.len();
                    return Some(Segment::End);
                }
                _ => {}
            }
            let length = self.bytes.get(self.at..self.at + 2)?;
            // libjpeg takes a length of 0 or 1 for 2.
            let length = usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
            let body = self.bytes.get(self.at + 2..self.at + length)?;
            self.at += length;
            if code != 0xDA {
                return Some(Segment::Header(code, body));
            }
            let data = entropy_coded(&self.bytes[self.at..]);
            self.at += data.len();
            return Some(Segment::Scan(body, data));
        }
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        let segment = self.take();
        if segment.is_none() {
            self.at = self.bytes.len();
        }
        segment
    }
}

/// The bytes up to the next marker that is not a restart.
fn entropy_coded(bytes: &[u8]) -> &[u8] {
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr(0xFF, rest)) {
        at += found;
        let fill = bytes[at..].iter().take_while(|byte| **byte == 0xFF).count();
        match bytes.get(at + fill) {
            Some(0x00 | 0xD0..=0xD7) => at += fill + 1,
            Some(_) => return &bytes[..at],
            None => return bytes,
        }
    }
    bytes
}

/// One component of the frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameComponent {
    pub id: u8,
    /// Sampling factors, across and down, 1–4.
    pub across: usize,
    pub down: usize,
}

/// The frame header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// The marker's code: the coding process.
    pub code: u8,
    pub width: usize,
    pub height: usize,
    pub components: Vec<FrameComponent>,
}

impl Frame {
    /// `None` for what is not a frame header or not a legal one.
    pub fn read(code: u8, body: &[u8]) -> Option<Self> {
        if !is_frame(code) {
            return None;
        }
        let [_, h1, h0, w1, w0, count, ref components @ ..] = *body else { return None };
        let components: Vec<FrameComponent> = components
            .as_chunks::<3>()
            .0
            .iter()
            .take(usize::from(count))
            .map(|[id, sampling, _]| FrameComponent {
                id: *id,
                across: usize::from(sampling >> 4),
                down: usize::from(sampling & 15),
            })
            .collect();
        let is_legal = components.len() == usize::from(count)
            && (1..=MAX_COMPONENTS).contains(&components.len())
            && components.iter().all(|c| (1..=4).contains(&c.across) && (1..=4).contains(&c.down));
        let size = |high, low| usize::from(u16::from_be_bytes([high, low]));
        is_legal.then(|| Self { code, width: size(w1, w0), height: size(h1, h0), components })
    }

    /// The first of a file that begins with a start marker.
    pub fn first(bytes: &[u8]) -> Option<Self> {
        Segments::new(bytes).find_map(|segment| match segment {
            Segment::Header(code, body) => Self::read(code, body),
            _ => None,
        })
    }

    pub fn is_progressive(&self) -> bool {
        matches!(self.code, 0xC2 | 0xC6 | 0xCA | 0xCE)
    }

    /// Places of a scan's components in the frame; of equal identifiers each stands for the next, as in libjpeg.
    pub fn places(&self, scan: &ScanHeader<'_>) -> Vec<usize> {
        let mut places = Vec::with_capacity(scan.components.len());
        for [id, _] in scan.components {
            let is_it = |place: &usize| self.components[*place].id == *id && !places.contains(place);
            let found = (0..self.components.len()).find(is_it);
            places.extend(found);
        }
        places
    }

    /// Greatest sampling factors of any component.
    pub fn most(&self) -> (usize, usize) {
        let most = |of: fn(&FrameComponent) -> usize| self.components.iter().map(of).max().unwrap_or(1);
        (most(|c| c.across), most(|c| c.down))
    }
}

fn is_frame(code: u8) -> bool {
    matches!(code, 0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF)
}

/// A scan header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ScanHeader<'a> {
    /// Component identifier and tables (DC in the upper half), for each component.
    pub components: &'a [[u8; 2]],
    /// First and last coefficient in zigzag order.
    pub first: u8,
    pub last: u8,
    /// Bit position of the scan before (0 for none) and of this one.
    pub high: u8,
    pub low: u8,
}

impl<'a> ScanHeader<'a> {
    pub fn read(body: &'a [u8]) -> Option<Self> {
        let (count, rest) = body.split_first()?;
        let (components, rest) = rest.split_at_checked(usize::from(*count) * 2)?;
        let [first, last, bits, ..] = *rest else { return None };
        let components = components.as_chunks::<2>().0;
        Some(Self { components, first, last, high: bits >> 4, low: bits & 15 })
    }
}

/// What the scans of a file are good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Whether the scans make a whole picture: each component has one, and where the end marker is missing, the last
    /// bits of all coefficients have come.
    pub is_whole: bool,
}

impl Survey {
    /// Looks at all scan headers, unless the first scan holds everything.
    ///
    /// # Errors
    /// [`PixelError::Bomb`] where there are more scans than the limits allow, or together they have more samples.
    pub fn of(bytes: &[u8], limits: &Limits) -> Result<Self, PixelError> {
        let mut frame: Option<Frame> = None;
        let (mut scans, mut samples, mut is_ended) = (0_u64, 0_u64, false);
        // By component and coefficient: the lowest bit that has come, plus one; 0 for nothing yet.
        let mut come = [[0_u8; 64]; MAX_COMPONENTS];
        for segment in Segments::new(bytes) {
            match segment {
                Segment::Header(code, body) if frame.is_none() && is_frame(code) => {
                    frame = Frame::read(code, body);
                }
                Segment::Header(..) => {}
                Segment::End => is_ended = true,
                Segment::Scan(header, _) => {
                    let (Some(frame), Some(header)) = (&frame, ScanHeader::read(header)) else { continue };
                    if !frame.is_progressive()
                        && header.components.len() == frame.components.len()
                        && scans == 0
                    {
                        return Ok(Self { is_whole: true });
                    }
                    scans += 1;
                    check("scans", scans, u64::from(limits.max_scans))?;
                    for place in frame.places(&header) {
                        samples += samples_of(frame, place);
                        let bands = match frame.is_progressive() {
                            true => usize::from(header.first)..=usize::from(header.last.min(63)),
                            false => 0..=63,
                        };
                        let low = if frame.is_progressive() { header.low } else { 0 };
                        come[place].get_mut(bands).into_iter().flatten().for_each(|bit| *bit = low + 1);
                    }
                    check("samples in all scans", samples, limits.max_scan_samples)?;
                }
            }
        }
        let count = frame.map_or(0, |frame| frame.components.len());
        let is_whole = come[..count].iter().all(|component| match is_ended {
            true => component[0] > 0,
            false => component.iter().all(|bit| *bit == 1),
        });
        Ok(Self { is_whole })
    }
}

fn check(what: &'static str, value: u64, max: u64) -> Result<(), PixelError> {
    if value > max { Err(PixelError::Bomb { what, value, max }) } else { Ok(()) }
}

fn samples_of(frame: &Frame, place: usize) -> u64 {
    let (across, down) = frame.most();
    let component = frame.components[place];
    let width = (frame.width * component.across).div_ceil(across).next_multiple_of(8) as u64;
    width * (frame.height * component.down).div_ceil(down).next_multiple_of(8) as u64
}

/// The file without what is not needed for its pixels, and with what libjpeg warns of in headers brought to what it
/// assumes then: bytes between segments, revisions of JFIF, colour transforms and scan parameters that do not exist,
/// pieces of colour profiles.
pub(super) fn cleaned(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    out.extend([0xFF, 0xD8]);
    // It may come behind the Adobe segment, which means something else to four components.
    let inks = Frame::first(bytes).is_some_and(|frame| frame.components.len() == 4);
    let mut frame: Option<Frame> = None;
    for segment in Segments::new(bytes) {
        match segment {
            Segment::Header(0xE0, body) if body.starts_with(b"JFIF\0") && body.len() >= 14 => {
                put(&mut out, 0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
            }
            Segment::Header(0xEE, body) if body.starts_with(b"Adobe") && body.len() >= 12 => {
                let mut adobe = [0; 12];
                adobe.copy_from_slice(&body[..12]);
                adobe[11] = match (adobe[11], inks) {
                    (0, _) => 0,
                    (_, true) => 2,
                    (_, false) => 1,
                };
                put(&mut out, 0xEE, &adobe);
            }
            Segment::Header(0xE0..=0xEF | 0xFE, _) => {}
            Segment::Header(code, body) => {
                frame = frame.or_else(|| Frame::read(code, body));
                put(&mut out, code, body);
            }
            Segment::Scan(header, data) => {
                let mut header = header.to_vec();
                let is_sequential = frame.as_ref().is_some_and(|f| matches!(f.code, 0xC0 | 0xC1 | 0xC9));
                let spectral = header.first().map_or(0, |count| 1 + usize::from(*count) * 2);
                if let Some(spectral) = header.get_mut(spectral..spectral + 3).filter(|_| is_sequential) {
                    spectral.copy_from_slice(&[0, 63, 0]);
                }
                put(&mut out, 0xDA, &header);
                out.extend(data);
            }
            Segment::End => out.extend([0xFF, 0xD9]),
        }
    }
    out
}

fn put(out: &mut Vec<u8>, code: u8, body: &[u8]) {
    out.extend([0xFF, code]);
    out.extend((body.len() as u16 + 2).to_be_bytes());
    out.extend(body);
}
