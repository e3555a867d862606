//! A machine for the pickles that `torch.save` writes. It makes tensors, containers and scalars;
//! whatever else a pickle names is an error, and nothing is ever imported or called.
//!
//! Each instruction takes a bounded amount of memory. The instruction set is that of Python's `pickletools`, protocol 2 with the framing, short strings
//! and memo of protocols 4 and 5.

use super::globals::{Element, Global, global};
use super::objects::{Objects, StorageObject, TensorObject, Text, Value};

/// Instructions for some 200,000 tensors; bounds memory and time.
const MAX_INSTRUCTIONS: usize = 8 << 20;

/// Runs a pickle, which must be shorter than 4 GiB.
pub(super) fn load(pickle: &[u8]) -> Result<Objects<'_>, String> {
    let mut machine = Machine {
        at: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Vec::new(),
        objects: Objects {
            pickle,
            sequences: Vec::new(),
            dicts: Vec::new(),
            storages: Vec::new(),
            tensors: Vec::new(),
            root: Value::Other,
        },
    };
    for _ in 0..MAX_INSTRUCTIONS {
        let at = machine.at;
        match machine.step() {
            Ok(false) => {}
            Ok(true) => return Ok(machine.objects),
            Err(Problem::Damage(what)) => {
                return Err(format!("its pickle is damaged at byte {at}: {what}"));
            }
            Err(Problem::Refused(name)) => {
                return Err(format!(
                    "the pickle wants {name}, which is not a tensor, container or number; \
                     nothing was executed; save only the state dict, or use safetensors"
                ));
            }
        }
    }
    Err(format!(
        "its pickle has more than {MAX_INSTRUCTIONS} instructions; save only the state dict, or \
         use safetensors"
    ))
}

enum Problem {
    Damage(String),
    Refused(String),
}

impl From<&str> for Problem {
    fn from(what: &str) -> Self {
        Self::Damage(what.to_owned())
    }
}

type Step<T> = Result<T, Problem>;

struct Machine<'a> {
    at: usize,
    stack: Vec<Value>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: Vec<Value>,
    objects: Objects<'a>,
}

