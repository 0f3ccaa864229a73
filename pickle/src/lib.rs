//! The pickle machine: a stack and a memo over an arena of values. Instructions are those that torch's and NumPy's picklers
//! write (protocol 2, Python's `pickletools` documents them). Every value is made from at least one byte of the program, and
//! what instructions copy out of values that stand there once is counted, so memory is bounded by the program's length;
//! values are indices, so a value inside itself costs nothing. No class of the program is ever looked up or called: the few
//! names that each [`Dialect`] needs are an enum. Every other name of torch's pickles stands for itself, and what the
//! program would make of it is an [`Object`]: the values it is filled with, and nothing that could run.

mod legacy;

use std::ops::Range;

pub use legacy::{is_legacy, run_legacy};

/// Why a pickle is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// It wants a class we do not know.
    #[error("its pickle names {0}, which is not read")]
    Class(String),
    /// Numbers of a machine with another order of bytes.
    #[error("written on a big-endian machine in torch's old format, which is not read")]
    BigEndian,
    /// An instruction outside the subset.
    #[error("pickle instruction 0x{0:02x} is not read")]
    Opcode(u8),
    /// It breaks a rule.
    #[error("damaged pickle: {0}")]
    Damaged(&'static str),
    /// More values than anything real has.
    #[error("the number of values is over the limit of what is read")]
    TooLarge,
}

/// Whose pickles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `torch.save`, TorchScript: tensors, text as text.
    Torch,
    /// Dicts of lists and NumPy arrays. Byte strings stay where they are, [`Node::Bytes`]: they may be large.
    NumPy,
}

/// Most instructions, each of which makes one value at most; CIFAR-100 takes 200,000, a ViT-H with its optimiser's state
/// fewer. The length of a program says little: it may be mostly one byte string, or hold the numbers of a model.
const MAX_STEPS: usize = 8_000_000;

/// Place of a compound value in [`Values`].
pub type Id = usize;

/// A value; compound ones are in the arena.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// None, False, floats: nothing that tensors are found by.
    Plain,
    /// True.
    True,
    /// A whole number.
    Int(i64),
    /// A name of the few that are known.
    Class(Class),
    /// Text, list, dict, ...
    Compound(Id),
}

/// Names a pickle may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Class {
    /// `collections.OrderedDict`
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2`
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`
    RebuildParameter,
    /// `torch.FloatStorage` and its kin.
    Storage(Number),
    /// Functions of `torch.jit._pickle` that give their first argument back with a type; `torch.device`, `torch.Size`.
    First,
    /// `__torch__.…`: a module of a TorchScript archive, here just its attributes.
    Module,
    /// `numpy.core.multiarray._reconstruct`, which makes an empty array that its state then fills.
    Reconstruct,
    /// `numpy.ndarray`
    Array,
    /// `numpy.dtype`
    Dtype,
    /// `torch.storage._load_from_bytes`: a storage within the pickle, as Python's own `pickle.dump` keeps it.
    StorageInPickle,
    /// `torch._tensor._rebuild_from_type_v2`: a function applied to a tuple, with attributes of no weight.
    Apply,
    /// Any other name.
    Other,
}

/// Number formats of torch's storages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// `FloatStorage`
    F32,
    /// `DoubleStorage`
    F64,
    /// `HalfStorage`
    F16,
    /// `BFloat16Storage`
    Bf16,
    /// `LongStorage`
    I64,
    /// `IntStorage`
    I32,
    /// `ShortStorage`
    I16,
    /// `CharStorage`
    I8,
    /// `ByteStorage`
    U8,
    /// `BoolStorage`
    Bool,
}

impl Number {
    fn of_storage(class: &str) -> Option<Self> {
        Some(match class {
            "FloatStorage" => Self::F32,
            "DoubleStorage" => Self::F64,
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::Bf16,
            "LongStorage" => Self::I64,
            "IntStorage" => Self::I32,
            "ShortStorage" => Self::I16,
            "CharStorage" => Self::I8,
            "ByteStorage" => Self::U8,
            "BoolStorage" => Self::Bool,
            _ => return None,
        })
    }
}

