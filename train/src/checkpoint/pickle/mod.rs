//! `torch.save` and TorchScript files without Python and without trust. Both are a zip of raw storages and a pickle that
//! says which tensors lie in them; before PyTorch 1.6, and where a program calls Python's own `pickle.dump`, they are pickles
//! with the storages in them. A pickle is a program, and [`pairmill_pickle`] runs only the part of it that builds plain values.
//! No class of the file is ever looked up or called: of a whole pickled module, the tensors are taken from its attributes.

mod tree;

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use tch::{Kind, Tensor};
use zip::ZipArchive;
use zip::result::ZipError;

use super::CheckpointError;
use super::tensors::{Entry, tensor_of};
use pairmill_pickle::{Dialect, MachineError, Number, Values};
use tree::StoredTensor;

/// Largest pickle read. That of a ViT-H checkpoint with optimiser state is below 1 MiB.
const MAX_PICKLE_BYTES: u64 = 64 << 20;

/// What whoever made a file that is refused can do. There is no line for whoever has it: `torch.load` with `weights_only`
/// reads no more than we do, and without it runs whatever the file says.
const SAVE_AGAIN: &str = "ask who made it for the weights alone: torch.save(model.state_dict(), 'OUT.pt')";

/// Why a `.pt` file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PickleError {
    /// The zip is damaged.
    #[error("not a whole zip file ({0}); it was cut off or is something else")]
    Zip(String),
    /// A zip of something else.
    #[error("a zip without data.pkl: not from torch.save or TorchScript")]
    NotTorch,
    /// The pickle wants a class we do not know.
    #[error(
        "no tensors are found in it, only {0}, and what that would run when loaded nobody knows; {SAVE_AGAIN}"
    )]
    Class(String),
    /// Plain values only.
    #[error("no tensors are found in it; name a file of weights")]
    NoTensors,
    /// An instruction outside the subset.
    #[error("pickle instruction 0x{0:02x} is not read; {SAVE_AGAIN}")]
    Opcode(u8),
    /// The pickle breaks a rule.
    #[error("damaged pickle: {0}")]
    Damaged(&'static str),
    /// More than any model needs.
    #[error("{0} is over the limit of what is read")]
    TooLarge(&'static str),
    /// Big-endian data.
    #[error("written on a big-endian machine in torch's old format, which is not read; {SAVE_AGAIN}")]
    BigEndian,
    /// A tensor reaches outside its storage, or the storage is not as long as promised.
    #[error("damaged tensor {0}: it does not fit its storage")]
    Tensor(String),
}

impl From<MachineError> for PickleError {
    fn from(error: MachineError) -> Self {
        match error {
            MachineError::Class(name) => Self::Class(name),
            MachineError::Opcode(code) => Self::Opcode(code),
            MachineError::Damaged(rule) => Self::Damaged(rule),
            MachineError::BigEndian => Self::BigEndian,
            MachineError::TooLarge => Self::TooLarge("the number of values"),
        }
    }
}

/// Where the storages are.
enum Storages {
    /// In files of a zip below `root`, such as `archive`.
    Zip { zip: ZipArchive<BufReader<File>>, root: String, is_big_endian: bool },
    /// In the pickle itself, which is in memory.
    Program(Vec<u8>),
}

/// An open file of tensors.
pub struct PickleFile {
    path: PathBuf,
    storages: Storages,
    stored: Vec<StoredTensor>,
    entries: Vec<Entry>,
    /// The storage read last: tensors that share one lie side by side.
    last: Option<(String, Vec<u8>)>,
}

impl std::fmt::Debug for PickleFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PickleFile")
            .field("path", &self.path)
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
}

impl PickleFile {
    /// Reads the pickle of a zip; no tensor data yet. Of a dict with a `state_dict`, as training checkpoints are, only that
    /// counts.
    ///
    /// # Errors
    /// When the file is missing, damaged or of a refused kind.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let refused = |error| CheckpointError::Pickle { path: path.to_path_buf(), error };
        let file = File::open(path).map_err(|error| CheckpointError::read(path, error))?;
        let zip_error = |error: ZipError| refused(PickleError::Zip(error.to_string()));
        let mut zip = ZipArchive::new(BufReader::new(file)).map_err(zip_error)?;
        let pickle = zip.file_names().flatten().find(|name| is_pickle(name)).map(|name| name.into_owned());
        let pickle = pickle.ok_or_else(|| refused(PickleError::NotTorch))?;
        let root = pickle.strip_suffix("/data.pkl").unwrap_or_default().to_owned();

