//! Where each part of a body is: a serializer that counts octets instead of writing them.
//!
//! A body has one encoding (`spec/wire.md`, "Bodies"), so walking a decoded value in the order in which it
//! is encoded gives the place of every field without a second decoder.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pinhole_proto::Endpoint;
use serde::Serialize;
use serde::ser::{
    self, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple, SerializeTupleStruct,
    SerializeTupleVariant, Serializer,
};

/// A part of a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Where it begins, from the first octet of the packet.
    pub at: usize,
    /// How many octets it has.
    pub length: usize,
    /// What it holds; empty where its parts say that.
    pub value: String,
    /// Its parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Self>,
}

impl Field {
    /// A field without parts.
    pub(super) fn leaf(name: impl Into<String>, at: usize, length: usize, value: impl fmt::Display) -> Self {
        Self { name: name.into(), at, length, value: value.to_string(), parts: Vec::new() }
    }

    /// Octets of which nothing is known.
    pub(crate) fn octets(octets: &[u8], at: usize) -> Self {
        Self::leaf("octets", at, octets.len(), hex(octets))
    }

    /// A field of parts that lie one after the other.
    pub(super) fn branch(name: impl Into<String>, at: usize, parts: Vec<Self>) -> Self {
        let end = parts.last().map_or(at, |part| part.at + part.length);
        Self { name: name.into(), at, length: end - at, value: String::new(), parts }
    }
}

/// The field `name` that holds `body`, encoded from `at` on.
///
/// # Panics
/// Never: bodies are made of what this walks.
pub(super) fn of_body<T: Serialize>(name: &str, at: usize, body: &T) -> Field {
    let mut walk = Walk { at };
    let mut field = body.serialize(&mut walk).expect("bodies hold only what the wire has");
    field.name = name.to_owned();
    field
}

struct Walk {
    at: usize,
}

/// A value that the wire does not have.
#[derive(Debug)]
struct Foreign;

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a value of the wire")
    }
}

impl std::error::Error for Foreign {}

impl ser::Error for Foreign {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl Walk {
    fn leaf(&mut self, length: usize, value: impl fmt::Display) -> Result<Field, Foreign> {
        let at = self.at;
        self.at += length;
        Ok(Field::leaf("", at, length, value))
    }

    fn number(&mut self, number: u64) -> Result<Field, Foreign> {
        self.leaf(leb128(number), number)
    }
}

/// The octets of a number in minimal LEB128.
const fn leb128(number: u64) -> usize {
    let bits = 64 - (number | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Collects the parts of a list or a tuple.
struct Parts<'a> {
    walk: &'a mut Walk,
    at: usize,
    parts: Vec<Field>,
    name: Option<&'static str>,
}

impl Parts<'_> {
    fn push<T: Serialize + ?Sized>(&mut self, name: impl fmt::Display, value: &T) -> Result<(), Foreign> {
        let mut field = value.serialize(&mut *self.walk)?;
        field.name = name.to_string();
        self.parts.push(field);
        Ok(())
    }

    /// Octets are one string, and an endpoint is an endpoint.
    fn finish(self) -> Field {
        let (at, length) = (self.at, self.walk.at - self.at);
        let octets: Option<Vec<Vec<u8>>> = self.parts.iter().map(octets_of).collect();
        match octets.filter(|octets| !octets.is_empty() && self.name.is_none()) {
            Some(octets) => {
                let endpoint = (octets.len() == 3).then(|| endpoint(&octets.concat())).flatten();
                let value = endpoint.map_or_else(|| hex(&octets.concat()), |endpoint| endpoint.to_string());
                Field::leaf("", at, length, value)
            }
            None => Field { name: String::new(), at, length, value: String::new(), parts: self.parts },
        }
    }
}

/// The octets of a part that is one, or a string of them.
fn octets_of(part: &Field) -> Option<Vec<u8>> {
    if !part.parts.is_empty() {
        return None;
    }
    match part.length {
        1 => part.value.parse().ok().map(|octet| vec![octet]),
        length if part.value.len() == length * 2 => {
            (0..length).map(|i| u8::from_str_radix(&part.value[i * 2..i * 2 + 2], 16).ok()).collect()
        }
        _ => None,
    }
}

/// An endpoint, if the octets are one: `spec/wire.md`, "Endpoint".
fn endpoint(octets: &[u8]) -> Option<Endpoint> {
    let (family, rest) = octets.split_first()?;
    let (address, port) = rest.split_last_chunk::<2>()?;
    let address: IpAddr = match family {
        4 => Ipv4Addr::from(<[u8; 4]>::try_from(address).ok()?).into(),
        6 => Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?).into(),
        _ => return None,
    };
    Some(Endpoint::new(address, u16::from_be_bytes(*port)))
}

/// Octets in hexadecimal, without spaces.
pub(crate) fn hex(octets: &[u8]) -> String {
    use fmt::Write as _;
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut out, octet| {
        let _ = write!(out, "{octet:02x}");
        out
    })
}