impl Class {
    fn named(dialect: Dialect, module: &str, name: &str) -> Option<Self> {
        if dialect == Dialect::NumPy {
            return Some(match (module, name) {
                ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Self::Reconstruct,
                ("numpy", "ndarray") => Self::Array,
                ("numpy", "dtype") => Self::Dtype,
                _ => return None,
            });
        }
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Self::RebuildParameter
            }
            ("torch._tensor", "_rebuild_from_type_v2") => Self::Apply,
            ("torch.storage", "_load_from_bytes") => Self::StorageInPickle,
            ("torch", "device" | "Size") => Self::First,
            // What a module's set of names is made of.
            ("__builtin__" | "builtins", "set" | "frozenset" | "list" | "tuple") => Self::First,
            ("torch.jit._pickle", _) => Self::First,
            ("torch", name) => Number::of_storage(name).map_or(Self::Other, Self::Storage),
            _ if module == "__torch__" || module.starts_with("__torch__.") => Self::Module,
            _ => Self::Other,
        })
    }
}

/// Raw numbers in the zip.
#[derive(Debug, Clone, PartialEq)]
pub struct Storage {
    /// Name of the file below `data/`.
    pub key: String,
    /// Number format.
    pub number: Number,
    /// Number of numbers.
    pub numel: i64,
    /// Where they stand in the program, of a storage that is in no zip.
    pub place: Option<Range<usize>>,
}

/// A compound value.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Text.
    Text(String),
    /// A byte string: where in the program it stands.
    Bytes(Range<usize>),
    /// A list or a tuple.
    List(Vec<Value>),
    /// A dict, or the attributes of a scripted module, in order.
    Dict(Vec<(Value, Value)>),
    /// What the program would make of a class we know nothing of.
    Object(Object),
    /// Where a tensor's numbers are.
    Storage(Storage),
    /// Storage (an id of one), offset, shape and stride.
    Tensor {
        /// Its storage.
        storage: Id,
        /// First element within it.
        offset: i64,
        /// Sides.
        shape: Vec<i64>,
        /// Elements from one to the next along each side.
        stride: Vec<i64>,
    },
    /// A NumPy array.
    Array(Array),
    /// A NumPy number format, such as `u1`: where in the program it stands.
    Dtype(Range<usize>),
}

/// An object of any class: its attributes, in order. Whatever else its class would do with them is not done.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object {
    /// Names and values.
    pub attributes: Vec<(Value, Value)>,
}

/// A NumPy array: empty until its state comes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Array {
    /// Sides.
    pub shape: Vec<i64>,
    /// Number format: where in the program its name stands.
    pub dtype: Range<usize>,
    /// Whether columns come first.
    pub by_columns: bool,
    /// Its numbers: where in the program they stand.
    pub data: Range<usize>,
}

/// All values of a pickle and the one it stands for.
#[derive(Debug)]
pub struct Values<'a> {
    program: &'a [u8],
    nodes: Vec<Node>,
    /// What the pickle holds.
    pub root: Value,
    /// The first name in it that is none of the known ones.
    pub unknown: Option<String>,
}

impl<'a> Values<'a> {
    /// A byte string or text, wherever it is.
    pub fn bytes(&self, value: Value) -> Option<&[u8]> {
        match self.node(value)? {
            Node::Bytes(range) => self.program.get(range.clone()),
            Node::Text(text) => Some(text.as_bytes()),
            _ => None,
        }
    }

    /// A part of the program.
    pub fn slice(&self, range: &Range<usize>) -> &'a [u8] {
        self.program.get(range.clone()).unwrap_or_default()
    }

    /// The value of a dict's entry, its key text or bytes.
    pub fn entry(&self, dict: Value, key: &str) -> Option<Value> {
        let (Node::Dict(entries) | Node::Object(Object { attributes: entries })) = self.node(dict)? else {
            return None;
        };
        entries.iter().find(|(name, _)| self.bytes(*name) == Some(key.as_bytes())).map(|(_, value)| *value)
    }

    /// The items of a list or tuple.
    pub fn list(&self, value: Value) -> Option<&[Value]> {
        match self.node(value)? {
            Node::List(items) => Some(items),
            _ => None,
        }
    }

    /// The compound behind a value, if it is one.
    pub fn node(&self, value: Value) -> Option<&Node> {
        match value {
            Value::Compound(id) => self.nodes.get(id),
            _ => None,
        }
    }

    /// A storage by its id.
    pub fn storage(&self, id: Id) -> Option<&Storage> {
        match self.nodes.get(id) {
            Some(Node::Storage(storage)) => Some(storage),
            _ => None,
        }
    }
}

