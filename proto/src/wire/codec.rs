//! Bodies: a frozen subset of postcard, decoded strictly (`spec/wire.md`, "Bodies").
//!
//! postcard accepts several spellings of most values and ignores what follows. A spelling is accepted
//! here only if encoding the decoded value gives the same octets again, which a comparing
//! flavor checks without a buffer.

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::discard::Discard;

/// Decodes a body and its extensions, which fill `octets` together.
///
/// # Errors
/// [`Discard::BodyMalformed`], [`Discard::ExtensionMalformed`] or [`Discard::ExtensionUnknown`].
pub fn decode<T: DeserializeOwned + Serialize>(octets: &[u8]) -> Result<T, Discard> {
    let (value, rest) = decode_prefix(octets)?;
    super::extension::check(rest)?;
    Ok(value)
}

/// Decodes a body at the start of `octets` and returns what follows it.
///
/// # Errors
/// [`Discard::BodyMalformed`].
pub fn decode_prefix<T: DeserializeOwned + Serialize>(octets: &[u8]) -> Result<(T, &[u8]), Discard> {
    // [R-WIRE-023]
    let (value, rest): (T, &[u8]) = postcard::take_from_bytes(octets).map_err(|_| Discard::BodyMalformed)?;
    let consumed = octets.len() - rest.len();
    // [R-WIRE-020] [R-WIRE-021] [R-WIRE-024]
    let comparison = Comparison { expected: &octets[..consumed] };
    match postcard::serialize_with_flavor(&value, comparison) {
        Ok(true) => Ok((value, rest)),
        Ok(false) | Err(_) => Err(Discard::BodyMalformed),
    }
}

/// Appends the encoding of `value`.
///
/// # Panics
/// Never: bodies are finite tuples of encodable values.
pub fn encode<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    let before = core::mem::take(out);
    *out = postcard::to_extend(value, before).expect("bodies are finite tuples of encodable values");
}

/// Takes the octets of an encoding one by one and compares.
struct Comparison<'a> {
    expected: &'a [u8],
}

impl postcard::ser_flavors::Flavor for Comparison<'_> {
    type Output = bool;

    fn try_push(&mut self, octet: u8) -> postcard::Result<()> {
        match self.expected.split_first() {
            Some((&first, rest)) if first == octet => {
                self.expected = rest;
                Ok(())
            }
            _ => Err(postcard::Error::SerializeBufferFull),
        }
    }

    fn finalize(self) -> postcard::Result<bool> {
        Ok(self.expected.is_empty())
    }
}

/// A list of at most `MAX` elements. A longer one is refused before anything is allocated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> List<T, MAX> {
    /// The list of the first `MAX` elements.
    pub fn from_first(elements: impl IntoIterator<Item = T>) -> Self {
        Self(elements.into_iter().take(MAX).collect())
    }

    /// The elements.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }
}

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> core::ops::Deref for List<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Serialize, const MAX: usize> Serialize for List<T, MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

struct ListVisitor<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for ListVisitor<T, MAX> {
    type Value = List<T, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {MAX} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let claimed = seq.size_hint().unwrap_or(0);
        // [R-WIRE-022]
        if claimed > MAX {
            return Err(A::Error::custom("list too long"));
        }
        let mut elements = Vec::with_capacity(claimed);
        while let Some(element) = seq.next_element()? {
            if elements.len() == MAX {
                return Err(A::Error::custom("list too long"));
            }
            elements.push(element);
        }
        Ok(List(elements))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    type Sample = (u16, bool, Option<u32>, List<u8, 3>);

    #[test]
    fn every_value_has_one_spelling() {
        let valid = [0x80, 0x01, 1, 1, 5, 2, 9, 9];
        let (value, rest) = decode_prefix::<Sample>(&valid).unwrap();
        assert!(rest.is_empty());
        assert_eq!(value, (128, true, Some(5), List(vec![9, 9])));
        for invalid in [
            [0x80, 0x80, 0x00, 1, 1, 5, 0].as_slice(),
            &[0x00, 2, 0, 0],
            &[0x00, 0, 2, 5, 0],
            &[0x00, 0, 0, 0x82, 0x00, 9, 9],
            &[0x00, 0, 0, 4, 9, 9, 9, 9],
            &[0x00, 0, 0, 3, 9, 9],
            &[0x00, 0, 0, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, 9],
            &[0xff, 0xff, 0x07, 0, 0, 0],
            &[],
        ] {
            assert_eq!(decode_prefix::<Sample>(invalid).unwrap_err(), Discard::BodyMalformed, "{invalid:02x?}");
        }
    }
}
