//! Named tensors to and from safetensors files, one tensor at a time: writing or reading a model takes the memory of its
//! largest tensor on top, not of the model (tch's own reader holds all of it twice).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use pairmill_shards::atomic::{AtomicFile, FileAction, FileError};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use tch::{Kind, Tensor};

use super::CheckpointError;

/// Largest header read; the limit of the safetensors crate.
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// Headers end on this boundary, so that data is aligned in a mapped file.
const ALIGNMENT: usize = 8;

/// Number formats that both sides know.
const KINDS: [(Kind, Dtype); 10] = [
    (Kind::Float, Dtype::F32),
    (Kind::Double, Dtype::F64),
    (Kind::Half, Dtype::F16),
    (Kind::BFloat16, Dtype::BF16),
    (Kind::Int64, Dtype::I64),
    (Kind::Int, Dtype::I32),
    (Kind::Int16, Dtype::I16),
    (Kind::Int8, Dtype::I8),
    (Kind::Uint8, Dtype::U8),
    (Kind::Bool, Dtype::BOOL),
];

/// Name, shape and number format of a tensor in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the file.
    pub name: String,
    /// Its shape.
    pub shape: Vec<i64>,
    /// Its number format.
    pub kind: Kind,
}

/// Writes a file of `tensors`, which is there whole or not at all; see [`write()`].
///
/// # Errors
/// When the file cannot be written.
pub fn save(tensors: &[(String, Tensor)], path: &Path) -> Result<(), CheckpointError> {
    save_about(tensors, None, path)
}

/// As [`save`], with the value of [`NORMALISE`].
///
/// # Errors
/// As [`save`].
pub fn save_about(
    tensors: &[(String, Tensor)],
    normalise: Option<&str>,
    path: &Path,
) -> Result<(), CheckpointError> {
    let mut file = AtomicFile::create(path)?;
    write_about(tensors, normalise, BufWriter::with_capacity(1 << 20, &mut file), path)?;
    Ok(file.commit()?)
}

/// Key of the header's text under which stands how pixels were normalised in training, as `data.normalise` has it, in
/// JSON. Files of CLIP's own statistics do not have it.
pub const NORMALISE: &str = "pairmill.normalise";

/// A file's header, in a fixed order.
struct Header<'a> {
    about: BTreeMap<&'a str, &'a str>,
    infos: Vec<(String, TensorInfo)>,
}

impl Serialize for Header<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.infos.len() + 1))?;
        map.serialize_entry("__metadata__", &self.about)?;
        for (name, info) in &self.infos {
            map.serialize_entry(name, info)?;
        }
        map.end()
    }
}

/// Writes `tensors` row-major in their own number formats, in safetensors' canonical order: wide formats first, then by
/// name. The same tensors give the same bytes. `path` is for messages.
///
/// # Errors
/// When writing fails, or a tensor is complex or quantised.
pub fn write(tensors: &[(String, Tensor)], to: impl Write, path: &Path) -> Result<(), CheckpointError> {
    write_about(tensors, None, to, path)
}

/// As [`write()`], with the value of [`NORMALISE`].
///
/// # Errors
/// As [`write()`].
pub fn write_about(
    tensors: &[(String, Tensor)],
    normalise: Option<&str>,
    mut to: impl Write,
    path: &Path,
) -> Result<(), CheckpointError> {
    let mut sorted = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let dtype =
            KINDS.iter().find(|(kind, _)| *kind == tensor.kind()).map(|(_, dtype)| *dtype).ok_or_else(
                || {
                    CheckpointError::damaged(
                        path,
                        format!("{name} is {:?}, which safetensors lacks", tensor.kind()),
                    )
                },
            )?;
        sorted.push((dtype, name, tensor));
    }
    sorted.sort_by(|(left, a, _), (right, b, _)| right.cmp(left).then(a.cmp(b)));

    let mut end = 0;
    let mut infos = Vec::with_capacity(sorted.len());
    for (dtype, name, tensor) in &sorted {
        let start = end;
        end += tensor.numel() * tensor.kind().elt_size_in_bytes();
        let shape = tensor.size().iter().map(|&side| usize::try_from(side).unwrap_or(0)).collect();
        infos.push(((*name).clone(), TensorInfo { dtype: *dtype, shape, data_offsets: (start, end) }));
    }
    // Readers of PyTorch's side ask for this key.
    let mut about = BTreeMap::from([("format", "pt")]);
    about.extend(normalise.map(|value| (NORMALISE, value)));
    let mut header = serde_json::to_vec(&Header { about, infos })
        .map_err(|error| CheckpointError::damaged(path, format!("header: {error}")))?;
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');

    let refused = |error| CheckpointError::from(FileError::new(path, FileAction::Write, error));
    to.write_all(&(header.len() as u64).to_le_bytes()).map_err(refused)?;
    to.write_all(&header).map_err(refused)?;
    let mut bytes = Vec::new();
    for (_, _, tensor) in sorted {
        bytes.resize(tensor.numel() * tensor.kind().elt_size_in_bytes(), 0);
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        to.write_all(&bytes).map_err(refused)?;
    }
    to.flush().map_err(refused)
}