/// Runs a pickle.
///
/// # Errors
/// When it is damaged or wants more than plain values and tensors.
pub fn run(program: &[u8], dialect: Dialect) -> Result<Values<'_>, MachineError> {
    run_at(program, 0, dialect, Nesting::Outer).map(|(values, _)| values)
}

/// Whether the pickle may hold storages that are pickles again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nesting {
    Outer,
    Inner,
}

/// Runs the pickle that begins at byte `start`. Also returns where it ends.
fn run_at(
    program: &[u8],
    start: usize,
    dialect: Dialect,
    nesting: Nesting,
) -> Result<(Values<'_>, usize), MachineError> {
    let mut machine = Machine {
        dialect,
        nesting,
        program,
        rest: program.get(start..).unwrap_or_default(),
        nodes: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
        copied: 0,
        unknown: None,
    };
    for step in 0usize.. {
        if let Some(root) = machine.step()? {
            let end = program.len() - machine.rest.len();
            let Machine { nodes, unknown, .. } = machine;
            return Ok((Values { program, nodes, root, unknown }, end));
        }
        if step >= MAX_STEPS {
            break;
        }
    }
    Err(MachineError::TooLarge)
}

struct Machine<'a> {
    dialect: Dialect,
    nesting: Nesting,
    program: &'a [u8],
    rest: &'a [u8],
    nodes: Vec<Node>,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: Vec<Option<Value>>,
    /// Items copied out of values that stay where they are.
    copied: usize,
    unknown: Option<String>,
}

const ENDS: MachineError = MachineError::Damaged("it ends in the middle of an instruction");
const EMPTY: MachineError = MachineError::Damaged("an instruction finds too little on the stack");
const TYPE: MachineError = MachineError::Damaged("an instruction finds a value of the wrong type");

impl<'a> Machine<'a> {
    /// One instruction; the value of the whole at the end.
    fn step(&mut self) -> Result<Option<Value>, MachineError> {
        match self.u8()? {
            0x80 => drop(self.u8()?), // PROTO
            b'.' => return self.pop().map(Some),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            // None, False; True
            b'N' | 0x89 => self.stack.push(Value::Plain),
            0x88 => self.stack.push(Value::True),
            b'G' => {
                self.take(8)?;
                self.stack.push(Value::Plain);
            }
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.stack.push(Value::Int(value.into()));
            }
            b'K' => {
                let value = self.u8()?;
                self.stack.push(Value::Int(value.into()));
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.stack.push(Value::Int(value.into()));
            }
            0x8a => self.long()?,
            b'X' => self.text(4)?,
            0x8c => self.text(1)?,
            0x8d => self.text(8)?,
            // Bytes of Python 2's str, which is what its picklers wrote for text; bytes of Python 3.
            b'T' if self.dialect == Dialect::NumPy => self.byte_string(4)?,
            b'U' if self.dialect == Dialect::NumPy => self.byte_string(1)?,
            b'B' => self.byte_string(4)?,
            b'C' => self.byte_string(1)?,
            0x8e => self.byte_string(8)?,
            // FRAME: how many bytes follow, which nothing needs.
            0x95 => drop(self.take(8)?),
            b'T' => self.text(4)?,
            b'U' => self.text(1)?,
            // Lists, tuples and sets are all lists.
            b']' | b')' | 0x8f => self.push(Node::List(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            b't' | 0x91 => {
                let items = self.since_mark()?;
                self.push(Node::List(items));
            }
            short @ 0x85..=0x87 => {
                let count = usize::from(short - 0x84);
                let start = self.stack.len().checked_sub(count).ok_or(EMPTY)?;
                let items = self.above(start)?;
                self.push(Node::List(items));
            }
            b'a' => {
                let item = self.pop()?;
                self.add_items(&[item])?;
            }
            b'e' | 0x90 => {
                let items = self.since_mark()?;
                self.add_items(&items)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.top_dict()?.push((key, value));
            }
            b'u' => {
                let items = self.since_mark()?;
                let (pairs, []) = items.as_chunks::<2>() else {
                    return Err(MachineError::Damaged("a dict with a key and no value"));
                };
                self.top_dict()?.extend(pairs.iter().map(|&[key, value]| (key, value)));
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.class(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (module, name) = (self.text_of(module)?.to_owned(), self.text_of(name)?.to_owned());
                self.copies(module.len() + name.len())?;
                self.class(&module, &name)?;
            }
            b'q' => {
                let index = self.u8()?.into();
                self.remember(index)?;
            }
            b'r' => {
                let index = u32::from_le_bytes(self.array()?);
                self.remember(index as usize)?;
            }
            0x94 => self.remember(self.memo.len())?,
            b'h' => {
                let index = self.u8()?.into();
                self.recall(index)?;
            }
            b'j' => {
                let index = u32::from_le_bytes(self.array()?);
                self.recall(index as usize)?;
            }
            b'Q' => self.persistent()?,
            // REDUCE and NEWOBJ: a class applied to a tuple; NEWOBJ_EX: and to a dict
            b'R' | 0x81 => self.apply()?,
            0x92 => {
                self.pop()?;
                self.apply()?;
            }
            b'b' => self.build()?,
            other => return Err(MachineError::Opcode(other)),
        }
        Ok(None)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], MachineError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(ENDS)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], MachineError> {
        self.take(N)?.try_into().map_err(|_| ENDS)
    }

    fn u8(&mut self) -> Result<u8, MachineError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn line(&mut self) -> Result<&'a str, MachineError> {
        let end = self.rest.iter().position(|&byte| byte == b'\n').ok_or(ENDS)?;
        let line = self.take(end + 1)?;
        std::str::from_utf8(&line[..end]).map_err(|_| MachineError::Damaged("a name that is no text"))
    }

