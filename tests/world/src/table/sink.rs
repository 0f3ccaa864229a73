//! Where a table goes: a file under a temporary name, compressed as its name says, renamed once it is whole.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::error::{Error, Result};

enum Stream {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(zstd::Encoder<'static, BufWriter<File>>),
}

/// A table file that is being written.
pub(crate) struct Sink {
    stream: Stream,
    part: PathBuf,
    path: PathBuf,
}

impl Sink {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = BufWriter::with_capacity(1 << 16, File::create(&part).map_err(Error::io(&part))?);
        let stream = match path.extension().and_then(|e| e.to_str()) {
            Some("gz") => Stream::Gzip(GzEncoder::new(file, Compression::fast())),
            Some("zst") => Stream::Zstd(zstd::Encoder::new(file, 3).map_err(Error::io(&part))?),
            _ => Stream::Plain(file),
        };
        Ok(Self { stream, part, path: path.to_owned() })
    }

    pub(crate) fn finish(self) -> Result<()> {
        let file = match self.stream {
            Stream::Plain(file) => Ok(file),
            Stream::Gzip(encoder) => encoder.finish(),
            Stream::Zstd(encoder) => encoder.finish(),
        };
        file.and_then(|mut file| file.flush()).map_err(Error::io(&self.part))?;
        fs::rename(&self.part, &self.path).map_err(Error::io(&self.path))
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(w) => w.write(bytes),
            Stream::Gzip(w) => w.write(bytes),
            Stream::Zstd(w) => w.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(w) => w.flush(),
            Stream::Gzip(w) => w.flush(),
            Stream::Zstd(w) => w.flush(),
        }
    }
}
