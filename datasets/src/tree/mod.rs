//! A tree of files, whether it lies in a folder, a zip, a tar, a tar.gz or a tar.gz within a zip: one way to list it
//! and one way to read it, front to back, a file at a time. What it is is told by its first bytes, not by its name.
//!
//! Names use `/`, lose a leading `./`, and what systems leave behind is passed over: hidden files and folders,
//! `__MACOSX`, `Thumbs.db`, `desktop.ini`. Links stand for what they lead to, in a tar as in a folder.

mod folder;
mod tar;
mod zip;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::error::{DatasetError, shown, shown_path};

/// Largest file that is read into memory: the pickle of CIFAR-100 has 155 MB.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 30;
/// Most files of a tree; the largest set here has 173,000.
const MAX_FILES: usize = 20_000_000;
/// Most bytes of names and lists of a tree: twenty million names of real length. What is compressed may hold a thousand
/// times its own size.
const MAX_LISTING_BYTES: u64 = 2 << 30;

/// A folder or an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    path: PathBuf,
    form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Folder,
    Zip,
    Tar,
    TarGz,
    /// A tar.gz that is this member of a zip.
    TarGzInZip(String),
}

/// What to do about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Skip,
    Read,
    /// Neither this nor what follows.
    Stop,
}

/// Who looks at the files of a tree.
pub(super) trait Visitor {
    type Error: From<DatasetError>;

    fn choose(&mut self, name: &str, size: u64) -> Choice;

    /// Called where [`Visitor::choose`] said [`Choice::Read`].
    fn take(&mut self, file: &mut Member<'_>) -> Result<(), Self::Error>;

    /// Called for what cannot be had at all: a link that leads nowhere, a name that is no text. `what` is the same for all
    /// of a kind and follows their number in a sentence.
    fn leave_out(&mut self, _what: &'static str, _name: &str) {}
}

/// How many were left out, and the first of them.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    count: usize,
    first: String,
}

impl LeftOut {
    pub fn add(&mut self, name: &str) {
        if self.count == 0 {
            name.clone_into(&mut self.first);
        }
        self.count += 1;
    }

    /// A line, if there are any.
    pub fn note(&self, what: &str) -> Option<String> {
        (self.count > 0).then(|| format!("{} {what}, such as {}", self.count, shown(&self.first)))
    }
}

/// A file that can be read once.
pub(super) struct Member<'a> {
    pub name: &'a str,
    pub size: u64,
    tree: &'a Tree,
    input: &'a mut dyn Read,
}