    /// Text with its length before it, in `width` bytes.
    fn text(&mut self, width: usize) -> Result<(), MachineError> {
        let length =
            self.take(width)?.iter().rev().fold(0usize, |length, &byte| length << 8 | usize::from(byte));
        let text = std::str::from_utf8(self.take(length)?)
            .map_err(|_| MachineError::Damaged("text that is not UTF-8"))?;
        self.push(Node::Text(text.to_owned()));
        Ok(())
    }

    /// As [`Machine::text`], left where it stands.
    fn byte_string(&mut self, width: usize) -> Result<(), MachineError> {
        let length = self.take(width)?.iter().rev().fold(0u64, |length, &byte| length << 8 | u64::from(byte));
        let start = self.program.len() - self.rest.len();
        let taken = self.take(usize::try_from(length).map_err(|_| ENDS)?)?.len();
        self.push(Node::Bytes(start..start + taken));
        Ok(())
    }

    /// A whole number of any length; tensors need no more than 8 bytes.
    fn long(&mut self) -> Result<(), MachineError> {
        let length = self.u8()?.into();
        let bytes = self.take(length)?;
        let mut value = [if bytes.last().is_some_and(|&byte| byte >= 0x80) { 0xff } else { 0 }; 8];
        let fits = length <= 8;
        if fits {
            value[..length].copy_from_slice(bytes);
        }
        self.stack.push(if fits { Value::Int(i64::from_le_bytes(value)) } else { Value::Plain });
        Ok(())
    }

    fn push(&mut self, node: Node) {
        self.stack.push(Value::Compound(self.nodes.len()));
        self.nodes.push(node);
    }

    fn pop(&mut self) -> Result<Value, MachineError> {
        if self.marks.last().is_some_and(|&mark| mark >= self.stack.len()) {
            return Err(EMPTY);
        }
        self.stack.pop().ok_or(EMPTY)
    }

    fn above(&mut self, start: usize) -> Result<Vec<Value>, MachineError> {
        if start > self.stack.len() || self.marks.last().is_some_and(|&mark| mark > start) {
            return Err(EMPTY);
        }
        Ok(self.stack.split_off(start))
    }

    fn since_mark(&mut self) -> Result<Vec<Value>, MachineError> {
        let mark = self.marks.pop().ok_or(EMPTY)?;
        self.above(mark)
    }

    fn top(&mut self) -> Result<Option<&mut Node>, MachineError> {
        match self.stack.last().ok_or(EMPTY)? {
            Value::Compound(id) => Ok(self.nodes.get_mut(*id)),
            _ => Ok(None),
        }
    }

    fn add_items(&mut self, items: &[Value]) -> Result<(), MachineError> {
        match self.top()? {
            Some(Node::List(list)) => list.extend(items),
            // Items of a class of its own are nothing that tensors are found by.
            Some(Node::Object(_)) => {}
            _ => return Err(TYPE),
        }
        Ok(())
    }

    fn top_dict(&mut self) -> Result<&mut Vec<(Value, Value)>, MachineError> {
        match self.top()? {
            Some(Node::Dict(dict) | Node::Object(Object { attributes: dict })) => Ok(dict),
            _ => Err(TYPE),
        }
    }

