//! Extension headers: what they change about the member that follows. Only its name, size and link target matter here;
//! times, owners and attributes are ignored.

use super::MAX_NAME_BYTES;
use super::error::TarRule;

/// Changes pending for the next member.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    pub name: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub sparse: bool,
    /// An extension header has come that no member has followed yet.
    pub pending: bool,
}

impl Overrides {
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn set_name(&mut self, name: &[u8]) -> Result<(), TarRule> {
        if self.name.is_some() {
            return Err(TarRule::TwoNames);
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(TarRule::NameTooLong { len: name.len() });
        }
        self.name = Some(name.to_vec());
        Ok(())
    }

    /// GNU `L`: the name with a zero byte behind it.
    pub fn gnu_name(&mut self, data: &[u8]) -> Result<(), TarRule> {
        let end = data.iter().position(|b| *b == 0).unwrap_or(data.len());
        self.set_name(&data[..end])
    }

    fn set_link(&mut self, target: &[u8]) -> Result<(), TarRule> {
        if target.len() > MAX_NAME_BYTES {
            return Err(TarRule::NameTooLong { len: target.len() });
        }
        self.link = Some(target.to_vec());
        Ok(())
    }

    /// GNU `K`: the link target with a zero byte behind it.
    pub fn gnu_link(&mut self, data: &[u8]) -> Result<(), TarRule> {
        let end = data.iter().position(|b| *b == 0).unwrap_or(data.len());
        self.set_link(&data[..end])
    }

    /// PAX records of the next member (POSIX.1-2001 `pax`, Extended Header).
    pub fn pax(&mut self, data: &[u8]) -> Result<(), TarRule> {
        let mut name = None;
        for record in Records(data) {
            let (key, value) = record?;
            match key {
                // Within one header the last record counts; an empty value takes it back.
                b"path" => name = (!value.is_empty()).then_some(value),
                b"linkpath" if value.is_empty() => self.link = None,
                b"linkpath" => self.set_link(value)?,
                b"size" if value.is_empty() => self.size = None,
                b"size" => self.size = Some(decimal(value).ok_or(TarRule::Pax("size is not a number"))?),
                _ if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                _ => {}
            }
        }
        name.map_or(Ok(()), |name| self.set_name(name))
    }
}

/// Global PAX records may hold anything but a name, link target or size, which readers treat differently.
pub(super) fn check_global(data: &[u8]) -> Result<(), TarRule> {
    for record in Records(data) {
        let (key, _) = record?;
        if matches!(key, b"path" | b"linkpath" | b"size") || key.starts_with(b"GNU.sparse.") {
            return Err(TarRule::Pax("a global header sets the name or size of every member"));
        }
    }
    Ok(())
}

/// `length key=value\n`, length in decimal and counting itself.
struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), TarRule>;

    fn next(&mut self) -> Option<Self::Item> {
        // Some writers pad the records with zero bytes.
        if self.0.iter().all(|b| *b == 0) {
            return None;
        }
        let record = self.parse();
        if record.is_none() {
            self.0 = &[];
        }
        Some(record.ok_or(TarRule::Pax("a record is not `length key=value`")))
    }
}

impl<'a> Records<'a> {
    fn parse(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let blank = self.0.iter().take(20).position(|b| *b == b' ')?;
        let len = usize::try_from(decimal(&self.0[..blank])?).ok()?;
        let (record, rest) = self.0.split_at_checked(len)?;
        let body = record.get(blank + 1..)?.strip_suffix(b"\n")?;
        let equals = body.iter().position(|b| *b == b'=')?;
        self.0 = rest;
        Some((&body[..equals], &body[equals + 1..]))
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let value = digits.iter().try_fold(0u64, |n, b| match b {
        b'0'..=b'9' => n.checked_mul(10)?.checked_add(u64::from(b - b'0')),
        _ => None,
    })?;
    (value <= i64::MAX as u64).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(data: &[u8]) -> Result<Overrides, String> {
        let mut overrides = Overrides::default();
        overrides.pax(data).map(|()| overrides).map_err(|e| e.name().to_owned())
    }

    #[test]
    fn records_set_name_and_size() {
        let got = parse(b"30 mtime=1700000000.123456789\n16 path=a/b.jpg\n10 size=7\n\0\0").unwrap();
        assert_eq!((got.name.as_deref(), got.size), (Some(&b"a/b.jpg"[..]), Some(7)));
        assert_eq!(parse(b"9 path=a\n8 path=\n").unwrap().name, None);
        assert_eq!(parse(b"").unwrap().name, None);
    }

    #[test]
    fn broken_records_are_refused() {
        for bad in [
            &b"16 path=a/b.jpg"[..],
            b"99 path=a/b.jpg\n",
            b"0 path=a\n",
            b"3 \n",
            b"path=a\n",
            b"10 size=-\n\n",
            b"11 size=-1\n",
            b"18446744073709551616 a=b\n",
            b"8 nokey\n",
        ] {
            assert_eq!(parse(bad).unwrap_err(), "pax", "{}", String::from_utf8_lossy(bad));
        }
    }
}