impl Member<'_> {
    /// How errors name it.
    pub fn file(&self) -> String {
        self.tree.file(self.name)
    }

    /// The whole of it, into `bytes`, which is emptied first.
    pub fn read_into(&mut self, bytes: &mut Vec<u8>) -> Result<(), DatasetError> {
        bytes.clear();
        if self.size > MAX_FILE_BYTES {
            let rule = format!("{} bytes are more than the {MAX_FILE_BYTES} that are read", self.size);
            return Err(DatasetError::wrong(self.tree.file(self.name), rule));
        }
        // Grows with what is there, not with what a header promises, and to no more than that. The byte beyond it is the
        // end, where a zip's checksum is looked at.
        let read = (&mut *self.input).take(self.size + 1).read_to_end(bytes);
        read.map_err(|error| self.tree.broken(self.name, &error))?;
        if bytes.len() as u64 != self.size {
            let rule = match bytes.len() as u64 > self.size {
                true => format!("there is more of it than the {} bytes it is said to have", self.size),
                false => format!("cut off: {} of {} bytes are there", bytes.len(), self.size),
            };
            return Err(DatasetError::wrong(self.tree.file(self.name), rule));
        }
        Ok(())
    }

    pub fn bytes(&mut self) -> Result<Vec<u8>, DatasetError> {
        let mut bytes = Vec::new();
        self.read_into(&mut bytes)?;
        Ok(bytes)
    }

    /// The next `buffer.len()` bytes.
    pub fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), DatasetError> {
        self.input.read_exact(buffer).map_err(|error| self.tree.broken(self.name, &error))
    }

    pub fn skip(&mut self, bytes: u64) -> Result<(), DatasetError> {
        let skipped = io::copy(&mut (&mut *self.input).take(bytes), &mut io::sink())
            .map_err(|error| self.tree.broken(self.name, &error))?;
        if skipped != bytes {
            return Err(self.tree.broken(self.name, &io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(())
    }
}

impl Tree {
    /// A folder, or an archive of whichever form its first bytes say.
    pub fn open(path: &Path) -> Result<Self, DatasetError> {
        let path = path.to_owned();
        if path.is_dir() {
            return Ok(Self { path, form: Form::Folder });
        }
        let mut start = [0; 512];
        let mut file = File::open(&path).map_err(DatasetError::read(&path))?;
        let mut filled = 0;
        while filled < start.len() {
            match file.read(&mut start[filled..]).map_err(DatasetError::read(&path))? {
                0 => break,
                bytes => filled += bytes,
            }
        }
        let start = &start[..filled];
        let named = |end: &str| path.to_string_lossy().to_lowercase().ends_with(end);
        let form = if start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06") {
            Form::Zip
        } else if start.starts_with(&[0x1f, 0x8b]) {
            Form::TarGz
        } else if start.get(257..262) == Some(b"ustar") || (named(".tar") && filled == 512) {
            Form::Tar
        } else {
            let what = match start.iter().find(|byte| !byte.is_ascii_whitespace()) {
                None => "it is empty",
                Some(b'<') => "it is an HTML page, as servers send in place of a file",
                Some(_) => "its first bytes are those of none",
            };
            return Err(DatasetError::Archive {
                path,
                rule: format!("neither folder, zip, tar nor tar.gz: {what}; fetch it again"),
            });
        };
        Ok(Self { path, form })
    }

    /// The tar.gz that is one of this zip's files.
    pub fn tar_in_zip(&self, member: &str) -> Self {
        Self { path: self.path.clone(), form: Form::TarGzInZip(member.to_owned()) }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn is_folder(&self) -> bool {
        self.form == Form::Folder
    }

    /// A file of it, as errors name it.
    pub fn file(&self, name: &str) -> String {
        let path = match &self.form {
            Form::TarGzInZip(member) => self.path.join(shown(member)).join(shown(name)),
            _ => self.path.join(shown(name)),
        };
        shown_path(&path)
    }

    /// Goes through its files in their order: of the folder's names, of the archive's bytes.
    pub fn visit<V: Visitor>(&self, visitor: &mut V) -> Result<(), V::Error> {
        match &self.form {
            Form::Folder => folder::visit(self, visitor),
            Form::Zip => zip::visit(self, visitor),
            Form::Tar | Form::TarGz | Form::TarGzInZip(_) => {
                let mut members = tar::Members::default();
                let is_stopped = self.with_tar(|input| tar::visit(self, input, &mut members, visitor))?;
                match is_stopped {
                    true => Ok(()),
                    false => tar::visit_links(self, members, visitor),
                }
            }
        }
    }

    /// Reads the tar from its first byte.
    fn with_tar<T, E: From<DatasetError>>(
        &self,
        take: impl FnOnce(&mut dyn io::BufRead) -> Result<T, E>,
    ) -> Result<T, E> {
        const BUFFER: usize = 1 << 18;
        if let Form::TarGzInZip(member) = &self.form {
            return zip::open_member(self, member, |input| {
                take(&mut io::BufReader::with_capacity(BUFFER, input))
            });
        }
        let file = File::open(&self.path).map_err(DatasetError::read(&self.path))?;
        take(&mut io::BufReader::with_capacity(BUFFER, file))
    }

    /// Reads these files of it: of a folder in the given order and nothing else, of an archive in its own.
    pub fn read_files<E: From<DatasetError>>(
        &self,
        names: &[&str],
        take: &mut dyn FnMut(usize, &mut Member<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.is_folder() {
            for (index, name) in names.iter().enumerate() {
                folder::open(self, name, |member| take(index, member))?;
            }
            return Ok(());
        }
        let mut wanted = Wanted { indices: HashMap::new(), left: 0, take };
        for (index, name) in names.iter().enumerate() {
            wanted.indices.entry(name).or_default().push(index);
        }
        wanted.left = wanted.indices.len();
        self.visit(&mut wanted)?;
        match wanted.indices.iter().find(|(_, indices)| !indices.is_empty()) {
            Some((name, _)) => {
                Err(DatasetError::wrong(self.file(name), "it was there when the dataset was opened").into())
            }
            None => Ok(()),
        }
    }

    /// The names of its files and the content of those that `keep` wants.
    pub fn list(&self, keep: &dyn Fn(&str) -> bool) -> Result<Listing<'static>, DatasetError> {
        let mut listing =
            Listing { keep, files: Vec::new(), kept: HashMap::new(), bytes: 0, left_out: BTreeMap::new() };
        self.visit(&mut listing)?;
        if listing.files.len() > MAX_FILES || listing.bytes > MAX_LISTING_BYTES {
            let path = self.path.clone();
            let rule =
                format!("more than {MAX_FILES} files, or {MAX_LISTING_BYTES} bytes of names and lists");
            return Err(DatasetError::Archive { path, rule });
        }
        Ok(Listing { keep: &|_| false, ..listing })
    }

    fn broken(&self, name: &str, error: &io::Error) -> DatasetError {
        if self.is_folder() {
            return DatasetError::wrong(self.file(name), format!("cannot be read: {error}"));
        }
        let path = self.path.clone();
        let rule = match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                format!("the archive is cut off within {}; fetch it again", shown(name))
            }
            _ => format!("the archive is damaged at {}: {}", shown(name), shown(&error.to_string())),
        };
        DatasetError::Archive { path, rule }
    }
}