    fn class(&mut self, module: &str, name: &str) -> Result<(), MachineError> {
        let full = || shown(&format!("{module}.{name}"));
        let class = Class::named(self.dialect, module, name).ok_or_else(|| MachineError::Class(full()))?;
        if class == Class::Other && self.unknown.is_none() {
            self.unknown = Some(full());
        }
        self.stack.push(Value::Class(class));
        Ok(())
    }

    fn remember(&mut self, index: usize) -> Result<(), MachineError> {
        let value = *self.stack.last().ok_or(EMPTY)?;
        // Picklers count up; a far-off index only asks for memory.
        if index > self.memo.len() + 1 {
            return Err(MachineError::Damaged("memo entries out of order"));
        }
        if index >= self.memo.len() {
            self.memo.resize(index + 1, None);
        }
        self.memo[index] = Some(value);
        Ok(())
    }

    fn recall(&mut self, index: usize) -> Result<(), MachineError> {
        let value = self.memo.get(index).copied().flatten();
        self.stack.push(value.ok_or(MachineError::Damaged("a memo entry that was never made"))?);
        Ok(())
    }

    /// Counts a copy: a list that is made once and copied by every later instruction would take memory by the square of
    /// the program's length. Real ones copy shapes and keys of a few items, each a few bytes of the program apart.
    fn copies(&mut self, items: usize) -> Result<(), MachineError> {
        self.copied = self.copied.saturating_add(items);
        if self.copied > self.program.len() { Err(MachineError::TooLarge) } else { Ok(()) }
    }

    fn list_of(&self, value: Value) -> Result<&[Value], MachineError> {
        match value {
            Value::Compound(id) => match self.nodes.get(id) {
                Some(Node::List(list)) => Ok(list),
                _ => Err(TYPE),
            },
            _ => Err(TYPE),
        }
    }

    fn text_of(&self, value: Value) -> Result<&str, MachineError> {
        match value {
            Value::Compound(id) => match self.nodes.get(id) {
                Some(Node::Text(text)) => Ok(text),
                _ => Err(TYPE),
            },
            _ => Err(TYPE),
        }
    }

    /// `('storage', CLASS, KEY, DEVICE, NUMEL)`, in the old format with a view after it; there also
    /// `('module', CLASS, FILE, SOURCE)`, which is the class.
    fn persistent(&mut self) -> Result<(), MachineError> {
        const STORAGE: MachineError = MachineError::Damaged("a storage that is not described as one");
        let id = self.pop()?;
        let (word, number, key, numel) = match *self.list_of(id)? {
            [word, Value::Class(Class::Storage(number)), key, _device, Value::Int(numel)]
            | [word, Value::Class(Class::Storage(number)), key, _device, Value::Int(numel), Value::Plain] => {
                (word, number, key, numel)
            }
            [word, class @ Value::Class(_), _, _] if self.text_of(word)? == "module" => {
                self.stack.push(class);
                return Ok(());
            }
            _ => return Err(STORAGE),
        };
        if self.text_of(word)? != "storage" || numel < 0 {
            return Err(STORAGE);
        }
        let key = self.text_of(key)?.to_owned();
        self.copies(key.len())?;
        self.push(Node::Storage(Storage { key, number, numel, place: None }));
        Ok(())
    }

