//! Values to JSON.

use std::fmt::{self, Display, Write as _};

use serde::Serialize;
use serde::ser::{
    Error, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple, SerializeTupleStruct,
    SerializeTupleVariant, Serializer,
};

/// Writes a value.
///
/// # Errors
/// It says itself that it cannot be written, or it has what this format has not.
pub fn write<T: Serialize + ?Sized>(value: &T) -> Result<String, Unwritable> {
    let mut writer = Writer { out: String::new() };
    value.serialize(&mut writer)?;
    Ok(writer.out)
}

/// A value has no JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwritable;

impl Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what was asked for has no JSON")
    }
}

impl std::error::Error for Unwritable {}

impl Error for Unwritable {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

type Done = Result<(), Unwritable>;

/// What was written. Whether a comma is due shows at its end: a value never ends as an array or an object begins.
struct Writer {
    out: String,
}

impl Writer {
    #[inline(never)]
    fn put(&mut self, text: &str) -> Done {
        self.out.push_str(text);
        Ok(())
    }

    #[inline(never)]
    fn next(&mut self) {
        if !matches!(self.out.as_bytes().last(), Some(b'[' | b'{')) {
            self.out.push(',');
        }
    }

    #[inline(never)]
    fn text(&mut self, text: &str) -> Done {
        self.out.push('"');
        Escaped(self).write_str(text).map_err(|_| Unwritable)?;
        self.put("\"")
    }

    #[inline(never)]
    fn display(&mut self, text: &dyn Display) -> Done {
        self.out.push('"');
        write!(Escaped(self), "{text}").map_err(|_| Unwritable)?;
        self.put("\"")
    }

    #[inline(never)]
    fn number(&mut self, number: u64) -> Done {
        write!(self.out, "{number}").map_err(|_| Unwritable)
    }

    /// The name of the next field.
    #[inline(never)]
    fn name(&mut self, name: &str) -> Done {
        self.next();
        self.text(name)?;
        self.put(":")
    }

    /// What a variant with a value begins with.
    #[inline(never)]
    fn variant(&mut self, name: &str, opening: &str) -> Done {
        self.out.push('{');
        self.name(name)?;
        self.put(opening)
    }
}

/// The inside of a text.
struct Escaped<'w>(&'w mut Writer);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let out = &mut self.0.out;
        let mut rest = text;
        while let Some(plain) = rest.bytes().position(|octet| octet < b' ' || octet == b'"' || octet == b'\\') {
            out.push_str(&rest[..plain]);
            match rest.as_bytes()[plain] {
                b'\n' => out.push_str("\\n"),
                b'\r' => out.push_str("\\r"),
                b'\t' => out.push_str("\\t"),
                8 => out.push_str("\\b"),
                12 => out.push_str("\\f"),
                octet if octet < b' ' => write!(out, "\\u{octet:04x}")?,
                octet => {
                    out.push('\\');
                    out.push(char::from(octet));
                }
            }
            rest = &rest[plain + 1..];
        }
        out.push_str(rest);
        Ok(())
    }
}

impl Serializer for &mut Writer {
    type Ok = ();
    type Error = Unwritable;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    fn serialize_bool(self, flag: bool) -> Done {
        self.put(if flag { "true" } else { "false" })
    }

    fn serialize_i8(self, number: i8) -> Done {
        self.serialize_i64(number.into())
    }

    fn serialize_i16(self, number: i16) -> Done {
        self.serialize_i64(number.into())
    }

    fn serialize_i32(self, number: i32) -> Done {
        self.serialize_i64(number.into())
    }

    fn serialize_i64(self, number: i64) -> Done {
        if number < 0 {
            self.out.push('-');
        }
        self.number(number.unsigned_abs())
    }

    fn serialize_u8(self, number: u8) -> Done {
        self.number(number.into())
    }

    fn serialize_u16(self, number: u16) -> Done {
        self.number(number.into())
    }

    fn serialize_u32(self, number: u32) -> Done {
        self.number(number.into())
    }

    fn serialize_u64(self, number: u64) -> Done {
        self.number(number)
    }

    fn serialize_f32(self, _: f32) -> Done {
        Err(Unwritable)
    }

    fn serialize_f64(self, _: f64) -> Done {
        Err(Unwritable)
    }

    fn serialize_char(self, c: char) -> Done {
        self.display(&c)
    }

    fn serialize_str(self, text: &str) -> Done {
        self.text(text)
    }

    fn serialize_bytes(self, octets: &[u8]) -> Done {
        self.collect_seq(octets)
    }

    fn serialize_none(self) -> Done {
        self.put("null")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Done {
        self.put("null")
    }

    fn serialize_unit_struct(self, _: &'static str) -> Done {
        self.put("null")
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Done {
        self.text(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Done {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Done {
        self.variant(variant, "")?;
        value.serialize(&mut *self)?;
        self.put("}")
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Unwritable> {
        self.put("[")?;
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Unwritable> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Unwritable> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self, Unwritable> {
        self.variant(variant, "[")?;
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Unwritable> {
        self.put("{")?;
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Unwritable> {
        self.serialize_map(None)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self, Unwritable> {
        self.variant(variant, "{")?;
        Ok(self)
    }

    fn collect_seq<I: IntoIterator<Item: Serialize>>(self, items: I) -> Done {
        self.put("[")?;
        for item in items {
            self.next();
            item.serialize(&mut *self)?;
        }
        self.put("]")
    }

    fn collect_str<T: Display + ?Sized>(self, text: &T) -> Done {
        self.display(&text)
    }
}

impl SerializeSeq for &mut Writer {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.next();
        value.serialize(&mut **self)
    }

    fn end(self) -> Done {
        self.put("]")
    }
}

impl SerializeTuple for &mut Writer {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        SerializeSeq::serialize_element(self, value)
    }

    fn end(self) -> Done {
        self.put("]")
    }
}

impl SerializeTupleStruct for &mut Writer {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        SerializeSeq::serialize_element(self, value)
    }

    fn end(self) -> Done {
        self.put("]")
    }
}

impl SerializeTupleVariant for &mut Writer {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        SerializeSeq::serialize_element(self, value)
    }

    fn end(self) -> Done {
        self.put("]}")
    }
}

impl SerializeMap for &mut Writer {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        self.next();
        let begin = self.out.len();
        key.serialize(&mut **self)?;
        if self.out.as_bytes().get(begin) == Some(&b'"') { Ok(()) } else { Err(Unwritable) }
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.put(":")?;
        value.serialize(&mut **self)
    }

    fn end(self) -> Done {
        self.put("}")
    }
}

impl SerializeStruct for &mut Writer {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Done {
        self.name(name)?;
        value.serialize(&mut **self)
    }

    fn end(self) -> Done {
        self.put("}")
    }
}

impl SerializeStructVariant for &mut Writer {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Done {
        SerializeStruct::serialize_field(self, name, value)
    }

    fn end(self) -> Done {
        self.put("}}")
    }
}