        let mut order = String::new();
        if let Ok(member) = zip.by_name(&format!("{root}/byteorder")) {
            // The zip may be cut off here; then so is what follows, and it says so.
            let _ = member.take(16).read_to_string(&mut order);
        }
        let member = zip.by_name(&pickle).map_err(zip_error)?;
        if member.size() > MAX_PICKLE_BYTES {
            return Err(refused(PickleError::TooLarge("the pickle")));
        }
        let mut program = Vec::new();
        member
            .take(MAX_PICKLE_BYTES)
            .read_to_end(&mut program)
            .map_err(|error| refused(PickleError::Zip(error.to_string())))?;
        let stored = run(&program).and_then(|values| tree::tensors(&values)).map_err(refused)?;
        let storages = Storages::Zip { zip, root, is_big_endian: order == "big" };
        Ok(Self::of(path, storages, stored))
    }

    /// Reads a file that is a pickle with everything in it: torch's format from before 1.6, or what Python's own
    /// `pickle.dump` made of a module or a dict of tensors. Holds the whole file in memory.
    ///
    /// # Errors
    /// As [`PickleFile::open`].
    pub fn open_bare(path: &Path) -> Result<Self, CheckpointError> {
        let refused = |error| CheckpointError::Pickle { path: path.to_path_buf(), error };
        let program = std::fs::read(path).map_err(|error| CheckpointError::read(path, error))?;
        let values = match pairmill_pickle::is_legacy(&program) {
            true => pairmill_pickle::run_legacy(&program).map_err(PickleError::from),
            false => run(&program),
        };
        let stored = values.and_then(|values| tree::tensors(&values)).map_err(refused)?;
        Ok(Self::of(path, Storages::Program(program), stored))
    }

    fn of(path: &Path, storages: Storages, stored: Vec<StoredTensor>) -> Self {
        let entry = |tensor: &StoredTensor| Entry {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            kind: kind_of(tensor.storage.number),
        };
        let entries = stored.iter().map(entry).collect();
        Self { path: path.to_path_buf(), storages, stored, entries, last: None }
    }

    /// What it holds, in file order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Reads one tensor, on the CPU, row-major.
    ///
    /// # Errors
    /// When there is no such tensor, its storage is damaged, or memory runs out.
    pub fn read(&mut self, name: &str) -> Result<Tensor, CheckpointError> {
        let Some(tensor) = self.stored.iter().find(|tensor| tensor.name == name).cloned() else {
            return Err(CheckpointError::damaged(&self.path, format!("no tensor {name}")));
        };
        let path = self.path.clone();
        let misfit =
            || CheckpointError::Pickle { path: path.clone(), error: PickleError::Tensor(name.into()) };
        let StoredTensor { storage, shape, stride, offset, .. } = tensor;
        let kind = kind_of(storage.number);
        let bytes = match &mut self.storages {
            Storages::Program(program) => {
                storage.place.and_then(|place| program.get(place)).ok_or_else(misfit)?
            }
            Storages::Zip { zip, root, is_big_endian } => {
                if self.last.as_ref().is_none_or(|(key, _)| *key != storage.key) {
                    let mut bytes = unzip(zip, &format!("{root}/data/{}", storage.key))
                        .map_err(|error| CheckpointError::Pickle { path: path.clone(), error })?;
                    if *is_big_endian {
                        bytes.chunks_mut(kind.elt_size_in_bytes()).for_each(<[u8]>::reverse);
                    }
                    self.last = Some((storage.key.clone(), bytes));
                }
                self.last.as_ref().map_or(&[][..], |(_, bytes)| bytes)
            }
        };
        let numel = i64::try_from(bytes.len() / kind.elt_size_in_bytes()).map_err(|_| misfit())?;
        if numel != storage.numel {
            return Err(misfit());
        }
        let whole = tensor_of(bytes, &[numel], kind).map_err(|_| misfit())?;
        Ok(whole.f_as_strided(&shape, &stride, offset)?.f_contiguous()?)
    }
}

fn unzip(zip: &mut ZipArchive<BufReader<File>>, name: &str) -> Result<Vec<u8>, PickleError> {
    let refused = |what: String| PickleError::Zip(format!("{name}: {what}"));
    let mut member = zip.by_name(name).map_err(|error| refused(error.to_string()))?;
    let mut bytes = Vec::new();
    // Grows with what is there, not with what the header promises.
    member.read_to_end(&mut bytes).map_err(|error| refused(error.to_string()))?;
    Ok(bytes)
}

/// `ROOT/data.pkl`
fn is_pickle(name: &str) -> bool {
    name.strip_suffix("/data.pkl").is_some_and(|root| !root.is_empty() && !root.contains('/'))
}

/// Number format of a storage.
const fn kind_of(number: Number) -> Kind {
    match number {
        Number::F32 => Kind::Float,
        Number::F64 => Kind::Double,
        Number::F16 => Kind::Half,
        Number::Bf16 => Kind::BFloat16,
        Number::I64 => Kind::Int64,
        Number::I32 => Kind::Int,
        Number::I16 => Kind::Int16,
        Number::I8 => Kind::Int8,
        Number::U8 => Kind::Uint8,
        Number::Bool => Kind::Bool,
    }
}

fn run(program: &[u8]) -> Result<Values<'_>, PickleError> {
    pairmill_pickle::run(program, Dialect::Torch).map_err(PickleError::from)
}

#[cfg(test)]
mod tests;