/// An open safetensors file whose header has been checked against its length.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    file: BufReader<File>,
    metadata: Metadata,
    data_start: u64,
    entries: Vec<Entry>,
}

impl TensorFile {
    /// Reads the header.
    ///
    /// # Errors
    /// When the file is missing, cut short or no safetensors file, or holds a number format libtorch lacks.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let read = |error| CheckpointError::read(path, error);
        let damaged = |what: &str| CheckpointError::damaged(path, what);
        let file = File::open(path).map_err(read)?;
        let length = file.metadata().map_err(read)?.len();
        let mut file = BufReader::new(file);
        let mut size = [0; 8];
        if length < 8 {
            return Err(damaged("shorter than a safetensors header; it was cut off or is something else"));
        }
        file.read_exact(&mut size).map_err(read)?;
        let size = u64::from_le_bytes(size);
        if size > MAX_HEADER_BYTES || size > length - 8 {
            return Err(damaged("no safetensors file, or cut off within its header"));
        }
        let mut header = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
        file.read_exact(&mut header).map_err(read)?;
        let metadata: Metadata = serde_json::from_slice(&header)
            .map_err(|error| CheckpointError::damaged(path, format!("safetensors header: {error}")))?;
        // The crate has checked offsets against shapes and left no holes; the length is what it could not see.
        let promised = 8 + size + metadata.data_len() as u64;
        if promised != length {
            return Err(CheckpointError::damaged(
                path,
                format!("{length} bytes instead of {promised}: it was cut off or added to; copy it again"),
            ));
        }
        let mut entries = Vec::new();
        for name in metadata.offset_keys() {
            let Some(info) = metadata.info(&name) else { continue };
            let kind =
                KINDS.iter().find(|(_, dtype)| *dtype == info.dtype).map(|(kind, _)| *kind).ok_or_else(
                    || {
                        CheckpointError::damaged(
                            path,
                            format!("{name} is {:?}, which libtorch lacks", info.dtype),
                        )
                    },
                )?;
            let shape = info.shape.iter().map(|&side| i64::try_from(side).unwrap_or(i64::MAX)).collect();
            entries.push(Entry { name, shape, kind });
        }
        Ok(Self { path: path.to_path_buf(), file, metadata, data_start: 8 + size, entries })
    }

    /// A text of its header.
    pub fn about(&self, key: &str) -> Option<&str> {
        self.metadata.metadata().as_ref()?.get(key).map(String::as_str)
    }

    /// What it holds, in file order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Reads one tensor, on the CPU.
    ///
    /// # Errors
    /// When the file has no such tensor, cannot be read, or memory runs out.
    pub fn read(&mut self, name: &str) -> Result<Tensor, CheckpointError> {
        let Some(entry) = self.entries.iter().find(|entry| entry.name == name) else {
            return Err(CheckpointError::damaged(&self.path, format!("no tensor {name}")));
        };
        let Some(info) = self.metadata.info(name) else {
            return Err(CheckpointError::damaged(&self.path, format!("no tensor {name}")));
        };
        let (start, end) = info.data_offsets;
        let mut bytes = vec![0; end - start];
        self.file
            .seek(SeekFrom::Start(self.data_start + start as u64))
            .and_then(|_| self.file.read_exact(&mut bytes))
            .map_err(|error| CheckpointError::read(&self.path, error))?;
        tensor_of(&bytes, &entry.shape, entry.kind)
    }
}