impl<'a> Machine<'a> {
    /// Runs one instruction; true at the end.
    fn step(&mut self) -> Step<bool> {
        match self.byte()? {
            // Protocol and frames.
            0x80 => {
                let protocol = self.byte()?;
                if !(2..=5).contains(&protocol) {
                    return Err(Problem::Damage(format!("protocol {protocol}")));
                }
            }
            0x95 => _ = self.take(8)?,
            // Scalars.
            b'N' | 0x88 | 0x89 => self.stack.push(Value::Other),
            b'K' => {
                let n = self.byte()?;
                self.stack.push(Value::Int(n.into()));
            }
            b'M' => {
                let n = u16::from_le_bytes(self.array()?);
                self.stack.push(Value::Int(n.into()));
            }
            b'J' => {
                let n = i32::from_le_bytes(self.array()?);
                self.stack.push(Value::Int(n.into()));
            }
            0x8a => {
                let len = self.byte()?;
                self.long(len.into())?;
            }
            0x8b => {
                let len = u32::from_le_bytes(self.array()?);
                self.long(len.into())?;
            }
            b'G' => {
                self.take(8)?;
                self.stack.push(Value::Other);
            }
            // Strings and bytes.
            0x8c => {
                let len = self.byte()?;
                self.text(len.into())?;
            }
            b'X' => {
                let len = u32::from_le_bytes(self.array()?);
                self.text(len.into())?;
            }
            0x8d => {
                let len = u64::from_le_bytes(self.array()?);
                self.text(len)?;
            }
            b'C' | b'U' => {
                let len = self.byte()?;
                self.bytes(len.into())?;
            }
            b'B' | b'T' => {
                let len = u32::from_le_bytes(self.array()?);
                self.bytes(len.into())?;
            }
            0x8e | 0x96 => {
                let len = u64::from_le_bytes(self.array()?);
                self.bytes(len)?;
            }
            // Containers.
            b'(' => self.marks.push(self.stack.len()),
            b']' | b')' => self.push_sequence(Vec::new()),
            b't' | b'l' => {
                let items = self.pop_to_mark()?;
                self.push_sequence(items);
            }
            count @ 0x85..=0x87 => {
                let items = self.pop_many(usize::from(count) - 0x84)?;
                self.push_sequence(items);
            }
            b'a' => {
                let item = self.pop()?;
                self.top_sequence()?.push(item);
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.top_sequence()?.extend(items);
            }
            b'}' => {
                let dict = self.dict(Vec::new());
                self.stack.push(dict);
            }
            b'd' => {
                let items = self.pop_to_mark()?;
                let dict = self.dict(pairs(&items)?);
                self.stack.push(dict);
            }
            b's' => {
                let items = self.pop_many(2)?;
                self.set_items(&items)?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set_items(&items)?;
            }
            0x8f => self.stack.push(Value::Other),
            0x90 => {
                self.pop_to_mark()?;
                self.peek()?;
            }
            0x91 => {
                self.pop_to_mark()?;
                self.stack.push(Value::Other);
            }
            // Stack and memo.
            b'0' => {
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            b'1' => _ = self.pop_to_mark()?,
            b'2' => {
                let top = self.peek()?;
                self.stack.push(top);
            }
            b'q' => {
                let slot = self.byte()?;
                self.memoize(slot.into())?;
            }
            b'r' => {
                let slot = u32::from_le_bytes(self.array()?);
                self.memoize(slot)?;
            }
            0x94 => {
                let top = self.peek()?;
                self.memo.push(top);
            }
            b'h' => {
                let slot = self.byte()?;
                self.recall(slot.into())?;
            }
            b'j' => {
                let slot = u32::from_le_bytes(self.array()?);
                self.recall(slot)?;
            }
            // Objects.
            b'c' => {
                let module = self.line()?;
                let name = self.line()?;
                self.push_global(module, name)?;
            }
            0x93 => {
                let names = self.pop_many(2)?;
                let [Value::Text(module), Value::Text(name)] = names[..] else {
                    return Err("a global without a name".into());
                };
                let (module, name) = (self.objects.text(module), self.objects.text(name));
                self.push_global(module, name)?;
            }
            b'R' | 0x81 => {
                let call = self.pop_many(2)?;
                let [Value::Global(global), Value::Sequence(arguments)] = call[..] else {
                    return Err("a call of something that is not a known name".into());
                };
                let result = self.call(global, arguments)?;
                self.stack.push(result);
            }
            // State of an object: the attributes of an OrderedDict or of a list of arguments.
            b'b' => {
                self.pop()?;
                self.peek()?;
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                self.stack.push(storage);
            }
            b'.' => {
                self.objects.root = self.pop()?;
                return Ok(true);
            }
            other => {
                return Err(Problem::Damage(format!(
                    "instruction 0x{other:02x} is not one that torch.save writes"
                )));
            }
        }
        Ok(false)
    }

    fn call(&mut self, function: Global, arguments: u32) -> Step<Value> {
        let arguments = self.objects.sequence(arguments);
        match (function, arguments) {
            (Global::OrderedDict, []) => Ok(self.dict(Vec::new())),
            (
                Global::RebuildTensor,
                &[
                    Value::Storage(storage),
                    Value::Int(offset),
                    Value::Sequence(shape),
                    Value::Sequence(strides),
                    ..,
                ],
            ) => match self.objects.storage(storage).element {
                Some(element) => Ok(self.tensor(storage, element, offset, shape, strides)),
                None => Err("a tensor on a storage without a type".into()),
            },
            (
                Global::RebuildTensorOfType,
                &[
                    Value::Storage(storage),
                    Value::Int(offset),
                    Value::Sequence(shape),
                    Value::Sequence(strides),
                    _,
                    _,
                    Value::Global(Global::Element(element)),
                    ..,
                ],
            ) => Ok(self.tensor(storage, element, offset, shape, strides)),
            (Global::RebuildParameter, &[tensor @ Value::Tensor(_), ..]) => Ok(tensor),
            (Global::Size, &[sizes @ Value::Sequence(_)]) => Ok(sizes),
            (Global::Inert, _) => Ok(Value::Other),
            _ => Err("a call with arguments that torch.save does not write".into()),
        }
    }

    fn tensor(
        &mut self,
        storage: u32,
        element: Element,
        offset: i64,
        shape: u32,
        strides: u32,
    ) -> Value {
        let number = self.objects.tensors.len() as u32;
        self.objects.tensors.push(TensorObject {
            storage,
            element,
            offset,
            shape,
            strides,
        });
        Value::Tensor(number)
    }

    /// A storage from what the pickle calls it: `("storage", class, key, device, length)`.
    fn storage(&mut self, id: Value) -> Step<Value> {
        let Value::Sequence(id) = id else {
            return Err("a reference that is not to a storage".into());
        };
        let &[
            Value::Text(kind),
            Value::Global(Global::Storage(element)),
            Value::Text(key),
            _,
            Value::Int(len),
        ] = self.objects.sequence(id)
        else {
            return Err("a reference that is not to a storage".into());
        };
        if self.objects.text(kind) != "storage" {
            return Err("a reference that is not to a storage".into());
        }
        let number = self.objects.storages.len() as u32;
        self.objects
            .storages
            .push(StorageObject { key, element, len });
        Ok(Value::Storage(number))
    }

    fn push_global(&mut self, module: &str, name: &str) -> Step<()> {
        let Some(global) = global(module, name) else {
            let full: String = format!("{module}.{name}").chars().take(100).collect();
            return Err(Problem::Refused(full.escape_debug().to_string()));
        };
        self.stack.push(Value::Global(global));
        Ok(())
    }

    fn push_sequence(&mut self, items: Vec<Value>) {
        let number = self.objects.sequences.len() as u32;
        self.objects.sequences.push(items);
        self.stack.push(Value::Sequence(number));
    }

    fn dict(&mut self, items: Vec<(Value, Value)>) -> Value {
        let number = self.objects.dicts.len() as u32;
        self.objects.dicts.push(items);
        Value::Dict(number)
    }

    fn top_sequence(&mut self) -> Step<&mut Vec<Value>> {
        match self.peek()? {
            Value::Sequence(number) => Ok(&mut self.objects.sequences[number as usize]),
            _ => Err("an item for something that is not a list".into()),
        }
    }

    fn set_items(&mut self, items: &[Value]) -> Step<()> {
        let pairs = pairs(items)?;
        match self.peek()? {
            Value::Dict(number) => self.objects.dicts[number as usize].extend(pairs),
            // Argument lists and sets are not looked at.
            Value::Other => {}
            _ => return Err("an item for something that is not a dict".into()),
        }
        Ok(())
    }

    /// Writers number their slots in order, so that a slot far away is never needed.
    fn memoize(&mut self, slot: u32) -> Step<()> {
        let top = self.peek()?;
        let slot = slot as usize;
        if slot == self.memo.len() {
            self.memo.push(top);
        } else {
            *self
                .memo
                .get_mut(slot)
                .ok_or("a memo slot is passed over")? = top;
        }
        Ok(())
    }

    fn recall(&mut self, slot: u32) -> Step<()> {
        let value = *self
            .memo
            .get(slot as usize)
            .ok_or("an empty memo slot is read")?;
        self.stack.push(value);
        Ok(())
    }

    fn peek(&self) -> Step<Value> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.last() {
            Some(&top) if self.stack.len() > floor => Ok(top),
            _ => Err("the stack is empty".into()),
        }
    }