struct Wanted<'a, 'b, E> {
    indices: HashMap<&'a str, Vec<usize>>,
    left: usize,
    take: &'b mut dyn FnMut(usize, &mut Member<'_>) -> Result<(), E>,
}

impl<E: From<DatasetError>> Visitor for Wanted<'_, '_, E> {
    type Error = E;

    fn choose(&mut self, name: &str, _size: u64) -> Choice {
        if self.left == 0 {
            return Choice::Stop;
        }
        if self.indices.get(name).is_some_and(|indices| !indices.is_empty()) {
            Choice::Read
        } else {
            Choice::Skip
        }
    }

    fn take(&mut self, member: &mut Member<'_>) -> Result<(), E> {
        let indices = self.indices.get_mut(member.name).map(std::mem::take).unwrap_or_default();
        self.left -= 1;
        // A file that two examples name is read once for both.
        match indices[..] {
            [index] => (self.take)(index, member),
            _ => {
                let bytes = member.bytes()?;
                for index in indices {
                    let mut input = bytes.as_slice();
                    let Member { name, size, tree, .. } = *member;
                    (self.take)(index, &mut Member { name, size, tree, input: &mut input })?;
                }
                Ok(())
            }
        }
    }
}

/// Names of a tree's files in order, and some contents.
pub(super) struct Listing<'a> {
    keep: &'a dyn Fn(&str) -> bool,
    /// Name and size.
    pub files: Vec<(String, u64)>,
    /// Content of the files that were wanted.
    pub kept: HashMap<String, Vec<u8>>,
    /// Bytes of names and contents.
    bytes: u64,
    /// What could not be had, by kind.
    left_out: BTreeMap<&'static str, LeftOut>,
}

impl Listing<'_> {
    /// A line for each kind of thing that could not be had.
    pub fn notes(&self) -> Vec<String> {
        self.left_out.iter().filter_map(|(what, left_out)| left_out.note(what)).collect()
    }

    /// The kept file whose path ends in these parts, such as `labels/train1.txt`.
    pub fn text(&self, end: &str) -> Option<(&str, &[u8])> {
        let mut found: Vec<_> = self.kept.iter().filter(|(name, _)| ends_in(name, end)).collect();
        // The one highest up, where there are several.
        found.sort_by_key(|(name, _)| (name.matches('/').count(), *name));
        found.first().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
    }
}

impl Visitor for Listing<'_> {
    type Error = DatasetError;

    fn choose(&mut self, name: &str, size: u64) -> Choice {
        let is_kept = (self.keep)(name);
        self.files.push((name.to_owned(), size));
        // A list that is too large by itself is refused by its own name.
        let content = if is_kept && size <= MAX_FILE_BYTES { size } else { 0 };
        self.bytes = self.bytes.saturating_add(name.len() as u64 + content);
        match self.files.len() > MAX_FILES || self.bytes > MAX_LISTING_BYTES {
            true => Choice::Stop,
            false if is_kept => Choice::Read,
            false => Choice::Skip,
        }
    }

    fn take(&mut self, member: &mut Member<'_>) -> Result<(), DatasetError> {
        let bytes = member.bytes()?;
        self.kept.insert(member.name.to_owned(), bytes);
        Ok(())
    }

    fn leave_out(&mut self, what: &'static str, name: &str) {
        self.left_out.entry(what).or_default().add(name);
    }
}

/// Whether the last parts of `path` are those of `end`.
pub(super) fn ends_in(path: &str, end: &str) -> bool {
    path.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

/// What follows the folder `anchor` in `path`, at its first place.
pub(super) fn below<'a>(path: &'a str, anchor: &str) -> Option<&'a str> {
    let mut rest = path;
    while let Some((part, behind)) = rest.split_once('/') {
        if part == anchor {
            return Some(behind);
        }
        rest = behind;
    }
    None
}