/// A tensor of little-endian bytes whose number has been checked: libtorch copies as many as the shape says.
///
/// # Errors
/// When shape and bytes disagree, or memory runs out.
pub(super) fn tensor_of(bytes: &[u8], shape: &[i64], kind: Kind) -> Result<Tensor, CheckpointError> {
    let numel = shape.iter().try_fold(1usize, |numel, &side| numel.checked_mul(usize::try_from(side).ok()?));
    if numel.and_then(|numel| numel.checked_mul(kind.elt_size_in_bytes())) != Some(bytes.len()) {
        return Err(crate::torch::TorchError(format!(
            "{} bytes for shape {shape:?} of {kind:?}",
            bytes.len()
        ))
        .into());
    }
    Ok(Tensor::f_from_data_size(bytes, shape, kind)?)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    fn file(tensors: &[(String, Tensor)]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        write(tensors, File::create(&path).unwrap(), &path).unwrap();
        (folder, path)
    }

    fn all_kinds() -> Vec<(String, Tensor)> {
        KINDS
            .iter()
            .map(|(kind, _)| {
                let tensor = Tensor::arange(6, (Kind::Float, Device::Cpu)).reshape([2, 3]).to_kind(*kind);
                (format!("a.{kind:?}"), tensor)
            })
            .chain([
                ("scalar".into(), Tensor::from(2.5f32)),
                ("empty".into(), Tensor::zeros([0, 4], (Kind::Float, Device::Cpu))),
                ("turned".into(), Tensor::arange(6, (Kind::Float, Device::Cpu)).reshape([2, 3]).tr()),
            ])
            .collect()
    }

    #[test]
    fn every_number_format_and_layout_comes_back() {
        let tensors = all_kinds();
        let (_folder, path) = file(&tensors);
        let mut file = TensorFile::open(&path).unwrap();
        assert_eq!(file.entries().len(), tensors.len());
        for (name, tensor) in &tensors {
            let back = file.read(name).unwrap();
            assert_eq!((back.size(), back.kind()), (tensor.size(), tensor.kind()), "{name}");
            assert!(back.equal(tensor), "{name}");
        }
        assert!(file.read("absent").unwrap_err().to_string().contains("no tensor absent"));
    }

    #[test]
    fn the_bytes_do_not_depend_on_the_order_given_and_the_crate_reads_them() {
        let mut tensors = all_kinds();
        let (_folder, path) = file(&tensors);
        let bytes = std::fs::read(&path).unwrap();
        tensors.reverse();
        let (_folder, path) = file(&tensors);
        assert_eq!(bytes, std::fs::read(&path).unwrap());
        let parsed = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(parsed.len(), tensors.len());
        assert_eq!(parsed.tensor("turned").unwrap().data()[4..8], 3f32.to_le_bytes());
    }

    #[test]
    fn a_file_cut_anywhere_or_added_to_is_refused() {
        let (folder, path) = file(&all_kinds());
        let bytes = std::fs::read(&path).unwrap();
        let cut = folder.path().join("cut.safetensors");
        for length in (0..bytes.len()).step_by(7) {
            std::fs::write(&cut, &bytes[..length]).unwrap();
            let message = TensorFile::open(&cut).unwrap_err().to_string();
            assert!(message.contains("cut.safetensors: ") && !message.contains('\n'), "{message}");
        }
        std::fs::write(&cut, [&bytes[..], b"more"].concat()).unwrap();
        assert!(TensorFile::open(&cut).unwrap_err().to_string().contains("added to"));
    }

    #[test]
    fn hostile_headers_are_refused_without_allocating_what_they_say() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad.safetensors");
        let header = |json: &str| [&(json.len() as u64).to_le_bytes(), json.as_bytes()].concat();
        let cases = [
            u64::MAX.to_le_bytes().to_vec(),
            [&99_000_000u64.to_le_bytes()[..], b"{}"].concat(),
            header("not json"),
            header(r#"{"a":{"dtype":"F32","shape":[18446744073709551615,2],"data_offsets":[0,8]}}"#),
            header(r#"{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}"#),
            header(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#),
            [header(r#"{"a":{"dtype":"F8_E5M2","shape":[1],"data_offsets":[0,1]}}"#), vec![0]].concat(),
        ];
        for bytes in cases {
            std::fs::write(&path, &bytes).unwrap();
            let message = TensorFile::open(&path).unwrap_err().to_string();
            assert!(message.contains("bad.safetensors: ") && !message.contains('\n'), "{message}");
        }
    }
}
