//! The images of an archive or folder, one after the other, by place: `ILSVRC2012_img_train.tar` (a tar of class
//! tars), flat tars such as `ILSVRC2012_img_val.tar`, class folders, and folders of images. Tars are in their own
//! order, folders sorted by name. Nothing is unpacked, and no image is read before it is asked for.

use std::fs;
use std::path::{Path, PathBuf};

use pairmill_shards::tar::{TarFile, TarFiles};

use super::error::ImageNetError;
use super::synsets::is_wnid;

/// Where an image's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In the archive.
    Range { offset: u64, size: u64 },
    /// In a file of its own.
    File(PathBuf),
}

/// An image that is not yet read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// File name without folders.
    pub name: String,
    /// Its class, where folder, class tar or name say it.
    pub wnid: Option<String>,
    pub place: Place,
}

/// Iterator over the images. Other files are passed over.
#[derive(Debug)]
pub(super) struct Members {
    root: PathBuf,
    layout: Layout,
    /// Files that are no images.
    pub ignored: u64,
}

#[derive(Debug)]
enum Layout {
    TarOfTars { outer: TarFiles, class: Option<(String, TarFiles)> },
    FlatTar { files: TarFiles, first: Option<TarFile> },
    Folder { classes: std::vec::IntoIter<PathBuf>, class: Option<String>, files: std::vec::IntoIter<PathBuf> },
}

impl Members {
    /// Tells the layout from what is there.
    pub fn open(root: &Path) -> Result<Self, ImageNetError> {
        let metadata = fs::metadata(root).map_err(ImageNetError::unreadable(root))?;
        let layout = if metadata.is_dir() { Layout::of_folder(root)? } else { Layout::of_tar(root)? };
        Ok(Self { root: root.to_owned(), layout, ignored: 0 })
    }

    /// The archive, for reading the bytes of ranges.
    pub fn archive(&self) -> Option<std::sync::Arc<fs::File>> {
        match &self.layout {
            Layout::TarOfTars { outer, .. } => Some(outer.file().clone()),
            Layout::FlatTar { files, .. } => Some(files.file().clone()),
            Layout::Folder { .. } => None,
        }
    }

    /// The classes there are, from the names of class tars or class folders; empty for flat layouts.
    pub fn wnids(&self) -> Result<Vec<String>, ImageNetError> {
        match &self.layout {
            Layout::TarOfTars { .. } => {
                TarFiles::open(&self.root)?.map(|file| class_of_tar(&self.root, &file?.name)).collect()
            }
            Layout::FlatTar { .. } => Ok(Vec::new()),
            Layout::Folder { classes, .. } => {
                Ok(classes.as_slice().iter().map(|path| file_name(path)).collect())
            }
        }
    }

    /// The next image.
    pub fn next_member(&mut self) -> Result<Option<Member>, ImageNetError> {
        loop {
            let Some((path, wnid, place)) = self.layout.next_file(&self.root)? else { return Ok(None) };
            let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
            if !is_image(&name) {
                self.ignored += 1;
                continue;
            }
            let of_name = || name.split_once('_').map(|(head, _)| head).filter(|head| is_wnid(head));
            let wnid = wnid.or_else(|| of_name().map(str::to_owned));
            return Ok(Some(Member { name, wnid, place }));
        }
    }
}

/// Tells `take` name (with its class folder, if it has one) and size of each image of a folder, in order.
///
/// # Errors
/// When the folder or a file cannot be read.
pub fn each_image_file(root: &Path, mut take: impl FnMut(&str, u64)) -> Result<(), ImageNetError> {
    let mut members = Members::open(root)?;
    while let Some(member) = members.next_member()? {
        if let Place::File(path) = &member.place {
            let bytes = fs::metadata(path).map_err(ImageNetError::unreadable(path))?.len();
            take(&path.strip_prefix(root).unwrap_or(path).to_string_lossy(), bytes);
        }
    }
    Ok(())
}

impl Layout {
    fn of_tar(root: &Path) -> Result<Self, ImageNetError> {
        let mut files = TarFiles::open(root)?;
        match files.next().transpose()? {
            Some(first) if first.name.ends_with(".tar") => {
                class_of_tar(root, &first.name)?;
                Ok(Self::TarOfTars { outer: TarFiles::open(root)?, class: None })
            }
            Some(first) => Ok(Self::FlatTar { files, first: Some(first) }),
            None => Err(ImageNetError::NoImages { path: root.to_owned() }),
        }
    }

    fn of_folder(root: &Path) -> Result<Self, ImageNetError> {
        let classes: Vec<PathBuf> = sorted(root)?.into_iter().filter(|path| path.is_dir()).collect();
        // A folder of class folders has nothing else in it; one of images may have what it likes.
        let (classes, files) = match classes.iter().find(|path| !is_wnid(&file_name(path))) {
            None if !classes.is_empty() => (classes, Vec::new()),
            Some(other) if !classes.is_empty() && classes.iter().any(|path| is_wnid(&file_name(path))) => {
                return Err(ImageNetError::NotAClass { path: root.to_owned(), name: file_name(other) });
            }
            _ => (Vec::new(), sorted(root)?.into_iter().filter(|path| path.is_file()).collect::<Vec<_>>()),
        };
        if classes.is_empty() && !files.iter().any(|path| is_image(&file_name(path))) {
            return Err(ImageNetError::NoImages { path: root.to_owned() });
        }
        Ok(Self::Folder { classes: classes.into_iter(), class: None, files: files.into_iter() })
    }

    /// Name, class and place of the next file.
    fn next_file(&mut self, root: &Path) -> Result<Option<(String, Option<String>, Place)>, ImageNetError> {
        match self {
            Self::TarOfTars { outer, class } => loop {
                if let Some((wnid, files)) = class {
                    if let Some(file) = files.next().transpose()? {
                        return Ok(Some((file.name, Some(wnid.clone()), range(file.offset, file.size))));
                    }
                    *class = None;
                }
                let Some(next) = outer.next().transpose()? else { return Ok(None) };
                let wnid = class_of_tar(root, &next.name)?;
                *class = Some((wnid, outer.inside(&next)));
            },
            Self::FlatTar { files, first } => {
                let file = match first.take() {
                    Some(file) => Some(file),
                    None => files.next().transpose()?,
                };
                Ok(file.map(|file| (file.name, None, range(file.offset, file.size))))
            }
            Self::Folder { classes, class, files } => loop {
                if let Some(file) = files.next() {
                    return Ok(Some((file_name(&file), class.clone(), Place::File(file))));
                }
                let Some(next) = classes.next() else { return Ok(None) };
                *class = Some(file_name(&next));
                *files =
                    sorted(&next)?.into_iter().filter(|path| path.is_file()).collect::<Vec<_>>().into_iter();
            },
        }
    }
}

fn range(offset: u64, size: u64) -> Place {
    Place::Range { offset, size }
}

fn class_of_tar(root: &Path, name: &str) -> Result<String, ImageNetError> {
    let stem = name.rsplit('/').next().unwrap_or(name).strip_suffix(".tar").unwrap_or_default();
    if is_wnid(stem) {
        Ok(stem.to_owned())
    } else {
        Err(ImageNetError::NotAClass { path: root.to_owned(), name: name.to_owned() })
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn is_image(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    // macOS leaves `._` files in archives.
    !name.starts_with('.') && matches!(ending.as_deref(), Some("jpeg" | "jpg" | "png" | "webp"))
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>, ImageNetError> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        paths.sort();
        Ok(paths)
    };
    read().map_err(ImageNetError::unreadable(folder))
}
