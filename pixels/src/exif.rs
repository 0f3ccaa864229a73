//! EXIF: the orientation, and all tags as the JSON string that img2dataset stores (tag name to printable value, the
//! names and forms of Python's `exifread`: `{"Image Make": "Canon", "EXIF ExposureTime": "1/125"}`).
//!
//! Differences: the pointers between directories (`ExifOffset`, `GPSInfo`, `InteroperabilityOffset`) are left out, and
//! tags are grouped by directory. Maker notes and user comments are left out there as here.
//!
//! The library that parses tags sees a bounded copy only ([`compact`]), and the JSON is bounded too: EXIF that is larger
//! than any camera's is dropped ([`ExifFault::TooLarge`]), the image stays.

mod compact;

use std::fmt::Write as _;

use exif::{Context, Exif, Field, In, Reader, Tag, Value};

/// Tags whose values are bounded by this when listed in full.
const LISTED_VALUES: usize = 50;
/// More values than this are not read at all.
const MAX_VALUES: usize = 1_000;

/// Longest JSON, in bytes.
const MAX_JSON_BYTES: usize = 64 << 10;

/// Why the tags of an image were dropped although it has some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExifFault {
    /// More entries, bytes of values or JSON than any camera writes.
    TooLarge,
    /// The EXIF library panicked on them; holds where.
    Panicked(String),
}

fn parse(compact: Vec<u8>) -> Option<Exif> {
    let mut reader = Reader::new();
    reader.continue_on_error(true);
    match reader.read_raw(compact) {
        Ok(exif) => Some(exif),
        Err(error) => error.distill_partial_result(|_| {}).ok(),
    }
}

/// The orientation, 1–8; 1 where there is none or it makes no sense.
pub(crate) fn orientation(raw: Option<&[u8]>) -> u8 {
    match raw.and_then(compact::orientation) {
        Some(value @ 1..=8) => value as u8,
        _ => 1,
    }
}

/// All tags as one JSON object; `{}` where there are none, `None` where the structure cannot be read.
pub(crate) fn to_json(raw: Option<&[u8]>) -> Result<Option<String>, ExifFault> {
    let Some(raw) = raw else { return Ok(Some("{}".to_owned())) };
    let Some(compact) = compact::compact(raw, MAX_VALUES).map_err(|compact::TooLarge| ExifFault::TooLarge)?
    else {
        return Ok(None);
    };
    pairmill_guard::caught(|| printed(compact)).unwrap_or_else(|panic| Err(ExifFault::Panicked(panic.place)))
}

fn printed(compact: Vec<u8>) -> Result<Option<String>, ExifFault> {
    let Some(exif) = parse(compact) else { return Ok(None) };
    let mut json = String::from("{");
    for field in exif.fields() {
        let ignored = matches!(field.tag, Tag::MakerNote | Tag::UserComment)
            || (field.tag.context() == Context::Tiff && field.tag.number() == 0x02BC);
        let Some(value) = printable(field).filter(|_| !ignored) else { continue };
        if json.len() > 1 {
            json.push_str(", ");
        }
        push_string(&mut json, &name(field));
        json.push_str(": ");
        push_string(&mut json, value.trim());
        // One more for the brace at the end.
        if json.len() >= MAX_JSON_BYTES {
            return Err(ExifFault::TooLarge);
        }
    }
    json.push('}');
    Ok(Some(json))
}

/// A JSON string of ASCII characters only, as Python's `json.dumps` writes it.
fn push_string(json: &mut String, text: &str) {
    json.push('"');
    for unit in text.encode_utf16() {
        match unit {
            0x22 => json.push_str("\\\""),
            0x5C => json.push_str("\\\\"),
            0x0A => json.push_str("\\n"),
            0x0D => json.push_str("\\r"),
            0x09 => json.push_str("\\t"),
            0x20..=0x7E => json.push(char::from(unit as u8)),
            unit => {
                let _ = write!(json, "\\u{unit:04x}");
            }
        }
    }
    json.push('"');
}