impl<'a> Serializer for &'a mut Walk {
    type Ok = Field;
    type Error = Foreign;
    type SerializeSeq = Parts<'a>;
    type SerializeTuple = Parts<'a>;
    type SerializeTupleStruct = Parts<'a>;
    type SerializeTupleVariant = Parts<'a>;
    type SerializeMap = Parts<'a>;
    type SerializeStruct = Parts<'a>;
    type SerializeStructVariant = Parts<'a>;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, v: bool) -> Result<Field, Foreign> {
        self.leaf(1, v)
    }
    fn serialize_u8(self, v: u8) -> Result<Field, Foreign> {
        self.leaf(1, v)
    }
    fn serialize_u16(self, v: u16) -> Result<Field, Foreign> {
        self.number(v.into())
    }
    fn serialize_u32(self, v: u32) -> Result<Field, Foreign> {
        self.number(v.into())
    }
    fn serialize_u64(self, v: u64) -> Result<Field, Foreign> {
        self.number(v)
    }
    fn serialize_i8(self, _: i8) -> Result<Field, Foreign> {
        Err(Foreign)
    }
    fn serialize_i16(self, _: i16) -> Result<Field, Foreign> {
        Err(Foreign)
    }
    fn serialize_i32(self, _: i32) -> Result<Field, Foreign> {
        Err(Foreign)
    }
    fn serialize_i64(self, _: i64) -> Result<Field, Foreign> {
        Err(Foreign)
    }
    fn serialize_f32(self, _: f32) -> Result<Field, Foreign> {
        Err(Foreign)
    }
    fn serialize_f64(self, _: f64) -> Result<Field, Foreign> {
        Err(Foreign)
    }
    fn serialize_char(self, _: char) -> Result<Field, Foreign> {
        Err(Foreign)
    }
    fn serialize_str(self, v: &str) -> Result<Field, Foreign> {
        self.leaf(leb128(v.len() as u64) + v.len(), v)
    }
    fn serialize_bytes(self, v: &[u8]) -> Result<Field, Foreign> {
        self.leaf(leb128(v.len() as u64) + v.len(), hex(v))
    }
    fn serialize_none(self) -> Result<Field, Foreign> {
        self.leaf(1, "-")
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Field, Foreign> {
        let at = self.at;
        self.at += 1;
        let mut field = value.serialize(&mut *self)?;
        field.length += field.at - at;
        field.at = at;
        Ok(field)
    }
    fn serialize_unit(self) -> Result<Field, Foreign> {
        self.leaf(0, "")
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<Field, Foreign> {
        self.leaf(0, "")
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<Field, Foreign> {
        Err(Foreign)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<Field, Foreign> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Field, Foreign> {
        Err(Foreign)
    }
    fn serialize_seq(self, len: Option<usize>) -> Result<Parts<'a>, Foreign> {
        let at = self.at;
        self.at += leb128(len.ok_or(Foreign)? as u64);
        Ok(Parts { walk: self, at, parts: Vec::new(), name: None })
    }
    fn serialize_tuple(self, _: usize) -> Result<Parts<'a>, Foreign> {
        let at = self.at;
        Ok(Parts { walk: self, at, parts: Vec::new(), name: None })
    }
    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Parts<'a>, Foreign> {
        let at = self.at;
        Ok(Parts { walk: self, at, parts: Vec::new(), name: Some(name) })
    }
    fn serialize_tuple_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Parts<'a>, Foreign> {
        Err(Foreign)
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Parts<'a>, Foreign> {
        Err(Foreign)
    }
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Parts<'a>, Foreign> {
        let at = self.at;
        Ok(Parts { walk: self, at, parts: Vec::new(), name: Some(name) })
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Parts<'a>, Foreign> {
        Err(Foreign)
    }
}

impl SerializeSeq for Parts<'_> {
    type Ok = Field;
    type Error = Foreign;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Foreign> {
        self.push(self.parts.len(), value)
    }
    fn end(self) -> Result<Field, Foreign> {
        Ok(self.finish())
    }
}

impl SerializeTuple for Parts<'_> {
    type Ok = Field;
    type Error = Foreign;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Foreign> {
        self.push(self.parts.len(), value)
    }
    fn end(self) -> Result<Field, Foreign> {
        Ok(self.finish())
    }
}

impl SerializeTupleStruct for Parts<'_> {
    type Ok = Field;
    type Error = Foreign;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Foreign> {
        self.push(self.parts.len(), value)
    }
    fn end(self) -> Result<Field, Foreign> {
        Ok(self.finish())
    }
}

impl SerializeTupleVariant for Parts<'_> {
    type Ok = Field;
    type Error = Foreign;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &T) -> Result<(), Foreign> {
        Err(Foreign)
    }
    fn end(self) -> Result<Field, Foreign> {
        Err(Foreign)
    }
}

impl SerializeMap for Parts<'_> {
    type Ok = Field;
    type Error = Foreign;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, _: &T) -> Result<(), Foreign> {
        Err(Foreign)
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, _: &T) -> Result<(), Foreign> {
        Err(Foreign)
    }
    fn end(self) -> Result<Field, Foreign> {
        Err(Foreign)
    }
}

impl SerializeStruct for Parts<'_> {
    type Ok = Field;
    type Error = Foreign;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Foreign> {
        self.push(name.replace('_', " "), value)
    }
    fn end(self) -> Result<Field, Foreign> {
        Ok(self.finish())
    }
}

impl SerializeStructVariant for Parts<'_> {
    type Ok = Field;
    type Error = Foreign;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, _: &T) -> Result<(), Foreign> {
        Err(Foreign)
    }
    fn end(self) -> Result<Field, Foreign> {
        Err(Foreign)
    }
}
