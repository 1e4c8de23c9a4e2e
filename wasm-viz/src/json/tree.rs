//! A JSON document that was read, and where each value begins in it.

use std::fmt;

/// A value and its place in the text.
pub(super) struct Node {
    pub(super) at: usize,
    pub(super) value: Value,
}

/// A value.
pub(super) enum Value {
    Null,
    Flag(bool),
    /// A whole number that is not negative.
    Number(u64),
    Negative(i64),
    Text(String),
    List(Vec<Node>),
    /// Keys, which are texts, and values; no key is there twice.
    Object(Vec<(Node, Node)>),
}

/// What is wrong with a document, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    what: String,
    line: usize,
    column: usize,
}

/// What is wrong with a document, while it is read.
#[derive(Debug)]
pub(super) struct Fault(pub(super) Box<Cause>);

#[derive(Debug)]
pub(super) struct Cause {
    pub(super) what: String,
    /// Where; unknown as long as the value is not known that it is about.
    pub(super) at: Option<usize>,
    /// The field of a struct, or the element of an array, that is not there.
    pub(super) missing: Option<usize>,
}

/// Reads a document.
pub(super) fn tree(text: &str) -> Result<Node, Fault> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    let node = reader.value()?;
    reader.space();
    if reader.at < text.len() { Err(reader.wrong("trailing characters")) } else { Ok(node) }
}

/// The deepest that arrays and objects lie in each other: a call of the page needs eight.
const MAX_DEPTH: usize = 32;

struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn value(&mut self) -> Result<Node, Fault> {
        self.space();
        let at = self.at;
        let value = match self.peek() {
            Some(b'"') => Value::Text(self.text()?),
            Some(b'[') => Value::List(self.list()?),
            Some(b'{') => Value::Object(self.object()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ if self.word("null") => Value::Null,
            _ if self.word("true") => Value::Flag(true),
            _ if self.word("false") => Value::Flag(false),
            _ => return Err(self.wrong("expected a value")),
        };
        Ok(Node { at, value })
    }

    fn list(&mut self) -> Result<Vec<Node>, Fault> {
        let mut list = Vec::new();
        self.open()?;
        while self.goes_on(b']', list.is_empty())? {
            list.push(self.value()?);
        }
        Ok(list)
    }

    fn object(&mut self) -> Result<Vec<(Node, Node)>, Fault> {
        let mut object: Vec<(Node, Node)> = Vec::new();
        self.open()?;
        while self.goes_on(b'}', object.is_empty())? {
            self.space();
            let at = self.at;
            let key = self.text()?;
            if object.iter().any(|(known, _)| matches!(&known.value, Value::Text(known) if *known == key)) {
                return Err(self.wrong(&format!("duplicate field `{key}`")));
            }
            self.space();
            self.expect(b':')?;
            object.push((Node { at, value: Value::Text(key) }, self.value()?));
        }
        Ok(object)
    }

    /// Enters an array or an object.
    fn open(&mut self) -> Result<(), Fault> {
        self.at += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(self.wrong("too deep")) } else { Ok(()) }
    }

    /// Whether another element follows; leaves the array or the object where none does.
    fn goes_on(&mut self, end: u8, first: bool) -> Result<bool, Fault> {
        self.space();
        if self.peek() == Some(end) {
            self.at += 1;
            self.depth -= 1;
            return Ok(false);
        }
        if !first {
            self.expect(b',')?;
        }
        Ok(true)
    }

    fn number(&mut self) -> Result<Value, Fault> {
        let begin = self.at;
        let in_number = |octet: &u8| octet.is_ascii_alphanumeric() || b"+-.".contains(octet);
        self.at += self.text.as_bytes()[begin..].iter().take_while(|octet| in_number(octet)).count();
        let digits = &self.text[begin..self.at];
        let whole = digits.strip_prefix('-').unwrap_or(digits);
        let plain = whole.bytes().all(|octet| octet.is_ascii_digit()) && (whole == "0" || !whole.starts_with('0'));
        let read = || {
            if whole == digits {
                whole.parse().ok().map(Value::Number)
            } else {
                digits.parse().ok().filter(|number| *number < 0).map(Value::Negative)
            }
        };
        plain.then(read).flatten().ok_or_else(|| self.wrong("no whole number of 64 bits"))
    }

    fn text(&mut self) -> Result<String, Fault> {
        self.expect(b'"')?;
        let mut text = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(length) = rest.find(|c: char| c == '"' || c == '\\' || c < ' ') else {
                self.at = self.text.len();
                return Err(self.wrong("a text without an end"));
            };
            text.push_str(&rest[..length]);
            self.at += length + 1;
            match rest.as_bytes()[length] {
                b'"' => return Ok(text),
                b'\\' => text.push(self.escaped()?),
                _ => return Err(self.wrong("a control character in a text")),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, Fault> {
        let octet = self.peek();
        self.at += usize::from(octet.is_some());
        Ok(match octet {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let mut code = self.code()?;
                if (0xd800..0xdc00).contains(&code) && self.word("\\u") {
                    // The second half of what UTF-16 has in two; one that is none makes no character.
                    let low = self.code()?.wrapping_sub(0xdc00);
                    code = if low < 0x400 { 0x1_0000 + (code - 0xd800) * 0x400 + low } else { u32::MAX };
                }
                char::from_u32(code).ok_or_else(|| self.wrong("half a character"))?
            }
            _ => return Err(self.wrong("an unknown escape")),
        })
    }

    fn code(&mut self) -> Result<u32, Fault> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let code = digits.and_then(|digits| {
            digits.iter().try_fold(0, |code, digit| Some(code * 16 + char::from(*digit).to_digit(16)?))
        });
        let code = code.ok_or_else(|| self.wrong("an escape without four digits"))?;
        self.at += 4;
        Ok(code)
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Whether these characters follow; they are passed.
    fn word(&mut self, word: &str) -> bool {
        let there = self.text[self.at..].starts_with(word);
        self.at += if there { word.len() } else { 0 };
        there
    }

    fn expect(&mut self, octet: u8) -> Result<(), Fault> {
        if self.peek() != Some(octet) {
            return Err(self.wrong(&format!("expected `{}`", char::from(octet))));
        }
        self.at += 1;
        Ok(())
    }

    #[inline(never)]
    fn wrong(&self, what: &str) -> Fault {
        Fault(Box::new(Cause { what: what.to_owned(), at: Some(self.at), missing: None }))
    }
}

impl Fault {
    /// What it says in the end.
    pub(super) fn located(self, text: &str) -> Damage {
        let before = self.0.at.map_or("", |at| text.get(..at).unwrap_or(text));
        let line = before.bytes().filter(|octet| *octet == b'\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        Damage { what: self.0.what, line, column }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at line {} column {}", self.what, self.line, self.column)
    }
}

impl std::error::Error for Damage {}
