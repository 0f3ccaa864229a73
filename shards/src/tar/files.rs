//! The plain files of any tar on disk, samples or not, by place: headers are read, data is passed over. A tar inside
//! another is a range of the same file, so an archive of archives needs no unpacking ([`TarFiles::inside`]).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entries::{Broken, Entries, Entry, Input, REST_BYTES, first_data};
use super::error::{TarError, TarRule};
use super::header::{BLOCK, Block};
use super::{BLOCK_BYTES, EndMarker};

/// A file in a tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarFile {
    /// Full name.
    pub name: String,
    /// Where its data begins, in bytes from the start of the file on disk.
    pub offset: u64,
    /// Bytes of data.
    pub size: u64,
}

/// Iterator over the regular files of a tar on disk, in its order. An error ends it.
#[derive(Debug)]
pub struct TarFiles {
    file: Arc<File>,
    path: PathBuf,
    start: u64,
    entries: Entries<Window>,
    entry: Entry,
    done: bool,
}

impl TarFiles {
    /// Opens a tar, whose closing zero blocks are required.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, TarError> {
        let path = path.into();
        let open = || -> io::Result<_> {
            let file = File::open(&path)?;
            let size = file.metadata()?.len();
            Ok((file, size))
        };
        match open() {
            Ok((file, size)) => Ok(Self::within(Arc::new(file), path, 0, size)),
            Err(e) => Err(TarError { path, offset: 0, rule: TarRule::Read(e) }),
        }
    }

    /// The files of `tar`, one of this tar's own files. `name` stands for it in errors, behind this tar's path.
    pub fn inside(&self, tar: &TarFile) -> Self {
        Self::within(self.file.clone(), self.path.join(&tar.name), tar.offset, tar.size)
    }

    fn within(file: Arc<File>, path: PathBuf, start: u64, size: u64) -> Self {
        let window = Window { file: file.clone(), at: start, end: start.saturating_add(size) };
        let entries = Entries::new(window, EndMarker::Required);
        Self { file, path, start, entries, entry: Entry::default(), done: false }
    }

    /// The file on disk, to read the data from ([`FileExt::read_exact_at`]).
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// The file on disk, and behind it the names of the tars inside tars.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn next_file(&mut self) -> Result<Option<TarFile>, Broken> {
        loop {
            if !self.entries.next_entry(&mut self.entry)? {
                return Ok(None);
            }
            if self.entry.is_bad_name {
                let rule = TarRule::NameNotUtf8 { name: self.entry.name.clone() };
                return Err(Broken { offset: self.entry.start, rule });
            }
            self.entries.skip_data(&self.entry)?;
            if self.entry.link.is_none() {
                break;
            }
        }
        let Entry { name, data, size, .. } = &self.entry;
        Ok(Some(TarFile { name: name.clone(), offset: self.start + data, size: *size }))
    }
}

impl Iterator for TarFiles {
    type Item = Result<TarFile, TarError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.next_file().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        // Offsets in errors are of the file on disk.
        let named = |broken: Broken| TarError {
            path: self.path.clone(),
            offset: self.start + broken.offset,
            rule: broken.rule,
        };
        next.map(|file| file.map_err(named))
    }
}

/// A range of a file, passed over without being read.
#[derive(Debug)]
struct Window {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Window {
    /// Goes on by at most `bytes`; where it was, and how many there were.
    fn advance(&mut self, bytes: u64) -> (u64, u64) {
        let (at, found) = (self.at, bytes.min(self.end - self.at));
        self.at += found;
        (at, found)
    }
}

impl Input for Window {
    fn take(&mut self, bytes: u64, into: &mut Vec<u8>) -> io::Result<u64> {
        // At most the file's own size, so a header cannot ask for more memory than there are bytes.
        let (at, found) = self.advance(bytes);
        let start = into.len();
        into.resize(start + found as usize, 0);
        self.file.read_exact_at(&mut into[start..], at)?;
        Ok(found)
    }

    fn skip(&mut self, bytes: u64) -> io::Result<u64> {
        Ok(self.advance(bytes).1)
    }

    fn block(&mut self, into: &mut Block) -> io::Result<usize> {
        let (at, found) = self.advance(BLOCK_BYTES);
        let found = (found as usize).min(BLOCK);
        self.file.read_exact_at(&mut into[..found], at)?;
        Ok(found)
    }

    fn pass_zeros(&mut self) -> io::Result<Option<u64>> {
        let mut buffer = vec![0; REST_BYTES];
        let mut zeros = 0;
        loop {
            let (at, found) = self.advance(REST_BYTES as u64);
            if found == 0 {
                return Ok(None);
            }
            let found = &mut buffer[..found as usize];
            self.file.read_exact_at(found, at)?;
            match first_data(found) {
                Some(at) => return Ok(Some(zeros + at as u64)),
                None => zeros += found.len() as u64,
            }
        }
    }

    fn drain(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn read(files: &TarFiles, file: &TarFile) -> Vec<u8> {
        let mut bytes = vec![0; file.size as usize];
        files.file().read_exact_at(&mut bytes, file.offset).unwrap();
        bytes
    }

    #[test]
    fn a_tar_of_tars_is_read_in_place() {
        let long = format!("{}.JPEG", "x".repeat(200));
        let inner = tar_of(&[("a.JPEG", b"one"), (&long, &[7; 1000])]);
        let outer = tar_of(&[("n1.tar", &inner), ("n2.tar", &tar_of(&[]))]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("outer.tar");
        std::fs::write(&path, &outer).unwrap();
        let mut outer = TarFiles::open(&path).unwrap();
        let class = outer.next().unwrap().unwrap();
        assert_eq!(class.name, "n1.tar");
        let inside = outer.inside(&class);
        let images: Vec<_> = outer.inside(&class).map(Result::unwrap).collect();
        assert_eq!(images.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["a.JPEG", &long]);
        assert_eq!((read(&inside, &images[0]), read(&inside, &images[1])), (b"one".to_vec(), vec![7; 1000]));
        let empty = outer.next().unwrap().unwrap();
        assert_eq!(outer.inside(&empty).count(), 0);
        assert!(outer.next().is_none());
    }

    #[test]
    fn a_cut_tar_names_itself_and_the_inner_one() {
        let inner = tar_of(&[("a.JPEG", &[1; 3000])]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("outer.tar");
        let outer = tar_of(&[("n1.tar", &inner[..2000]), ("n2.tar", &inner)]);
        std::fs::write(&path, &outer[..outer.len() - 3000]).unwrap();
        let mut files = TarFiles::open(&path).unwrap();
        let class = files.next().unwrap().unwrap();
        let error = files.inside(&class).next().unwrap().unwrap_err().to_string();
        assert!(error.contains("outer.tar/n1.tar: at byte 512"), "{error}");
        let error = files.find_map(Result::err).unwrap().to_string();
        assert!(error.contains("outer.tar: at byte "), "{error}");
        assert!(files.next().is_none());
    }
}