/// The name of an archive's file as it is used here; `None` for what systems leave behind.
fn tidy(name: &str) -> Option<String> {
    let name = name.replace('\\', "/");
    let parts: Vec<_> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    (!parts.is_empty() && !parts.iter().any(|part| is_debris(part))).then(|| parts.join("/"))
}

/// Hidden, or left behind by a system.
fn is_debris(part: &str) -> bool {
    (part.starts_with('.') && part != "..")
        || part == "__MACOSX"
        || part.eq_ignore_ascii_case("thumbs.db")
        || part.eq_ignore_ascii_case("desktop.ini")
}

/// Whether a file's suffix is a picture's.
pub(super) fn is_picture(name: &str) -> bool {
    let suffix = name.rsplit_once('.').map_or("", |(_, suffix)| suffix);
    let known = ["jpg", "jpeg", "jpe", "jfif", "png", "gif", "bmp", "webp", "tif", "tiff"];
    known.iter().any(|word| suffix.eq_ignore_ascii_case(word))
}

/// Where the files of a dataset may lie, in order of preference.
pub(super) struct Search<'a> {
    /// Folders that the root may hold them in, besides itself.
    pub within: &'a [&'a str],
    /// What an archive unpacks to.
    pub folders: &'a [&'a str],
    /// Archives, their names compared without regard to case.
    pub archives: &'a [&'a str],
    /// What a folder holds that is itself an unpacked one, under whatever name.
    pub marks: &'a [&'a str],
}

impl Search<'_> {
    /// The first that is there, unpacked folders before archives; the root itself where it is an archive.
    pub fn find(&self, root: &Path) -> Result<Option<Tree>, DatasetError> {
        if root.is_file() {
            return Tree::open(root).map(Some);
        }
        if !root.is_dir() {
            return Err(DatasetError::missing(root, "there is no such file or folder"));
        }
        let roots: Vec<_> =
            std::iter::once(root.to_owned()).chain(self.within.iter().map(|name| root.join(name))).collect();
        for root in &roots {
            let has = |folder: &Path, mark: &str| folder.join(mark).exists();
            // An unpacked folder with a part missing is still that; one of its name with nothing of it is not.
            let is_it = |folder: &PathBuf| {
                folder.is_dir() && (self.marks.is_empty() || self.marks.iter().any(|mark| has(folder, mark)))
            };
            let own = !self.marks.is_empty() && self.marks.iter().all(|mark| has(root, mark));
            let folders = self.folders.iter().map(|folder| root.join(folder));
            if let Some(folder) = folders.chain(own.then(|| root.clone())).find(is_it) {
                return Tree::open(&folder).map(Some);
            }
        }
        for root in &roots {
            if let Some(path) = self.archives.iter().find_map(|name| file_in(root, name)) {
                return Tree::open(&path).map(Some);
            }
        }
        Ok(None)
    }

    /// As [`Search::find`], or an error that names what was looked for.
    pub fn require(&self, root: &Path, whose: &str) -> Result<Tree, DatasetError> {
        self.find(root)?.ok_or_else(|| {
            let archives = self.archives.join(" or ");
            let what = format!(
                "{whose} not found: neither {archives} nor the unpacked folder {}",
                self.folders.join(" or ")
            );
            DatasetError::missing(root, what)
        })
    }
}

/// A file of a folder, its name compared without regard to case, of several the first by name.
pub(super) fn file_in(folder: &Path, name: &str) -> Option<PathBuf> {
    let exact = folder.join(name);
    if exact.is_file() {
        return Some(exact);
    }
    let mut alike: Vec<_> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().eq_ignore_ascii_case(name))
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    alike.sort();
    alike.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tidied_and_debris_passed_over() {
        assert_eq!(tidy("./dtd\\images//a.jpg").as_deref(), Some("dtd/images/a.jpg"));
        for debris in
            ["__MACOSX/dtd/a.jpg", "dtd/._a.jpg", "dtd/.DS_Store", "x/Thumbs.db", ".git/a.jpg", "./"]
        {
            assert_eq!(tidy(debris), None, "{debris}");
        }
    }

    #[test]
    fn paths_are_taken_by_whole_parts() {
        assert_eq!(below("dtd/images/banded/a.jpg", "images"), Some("banded/a.jpg"));
        assert_eq!(below("myimages/banded/a.jpg", "images"), None);
        assert!(ends_in("dtd/labels/train1.txt", "labels/train1.txt"));
        assert!(!ends_in("dtd/mylabels/train1.txt", "labels/train1.txt"));
        assert!(is_picture("A.JPG") && is_picture("b.Jpeg") && !is_picture("tmp") && !is_picture("a.txt"));
    }
}
