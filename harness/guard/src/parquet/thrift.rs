//! Thrift's compact protocol, walked over bytes: nothing is kept, nothing recurses deeper than a bound.

/// Structs within structs, at most; parquet's own footers have about six.
const MAX_DEPTH: usize = 24;

/// Why bytes are no such structure: what was expected, or that they end too early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Broken {
    /// The bytes end within a value.
    Short,
    /// A value that cannot be.
    Wrong(String),
    /// A list that is longer than what is read.
    Many(String),
}

/// The type of a field or of a list's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind(u8);

impl Kind {
    /// A field that is false, and has no byte beyond its type.
    pub(super) const FALSE: Self = Self(2);
    pub(super) const BINARY: Self = Self(8);
    pub(super) const LIST: Self = Self(9);
    pub(super) const STRUCT: Self = Self(12);

    fn is_integer(self) -> bool {
        (3..=6).contains(&self.0)
    }
}

/// A place in the bytes.
pub(super) struct Walker<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

type Walked<T> = Result<T, Broken>;

impl<'a> Walker<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0 }
    }

    /// How many bytes were walked over.
    pub(super) fn walked(&self) -> usize {
        self.at
    }

    /// Walks a struct: `field` is asked about each field and says whether it took the value; what it leaves is skipped.
    pub(super) fn fields(&mut self, mut field: impl FnMut(&mut Self, i16, Kind) -> Walked<bool>) -> Walked<()> {
        self.deeper()?;
        let mut id: i16 = 0;
        loop {
            let head = self.byte()?;
            if head == 0 {
                break;
            }
            let kind = Kind(head & 0x0f);
            id = match head >> 4 {
                0 => i16::try_from(self.zigzag()?).map_err(|_| wrong("a field's number"))?,
                step => id.checked_add(i16::from(step)).ok_or_else(|| wrong("a field's number"))?,
            };
            let before = self.at;
            if !field(self, id, kind)? {
                self.at = before;
                self.skip(kind)?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Walks a list of structs or others: `element` walks over one of them. At most `most` elements.
    pub(super) fn list(&mut self, most: usize, wanted: Kind, mut element: impl FnMut(&mut Self) -> Walked<()>) -> Walked<()> {
        let (count, kind) = self.list_head()?;
        if kind != wanted && count > 0 {
            return Err(wrong("the type of a list"));
        }
        if count > most {
            return Err(Broken::Many(format!("a list of {count}, the limit is {most}")));
        }
        (0..count).try_for_each(|_| element(self))
    }

    pub(super) fn integer(&mut self, kind: Kind) -> Walked<i64> {
        match kind {
            Kind(3) => Ok(i64::from(self.byte()?.cast_signed())),
            kind if kind.is_integer() => self.zigzag(),
            _ => Err(wrong("an integer")),
        }
    }

    pub(super) fn binary(&mut self, kind: Kind) -> Walked<&'a [u8]> {
        if kind != Kind::BINARY {
            return Err(wrong("a text"));
        }
        let length = usize::try_from(self.varint()?).map_err(|_| wrong("a length"))?;
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len()).ok_or(Broken::Short)?;
        let found = &self.bytes[self.at..end];
        self.at = end;
        Ok(found)
    }

    fn skip(&mut self, kind: Kind) -> Walked<()> {
        match kind.0 {
            1 | 2 => Ok(()),
            _ => self.skip_value(kind),
        }
    }

    /// A value that has bytes of its own: an element's, or a field's other than a boolean.
    fn skip_value(&mut self, kind: Kind) -> Walked<()> {
        match kind.0 {
            1..=3 => self.byte().map(drop),
            4..=6 => self.varint().map(drop),
            7 => self.over(8),
            8 => self.binary(kind).map(drop),
            9 | 10 => {
                self.deeper()?;
                let (count, kind) = self.list_head()?;
                (0..count).try_for_each(|_| self.skip_value(kind))?;
                self.depth -= 1;
                Ok(())
            }
            11 => {
                self.deeper()?;
                let count = self.count()?;
                if count > 0 {
                    let kinds = self.byte()?;
                    for _ in 0..count {
                        self.skip_value(Kind(kinds >> 4))?;
                        self.skip_value(Kind(kinds & 0x0f))?;
                    }
                }
                self.depth -= 1;
                Ok(())
            }
            12 => self.fields(|_, _, _| Ok(false)),
            _ => Err(wrong("a type")),
        }
    }

    fn list_head(&mut self) -> Walked<(usize, Kind)> {
        let head = self.byte()?;
        let count = if head >> 4 == 15 { self.count()? } else { usize::from(head >> 4) };
        // Each element has a byte at least.
        if count > self.bytes.len() - self.at {
            return Err(Broken::Short);
        }
        Ok((count, Kind(head & 0x0f)))
    }

    fn count(&mut self) -> Walked<usize> {
        let count = usize::try_from(self.varint()?).map_err(|_| wrong("a count"))?;
        if count > self.bytes.len() - self.at { Err(Broken::Short) } else { Ok(count) }
    }

    fn zigzag(&mut self) -> Walked<i64> {
        let raw = self.varint()?;
        Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }

    fn varint(&mut self) -> Walked<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(wrong("a number"))
    }

    fn byte(&mut self) -> Walked<u8> {
        let byte = *self.bytes.get(self.at).ok_or(Broken::Short)?;
        self.at += 1;
        Ok(byte)
    }

    fn over(&mut self, count: usize) -> Walked<()> {
        self.at = self.at.checked_add(count).filter(|end| *end <= self.bytes.len()).ok_or(Broken::Short)?;
        Ok(())
    }

    fn deeper(&mut self) -> Walked<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(wrong("the depth of structs in structs")) } else { Ok(()) }
    }
}

pub(super) fn wrong(what: &str) -> Broken {
    Broken::Wrong(format!("{what} that cannot be"))
}
