//! Files to an archive, or unpacked.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::Form;
use crate::error::{Error, Result};

/// How files are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pack {
    TarGz,
    Zip,
    /// A tar.gz of this name within the zip; unpacked, below the zip's folder.
    TarGzInZip(&'static str),
    /// Beside, in either form.
    Loose,
    /// A plain tar in either form.
    Tar,
}

pub(super) struct Package {
    pub name: String,
    pub pack: Pack,
    pub files: Vec<(String, Vec<u8>)>,
}

impl Package {
    pub fn write(&self, form: Form, out: &Path) -> Result<()> {
        if self.pack == Pack::Loose || (form == Form::Folder && self.pack != Pack::Tar) {
            let folder = match self.pack {
                Pack::TarGzInZip(inner) => out.join(inner).parent().unwrap_or(out).to_owned(),
                _ => out.to_owned(),
            };
            for (name, bytes) in &self.files {
                let path = folder.join(name);
                let parent = path.parent().unwrap_or(out);
                fs::create_dir_all(parent).map_err(Error::io(parent))?;
                fs::write(&path, bytes).map_err(Error::io(&path))?;
            }
            return Ok(());
        }
        let path = out.join(&self.name);
        let parent = path.parent().unwrap_or(out);
        fs::create_dir_all(parent).map_err(Error::io(parent))?;
        let write = || -> io::Result<()> {
            let mut file = BufWriter::new(File::create(&path)?);
            match self.pack {
                Pack::TarGz => drop(self.tar(GzEncoder::new(&mut file, Compression::fast()))?.finish()?),
                Pack::Zip => {
                    let files = self.files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
                    zip_of(&mut file, files)?;
                }
                Pack::TarGzInZip(inner) => {
                    let tar = self.tar(GzEncoder::new(Vec::new(), Compression::fast()))?.finish()?;
                    let debris = "__MACOSX/caltech-101/._101_ObjectCategories.tar.gz";
                    zip_of(&mut file, [(inner, tar.as_slice()), (debris, b"junk".as_slice())].into_iter())?;
                }
                Pack::Tar | Pack::Loose => drop(self.tar(&mut file)?),
            }
            file.flush()
        };
        write().map_err(Error::io(&path))
    }

    /// Folders have entries of their own, as tar writes them.
    fn tar<W: Write>(&self, out: W) -> io::Result<W> {
        let mut builder = tar::Builder::new(out);
        let mut folders = std::collections::BTreeSet::new();
        for (name, bytes) in &self.files {
            if let Some((folder, _)) = name.rsplit_once('/')
                && self.pack != Pack::Tar
                && folders.insert(folder)
            {
                let mut header = header(0, 0o755);
                header.set_entry_type(tar::EntryType::Directory);
                builder.append_data(&mut header, format!("{folder}/"), io::empty())?;
            }
            builder.append_data(&mut header(bytes.len() as u64, 0o644), name, bytes.as_slice())?;
        }
        builder.into_inner()
    }
}

fn header(size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(1_339_000_000);
    header
}

fn zip_of<'a, W: Write + Seek>(
    out: &mut W,
    files: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> io::Result<()> {
    let mut zip = zip::ZipWriter::new(out);
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for (name, bytes) in files {
        zip.start_file(name, options)?;
        zip.write_all(bytes)?;
    }
    zip.finish()?;
    Ok(())
}