    fn apply(&mut self) -> Result<(), MachineError> {
        let arguments = self.pop()?;
        let callee = self.pop()?;
        let arguments = self.list_of(arguments)?.to_vec();
        self.copies(arguments.len())?;
        let class = match (callee, self.node(callee)) {
            (Value::Class(class), _) => class,
            // A function that an unknown one gave.
            (_, Some(Node::Object(_))) => Class::Other,
            _ => return Err(TYPE),
        };
        match class {
            Class::Other => self.push(Node::Object(Object::default())),
            Class::StorageInPickle => {
                let Some(Node::Bytes(range)) = arguments.first().and_then(|&bytes| self.node(bytes)) else {
                    return Err(TYPE);
                };
                let range = range.clone();
                self.copies(range.len())?;
                if self.nesting == Nesting::Inner {
                    return Err(MachineError::Damaged("a storage within a storage"));
                }
                let storage = legacy::storage_in(self.program, range)?;
                self.push(Node::Storage(storage));
            }
            Class::Apply => {
                let [function @ Value::Class(function_class), _, applied_to, ..] = arguments[..] else {
                    return Err(TYPE);
                };
                if function_class == Class::Apply {
                    return Err(TYPE);
                }
                self.stack.extend([function, applied_to]);
                self.apply()?;
            }
            Class::OrderedDict if arguments.is_empty() => self.push(Node::Dict(Vec::new())),
            // OrderedDict([(key, value), ...]), as older Pythons wrote it
            Class::OrderedDict => {
                let items = self.list_of(arguments[0])?.to_vec();
                let pair = |&item: &Value| match self.list_of(item)? {
                    &[key, value] => Ok((key, value)),
                    _ => Err(TYPE),
                };
                let dict: Vec<_> = items.iter().map(pair).collect::<Result<_, _>>()?;
                self.copies(dict.len())?;
                self.push(Node::Dict(dict));
            }
            Class::Module => self.push(Node::Dict(Vec::new())),
            Class::RebuildTensor => {
                let [Value::Compound(storage), Value::Int(offset), shape, stride, ..] = arguments[..] else {
                    return Err(MachineError::Damaged("a tensor that is not described as one"));
                };
                let (shape, stride) = (self.numbers(shape)?, self.numbers(stride)?);
                self.push(Node::Tensor { storage, offset, shape, stride });
            }
            Class::RebuildParameter | Class::First => {
                self.stack.push(arguments.first().copied().unwrap_or(Value::Plain));
            }
            // What it is called with says nothing that its state does not.
            Class::Reconstruct => self.push(Node::Array(Array::default())),
            Class::Dtype => match arguments.first().map(|&name| self.node(name)) {
                Some(Some(Node::Bytes(name))) => {
                    let name = name.clone();
                    self.push(Node::Dtype(name));
                }
                _ => return Err(TYPE),
            },
            Class::Storage(_) | Class::Array => return Err(TYPE),
        }
        Ok(())
    }

    fn node(&self, value: Value) -> Option<&Node> {
        match value {
            Value::Compound(id) => self.nodes.get(id),
            _ => None,
        }
    }

    fn numbers(&mut self, list: Value) -> Result<Vec<i64>, MachineError> {
        let number = |&value: &Value| if let Value::Int(number) = value { Ok(number) } else { Err(TYPE) };
        let numbers: Vec<_> = self.list_of(list)?.iter().map(number).collect::<Result<_, _>>()?;
        self.copies(numbers.len())?;
        Ok(numbers)
    }

    /// State put into an object: its attributes. On a dict it is `_metadata`, which no weight depends on.
    fn build(&mut self) -> Result<(), MachineError> {
        let mut state = self.pop()?;
        match self.top()? {
            Some(Node::Array(_)) => return self.fill_array(state),
            Some(Node::Object(_)) => {
                // Attributes with and without `__slots__`.
                if let Some(Node::List(pair)) = self.node(state)
                    && let [attributes, _] = pair[..]
                {
                    state = attributes;
                }
                if let Some(Node::Dict(attributes)) = self.node(state) {
                    let attributes = attributes.clone();
                    self.copies(attributes.len())?;
                    self.top_dict()?.extend(attributes);
                }
                return Ok(());
            }
            _ => {}
        }
        let Some(Node::Dict(attributes)) = self.node(state) else { return Ok(()) };
        let attributes = attributes.clone();
        self.copies(attributes.len())?;
        if let Some(Node::Dict(dict)) = self.top()?
            && dict.is_empty()
        {
            *dict = attributes;
        }
        Ok(())
    }
}

impl Machine<'_> {
    /// `(version, shape, dtype, by columns, data)`
    fn fill_array(&mut self, state: Value) -> Result<(), MachineError> {
        const ARRAY: MachineError = MachineError::Damaged("an array whose state is not one");
        let &[_, shape, dtype, order, data] = self.list_of(state)? else { return Err(ARRAY) };
        let (Some(Node::Dtype(dtype)), Some(Node::Bytes(data))) = (self.node(dtype), self.node(data)) else {
            return Err(ARRAY);
        };
        let (dtype, data) = (dtype.clone(), data.clone());
        let filled = Array { shape: self.numbers(shape)?, dtype, by_columns: order == Value::True, data };
        if let Some(Node::Array(array)) = self.top()? {
            *array = filled;
        }
        Ok(())
    }
}

/// Text from the file, short and in one line.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}
