//! The fields of a line, each with what is expected of it.

use pinhole_proto::{Address, Endpoint, Instant, NetError, Transport};
use serde_json::{Map, Value};

use crate::error::{Expected, Problem};
use crate::line::Octets;

/// What is wrong with a field.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) field: String,
    pub(crate) problem: Problem,
}

pub(crate) type Read<T> = Result<T, Fault>;
pub(crate) type Object = Map<String, Value>;

impl Fault {
    pub(crate) const fn here(problem: Problem) -> Self {
        Self { field: String::new(), problem }
    }

    fn expected(what: Expected, found: &Value) -> Self {
        let mut text = found.to_string();
        if let Some((at, _)) = text.char_indices().nth(MAX_FOUND) {
            text.truncate(at);
            text.push('…');
        }
        Self::here(Problem::Expected { what, found: text })
    }

    /// The same, of a field inside `name`.
    pub(crate) fn inside(mut self, name: &str) -> Self {
        self.field = if self.field.is_empty() { name.to_owned() } else { format!("{name}.{}", self.field) };
        self
    }
}

/// The field `name` of an object.
pub(crate) fn get<'v, T>(object: &'v Object, name: &str, read: impl FnOnce(&'v Value) -> Read<T>) -> Read<T> {
    let value = object.get(name).ok_or_else(|| Fault::here(Problem::Missing).inside(name))?;
    read(value).map_err(|fault| fault.inside(name))
}

/// The field `name` of an object; none where it is absent or `null`.
pub(crate) fn maybe<'v, T>(object: &'v Object, name: &str, read: impl FnOnce(&'v Value) -> Read<T>) -> Read<Option<T>> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => read(value).map(Some).map_err(|fault| fault.inside(name)),
    }
}

/// A value, or `null` for none.
pub(crate) fn optional<'v, T>(read: impl FnOnce(&'v Value) -> Read<T>) -> impl FnOnce(&'v Value) -> Read<Option<T>> {
    |value| if value.is_null() { Ok(None) } else { read(value).map(Some) }
}

pub(crate) fn object(value: &Value) -> Read<&Object> {
    value.as_object().ok_or_else(|| Fault::expected(Expected::Object, value))
}

/// The one of `names` that the object has, and its value.
pub(crate) fn one_of<'v>(object: &'v Object, names: &'static [&'static str]) -> Read<(&'static str, &'v Value)> {
    let mut found = names.iter().filter_map(|name| Some((*name, object.get(*name)?)));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        _ => {
            let keys: Vec<Value> = object.keys().map(|key| Value::from(key.as_str())).collect();
            Err(Fault::expected(Expected::OneOf(names), &Value::Array(keys)))
        }
    }
}

pub(crate) fn list(value: &Value) -> Read<&[Value]> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| Fault::expected(Expected::List, value))
}

pub(crate) fn text(value: &Value) -> Read<&str> {
    value.as_str().ok_or_else(|| Fault::expected(Expected::Text, value))
}

pub(crate) fn boolean(value: &Value) -> Read<bool> {
    value.as_bool().ok_or_else(|| Fault::expected(Expected::Boolean, value))
}

/// A whole number that `T` holds; `most` is the greatest that it does.
fn number<T: TryFrom<u64>>(value: &Value, most: u64) -> Read<T> {
    let number = value.as_u64().and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| Fault::expected(Expected::Number(most), value))
}

pub(crate) fn u8(value: &Value) -> Read<u8> {
    number(value, u8::MAX.into())
}

pub(crate) fn u16(value: &Value) -> Read<u16> {
    number(value, u16::MAX.into())
}

pub(crate) fn u32(value: &Value) -> Read<u32> {
    number(value, u32::MAX.into())
}

pub(crate) fn u64(value: &Value) -> Read<u64> {
    number(value, u64::MAX)
}

pub(crate) fn instant(value: &Value) -> Read<Instant> {
    u64(value).map(Instant::from_micros)
}

pub(crate) fn endpoint(value: &Value) -> Read<Endpoint> {
    let parsed = value.as_str().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| Fault::expected(Expected::Endpoint, value))
}

pub(crate) fn address(value: &Value) -> Read<Address> {
    let parsed = value.as_str().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| Fault::expected(Expected::Address, value))
}

pub(crate) fn octets(value: &Value) -> Read<Octets<'static>> {
    let decoded = value.as_str().and_then(|text| base16ct::lower::decode_vec(text).ok());
    decoded.map(Octets::owned).ok_or_else(|| Fault::expected(Expected::Octets, value))
}

/// One of several names.
pub(crate) fn named<T: Copy>(value: &Value, all: &[(&str, T)], names: &'static [&'static str]) -> Read<T> {
    let found = value.as_str().and_then(|text| all.iter().find(|(name, _)| *name == text));
    found.map(|(_, one)| *one).ok_or_else(|| Fault::expected(Expected::OneOf(names), value))
}

pub(crate) fn transport(value: &Value) -> Read<Transport> {
    named(value, &[("udp", Transport::Udp), ("tcp", Transport::Tcp)], &["udp", "tcp"])
}

pub(crate) fn net_error(value: &Value) -> Read<NetError> {
    named(
        value,
        &[
            ("address-in-use", NetError::AddressInUse),
            ("address-not-available", NetError::AddressNotAvailable),
            ("unreachable", NetError::Unreachable),
            ("not-permitted", NetError::NotPermitted),
            ("refused", NetError::Refused),
            ("reset", NetError::Reset),
            ("timed-out", NetError::TimedOut),
            ("other", NetError::Other),
        ],
        &[
            "address-in-use",
            "address-not-available",
            "unreachable",
            "not-permitted",
            "refused",
            "reset",
            "timed-out",
            "other",
        ],
    )
}

/// How many characters of what was found are told.
const MAX_FOUND: usize = 60;
