//! The pickle machine: a stack and a memo over an arena of values. Instructions are those that torch's and NumPy's picklers
//! write (protocol 2, Python's `pickletools` documents them). Every value is made from at least one byte of the program, and
//! what instructions copy out of values that stand there once is counted, so memory is bounded by the program's length;
//! values are indices, so a value inside itself costs nothing. No class of the program is ever looked up or called: the few
//! names that each [`Dialect`] needs are an enum.

use std::ops::Range;

/// Why a pickle is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// It wants a class we do not know.
    #[error("its pickle names {0}, which is not read")]
    Class(String),
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

/// Most instructions of [`Dialect::NumPy`], each of which makes one value at most; CIFAR-100 takes 200,000. Its program is
/// mostly one byte string, so its length says little.
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
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", "device" | "Size") => Self::First,
            ("torch.jit._pickle", _) => Self::First,
            ("torch", name) => Self::Storage(Number::of_storage(name)?),
            _ if module == "__torch__" || module.starts_with("__torch__.") => Self::Module,
            _ => return None,
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
    /// A dict, or the attributes of a module, in order.
    Dict(Vec<(Value, Value)>),
    /// Where a tensor's numbers are.
    Storage(Storage),
    /// Storage (an id of one), offset, shape and stride.
    Tensor { storage: Id, offset: i64, shape: Vec<i64>, stride: Vec<i64> },
    /// A NumPy array.
    Array(Array),
    /// A NumPy number format, such as `u1`: where in the program it stands.
    Dtype(Range<usize>),
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
        let Some(Node::Dict(entries)) = self.node(dict) else { return None };
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
    let mut machine = Machine {
        dialect,
        length: program.len(),
        rest: program,
        nodes: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
        copied: 0,
    };
    for step in 0usize.. {
        if let Some(root) = machine.step()? {
            return Ok(Values { program, nodes: machine.nodes, root });
        }
        if dialect == Dialect::NumPy && step >= MAX_STEPS {
            break;
        }
    }
    Err(MachineError::TooLarge)
}

struct Machine<'a> {
    dialect: Dialect,
    length: usize,
    rest: &'a [u8],
    nodes: Vec<Node>,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: Vec<Option<Value>>,
    /// Items copied out of values that stay where they are.
    copied: usize,
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
            // Bytes of Python 2's str, which is what its picklers wrote for text; bytes of Python 3.
            b'T' | b'B' if self.dialect == Dialect::NumPy => self.byte_string(4)?,
            b'U' | b'C' if self.dialect == Dialect::NumPy => self.byte_string(1)?,
            0x8e if self.dialect == Dialect::NumPy => self.byte_string(8)?,
            // FRAME: how many bytes follow, which nothing needs.
            0x95 if self.dialect == Dialect::NumPy => drop(self.take(8)?),
            b'T' => self.text(4)?,
            b'U' => self.text(1)?,
            b']' | b')' => self.push(Node::List(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            b't' => {
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
                self.top_list()?.push(item);
            }
            b'e' => {
                let items = self.since_mark()?;
                self.top_list()?.extend(items);
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
                let class = Class::named(self.dialect, module, name)
                    .ok_or_else(|| MachineError::Class(shown(&format!("{module}.{name}"))))?;
                self.stack.push(Value::Class(class));
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
            // REDUCE and NEWOBJ: a class applied to a tuple
            b'R' | 0x81 => self.apply()?,
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
        let start = self.length - self.rest.len();
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

    fn top_list(&mut self) -> Result<&mut Vec<Value>, MachineError> {
        match self.top()? {
            Some(Node::List(list)) => Ok(list),
            _ => Err(TYPE),
        }
    }

    fn top_dict(&mut self) -> Result<&mut Vec<(Value, Value)>, MachineError> {
        match self.top()? {
            Some(Node::Dict(dict)) => Ok(dict),
            _ => Err(TYPE),
        }
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
        if self.copied > self.length { Err(MachineError::TooLarge) } else { Ok(()) }
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

    /// `('storage', CLASS, KEY, DEVICE, NUMEL)`
    fn persistent(&mut self) -> Result<(), MachineError> {
        let id = self.pop()?;
        let &[word, Value::Class(Class::Storage(number)), key, _device, Value::Int(numel)] =
            self.list_of(id)?
        else {
            return Err(MachineError::Damaged("a storage that is not described as one"));
        };
        if self.text_of(word)? != "storage" || numel < 0 {
            return Err(MachineError::Damaged("a storage that is not described as one"));
        }
        let key = self.text_of(key)?.to_owned();
        self.copies(key.len())?;
        self.push(Node::Storage(Storage { key, number, numel }));
        Ok(())
    }

    fn apply(&mut self) -> Result<(), MachineError> {
        let arguments = self.pop()?;
        let Value::Class(class) = self.pop()? else { return Err(TYPE) };
        let arguments = self.list_of(arguments)?.to_vec();
        self.copies(arguments.len())?;
        match class {
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

    /// State put into an object: the attributes of a module. On a dict it is `_metadata`, which no weight depends on.
    fn build(&mut self) -> Result<(), MachineError> {
        let state = self.pop()?;
        if let Some(Node::Array(_)) = self.top()? {
            return self.fill_array(state);
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