fn name(field: &Field) -> String {
    let group = match (field.tag.context(), field.ifd_num) {
        (Context::Exif, _) => "EXIF",
        (Context::Gps, _) => "GPS",
        (Context::Interop, _) => "Interoperability",
        (_, In::THUMBNAIL) => "Thumbnail",
        _ => "Image",
    };
    let number = field.tag.number();
    let known = match (field.tag.context(), number) {
        (Context::Exif, 0x8827) => Some("ISOSpeedRatings"),
        (Context::Exif, 0xA000) => Some("FlashPixVersion"),
        (Context::Exif, 0xA002) => Some("ExifImageWidth"),
        (Context::Exif, 0xA003) => Some("ExifImageLength"),
        (Context::Exif, 0xA302) => Some("CVAPattern"),
        (Context::Gps, 0x001D) => Some("GPSDate"),
        (Context::Tiff, 0x4746) => Some("Rating"),
        (Context::Tiff, 0x9C9B) => Some("XPTitle"),
        (Context::Tiff, 0x9C9C) => Some("XPComment"),
        (Context::Tiff, 0x9C9D) => Some("XPAuthor"),
        (Context::Tiff, 0x9C9E) => Some("XPKeywords"),
        (Context::Tiff, 0x9C9F) => Some("XPSubject"),
        (Context::Tiff, 0xC4A5) => Some("PrintIM"),
        (_, 0xEA1C) => Some("Padding"),
        (_, 0xEA1D) => Some("OffsetSchema"),
        _ => None,
    };
    match known {
        Some(known) => format!("{group} {known}"),
        None if field.tag.description().is_some() => format!("{group} {}", field.tag),
        None => format!("{group} Tag 0x{number:04X}"),
    }
}

/// exifread's printable form: text as it is, one number as it is, several as a Python list, enumerations in words.
fn printable(field: &Field) -> Option<String> {
    let numbers: Vec<String> = match &field.value {
        Value::Ascii(texts) => {
            return Some(String::from_utf8_lossy(texts.first().map_or(&[][..], |t| t)).into_owned());
        }
        Value::Byte(values) => list(values),
        Value::Short(values) => list(values),
        Value::Long(values) => list(values),
        Value::SByte(values) => list(values),
        Value::SShort(values) => list(values),
        Value::SLong(values) => list(values),
        Value::Float(values) => list(values),
        Value::Double(values) => list(values),
        Value::Rational(values) => {
            values.iter().take(MAX_VALUES).map(|r| ratio(r.num.into(), r.denom.into())).collect()
        }
        Value::SRational(values) => {
            values.iter().take(MAX_VALUES).map(|r| ratio(r.num.into(), r.denom.into())).collect()
        }
        Value::Undefined(bytes, _) => match field.tag {
            // Bytes that are text.
            Tag::ExifVersion | Tag::FlashpixVersion => {
                return Some(bytes.iter().filter(|b| **b >= 32).map(|b| char::from(*b)).collect());
            }
            _ => list(bytes),
        },
        Value::Unknown(..) => return None,
    };
    if let Some(words) = words(field, &numbers) {
        return Some(words);
    }
    Some(match numbers.as_slice() {
        [one] => one.clone(),
        many if many.len() >= MAX_VALUES => "[]".to_owned(),
        many if many.len() > LISTED_VALUES => format!("[{}, ... ]", many[..20].join(", ")),
        many => format!("[{}]", many.join(", ")),
    })
}

fn list<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().take(MAX_VALUES).map(T::to_string).collect()
}