    fn pop(&mut self) -> Step<Value> {
        let top = self.peek()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_many(&mut self, count: usize) -> Step<Vec<Value>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len().checked_sub(count) {
            Some(start) if start >= floor => Ok(self.stack.split_off(start)),
            _ => Err("the stack is empty".into()),
        }
    }

    fn pop_to_mark(&mut self) -> Step<Vec<Value>> {
        let mark = self.marks.pop().ok_or("no mark is open")?;
        Ok(self.stack.split_off(mark))
    }

    fn long(&mut self, len: u64) -> Step<()> {
        let bytes = self.take(len)?;
        let negative = bytes.last().is_some_and(|&top| top >= 0x80);
        let value = if bytes.len() <= 8 {
            let mut wide = [if negative { 0xff } else { 0 }; 8];
            wide[..bytes.len()].copy_from_slice(bytes);
            Value::Int(i64::from_le_bytes(wide))
        } else {
            Value::Other
        };
        self.stack.push(value);
        Ok(())
    }

    fn text(&mut self, len: u64) -> Step<()> {
        let start = self.at;
        let bytes = self.take(len)?;
        if std::str::from_utf8(bytes).is_err() {
            return Err("a string that is not UTF-8".into());
        }
        self.stack.push(Value::Text(Text {
            start: start as u32,
            len: bytes.len() as u32,
        }));
        Ok(())
    }

    fn bytes(&mut self, len: u64) -> Step<()> {
        self.take(len)?;
        self.stack.push(Value::Other);
        Ok(())
    }

    fn line(&mut self) -> Step<&'a str> {
        let rest = &self.objects.pickle[self.at..];
        let end = rest.iter().position(|&b| b == b'\n');
        let line = end
            .and_then(|end| std::str::from_utf8(&rest[..end]).ok())
            .ok_or("a name without an end")?;
        self.at += line.len() + 1;
        Ok(line)
    }

    fn byte(&mut self) -> Step<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let bytes = self.take(N as u64)?;
        Ok(bytes.try_into().expect("as many bytes were taken"))
    }

    fn take(&mut self, len: u64) -> Step<&'a [u8]> {
        let rest = &self.objects.pickle[self.at..];
        match usize::try_from(len).ok().and_then(|len| rest.get(..len)) {
            Some(bytes) => {
                self.at += bytes.len();
                Ok(bytes)
            }
            None => Err("the pickle ends there".into()),
        }
    }
}

fn pairs(items: &[Value]) -> Step<Vec<(Value, Value)>> {
    if !items.len().is_multiple_of(2) {
        return Err("a key without a value".into());
    }
    Ok(items.chunks_exact(2).map(|p| (p[0], p[1])).collect())
}