/// A fraction in lowest terms; a whole number without the stroke.
fn ratio(numerator: i64, denominator: i64) -> String {
    if denominator == 0 {
        return format!("{numerator}/0");
    }
    let (mut a, mut b) = (numerator.abs(), denominator.abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    let divisor = a.max(1) * denominator.signum();
    match (numerator / divisor, denominator / divisor) {
        (whole, 1) => whole.to_string(),
        (numerator, denominator) => format!("{numerator}/{denominator}"),
    }
}

/// Enumerated values in words (EXIF 2.32, the wording of exifread), for the tags that cameras write.
fn words(field: &Field, numbers: &[String]) -> Option<String> {
    let word = |number: &str| -> Option<&'static str> {
        Some(match (field.tag, number) {
            (Tag::Orientation, "1") => "Horizontal (normal)",
            (Tag::Orientation, "2") => "Mirrored horizontal",
            (Tag::Orientation, "3") => "Rotated 180",
            (Tag::Orientation, "4") => "Mirrored vertical",
            (Tag::Orientation, "5") => "Mirrored horizontal then rotated 90 CCW",
            (Tag::Orientation, "6") => "Rotated 90 CW",
            (Tag::Orientation, "7") => "Mirrored horizontal then rotated 90 CW",
            (Tag::Orientation, "8") => "Rotated 90 CCW",
            (Tag::ResolutionUnit, "1") => "Not Absolute",
            (Tag::ResolutionUnit, "2") => "Pixels/Inch",
            (Tag::ResolutionUnit, "3") => "Pixels/Centimeter",
            (Tag::YCbCrPositioning, "1") => "Centered",
            (Tag::YCbCrPositioning, "2") => "Co-sited",
            (Tag::Compression, "1") => "Uncompressed",
            (Tag::Compression, "6") => "JPEG (old-style)",
            (Tag::Compression, "7") => "JPEG",
            (Tag::ColorSpace, "1") => "sRGB",
            (Tag::ColorSpace, "2") => "Adobe RGB",
            (Tag::ColorSpace, "65535") => "Uncalibrated",
            (Tag::ComponentsConfiguration, "0") => "",
            (Tag::ComponentsConfiguration, "1") => "Y",
            (Tag::ComponentsConfiguration, "2") => "Cb",
            (Tag::ComponentsConfiguration, "3") => "Cr",
            (Tag::ComponentsConfiguration, "4") => "Red",
            (Tag::ComponentsConfiguration, "5") => "Green",
            (Tag::ComponentsConfiguration, "6") => "Blue",
            (Tag::ExposureProgram, "0") | (Tag::MeteringMode, "0") => "Unidentified",
            (Tag::ExposureProgram, "1") | (Tag::WhiteBalance, "1") => "Manual",
            (Tag::ExposureProgram, "2") => "Program Normal",
            (Tag::ExposureProgram, "3") => "Aperture Priority",
            (Tag::ExposureProgram, "4") => "Shutter Priority",
            (Tag::ExposureProgram, "5") => "Program Creative",
            (Tag::ExposureProgram, "6") => "Program Action",
            (Tag::ExposureProgram, "7") => "Portrait Mode",
            (Tag::ExposureProgram, "8") => "Landscape Mode",
            (Tag::MeteringMode, "1") => "Average",
            (Tag::MeteringMode, "2") => "CenterWeightedAverage",
            (Tag::MeteringMode, "3") => "Spot",
            (Tag::MeteringMode, "4") => "MultiSpot",
            (Tag::MeteringMode, "5") => "Pattern",
            (Tag::MeteringMode, "6") => "Partial",
            (Tag::MeteringMode, "255") => "other",
            (Tag::LightSource, "0") => "Unknown",
            (Tag::LightSource, "1") => "Daylight",
            (Tag::LightSource, "2") => "Fluorescent",
            (Tag::LightSource, "3") => "Tungsten (incandescent light)",
            (Tag::LightSource, "4") => "Flash",
            (Tag::Flash, "0") => "Flash did not fire",
            (Tag::Flash, "1") => "Flash fired",
            (Tag::Flash, "9") => "Flash fired, compulsory flash mode",
            (Tag::Flash, "16") => "Flash did not fire, compulsory flash mode",
            (Tag::Flash, "24") => "Flash did not fire, auto mode",
            (Tag::Flash, "25") => "Flash fired, auto mode",
            (Tag::Flash, "32") => "No flash function",
            (Tag::SensingMethod, "2") => "One-chip color area",
            (Tag::FileSource, "3") => "Digital Camera",
            (Tag::SceneType, "1") => "Directly Photographed",
            (Tag::CustomRendered, "0") | (Tag::Contrast, "0") => "Normal",
            (Tag::Saturation, "0") | (Tag::Sharpness, "0") => "Normal",
            (Tag::CustomRendered, "1") => "Custom",
            (Tag::Contrast | Tag::Saturation | Tag::Sharpness, "1") => "Soft",
            (Tag::Contrast | Tag::Saturation | Tag::Sharpness, "2") => "Hard",
            (Tag::ExposureMode, "0") => "Auto Exposure",
            (Tag::ExposureMode, "1") => "Manual Exposure",
            (Tag::ExposureMode, "2") => "Auto Bracket",
            (Tag::WhiteBalance, "0") => "Auto",
            (Tag::SceneCaptureType, "0") => "Standard",
            (Tag::SceneCaptureType, "1") => "Landscape",
            (Tag::SceneCaptureType, "2") => "Portrait",
            (Tag::SceneCaptureType, "3") => "Night",
            (Tag::GainControl, "0") => "None",
            (Tag::GainControl, "1") => "Low gain up",
            (Tag::GainControl, "2") => "High gain up",
            _ => return None,
        })
    };
    if numbers.is_empty() || numbers.len() > 8 {
        return None;
    }
    numbers.iter().map(|number| word(number)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A little-endian TIFF structure of one directory of inline SHORT tags and one ASCII tag.
    fn sample() -> Vec<u8> {
        let mut tiff = b"II*\0\x08\0\0\0\x03\0".to_vec();
        tiff.extend(b"\x0F\x01\x02\0\x06\0\0\0\x32\0\0\0"); // Make, ASCII, 6 bytes at 50
        tiff.extend(b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"); // Orientation 6
        tiff.extend(b"\x1A\x01\x05\0\x01\0\0\0\x38\0\0\0"); // XResolution, rational at 56
        tiff.extend(b"\0\0\0\0");
        tiff.extend(b"Can\xC3\xA9\0");
        tiff.extend(b"\x48\0\0\0\x02\0\0\0");
        tiff
    }

    /// A directory of `tags` entries that all claim the same text of `length` bytes, and the text.
    fn overlapping(tags: u16, length: u32) -> Vec<u8> {
        let mut tiff = b"II*\0\x08\0\0\0".to_vec();
        tiff.extend(tags.to_le_bytes());
        let text_at = 8 + 2 + u32::from(tags) * 12 + 4;
        for n in 0..tags {
            tiff.extend((0x8000 + n).to_le_bytes());
            tiff.extend(2_u16.to_le_bytes());
            tiff.extend(length.to_le_bytes());
            tiff.extend(text_at.to_le_bytes());
        }
        tiff.extend([0; 4]);
        tiff.extend(std::iter::repeat_n(b'A', length as usize));
        tiff
    }

    #[test]
    fn tags_take_img2datasets_form() {
        let expected =
            r#"{"Image Make": "Can\u00e9", "Image Orientation": "Rotated 90 CW", "Image XResolution": "36"}"#;
        assert_eq!(to_json(Some(&sample())), Ok(Some(expected.to_owned())));
        assert_eq!(orientation(Some(&sample())), 6);
    }

    #[test]
    fn absent_and_broken_are_told_apart() {
        assert_eq!(to_json(None), Ok(Some("{}".to_owned())));
        assert_eq!(to_json(Some(b"MM garbage")), Ok(None));
        assert_eq!(orientation(Some(b"MM garbage")), 1);
        assert_eq!(ratio(-10, 4), "-5/2");
        assert_eq!(ratio(7, 0), "7/0");
    }

    #[test]
    fn f02_what_claims_more_than_a_camera_writes_is_dropped() {
        // As many values as there are bytes are fine, the same values over and over are not.
        assert!(to_json(Some(&overlapping(1, 60_000))).unwrap().unwrap().len() > 60_000);
        for (tags, length) in [(1, 65_537), (2, 33_000), (3_000, 1_000_000), (4_000, 1_000), (5_000, 1)] {
            assert_eq!(
                to_json(Some(&overlapping(tags, length))),
                Err(ExifFault::TooLarge),
                "{tags} {length}"
            );
        }
        // The orientation is found all the same.
        let mut turned = overlapping(3_000, 100_000);
        turned[10..22].copy_from_slice(b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0");
        assert_eq!(orientation(Some(&turned)), 6);
        assert_eq!(to_json(Some(&turned)), Err(ExifFault::TooLarge));
        // Each byte of text becomes six of JSON.
        let mut bytes = overlapping(1, 20_000);
        let at = bytes.len() - 20_000;
        bytes[at..].fill(0xC1);
        assert_eq!(to_json(Some(&bytes)), Err(ExifFault::TooLarge));
    }

    #[test]
    fn f02_directories_inside_each_other_are_bounded() {
        // Every entry points to a directory of its own that overlaps with the others: entries squared.
        let mut tiff = b"II*\0\x08\0\0\0\xFF\x0F".to_vec();
        for n in 0..4_095_u32 {
            tiff.extend(b"\x69\x87\x04\0\x01\0\0\0");
            tiff.extend((8 + n * 2).to_le_bytes());
        }
        tiff.extend([0; 4]);
        assert_eq!(to_json(Some(&tiff)), Err(ExifFault::TooLarge));
        // One that points to itself is read once.
        let looping = b"II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0";
        assert_eq!(to_json(Some(looping)), Ok(Some("{}".to_owned())));
    }

    #[test]
    fn f02_long_lists_and_notes_cost_no_more_than_what_is_printed() {
        // A maker note of 40 kB twice, and a list of 100,000 numbers, of which none is printed.
        let mut tiff = b"MM\0*\0\0\0\x08\0\x02".to_vec();
        tiff.extend(b"\x87\x69\0\x04\0\0\0\x01\0\0\0\x26");
        tiff.extend(b"\x01\x11\0\x03\0\x01\x86\xA0\0\0\0\x44");
        tiff.extend([0; 4]);
        tiff.extend(b"\0\x02\x92\x7C\0\x07\0\0\x9C\x40\0\0\0\x44");
        tiff.extend(b"\x92\x7C\0\x07\0\0\x9C\x40\0\0\0\x44");
        tiff.extend([0; 4]);
        tiff.resize(0x44 + 200_000, 7);
        assert_eq!(to_json(Some(&tiff)), Ok(Some(r#"{"Image StripOffsets": "[]"}"#.to_owned())));
    }
}
