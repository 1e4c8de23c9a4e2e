//! Extensions: the one place where messages grow (`spec/wire.md`, "Extensions").
//!
//! ```text
//! type    2  big-endian; below 0x8000 it must be understood, from there on it may be ignored
//! length  2  big-endian
//! value   length
//! ```
//!
//! Behind a body, types ascending without repetition, at most 16.

use alloc::vec::Vec;

use crate::constants::MAX_EXTENSIONS;
use crate::discard::Discard;

/// Octets without meaning that make a packet longer.
pub const PADDING: u16 = 0x8001;

/// What became of the dial that a `Discover` on a stream asked for: one octet, a
/// [`DialBack`](super::code::DialBack), in `Discovered`.
pub const DIAL_BACK: u16 = 0x8002;

/// The smallest type that a receiver may ignore.
pub const IGNORABLE: u16 = 0x8000;

/// Checks the extensions that fill `octets`.
///
/// # Errors
/// [`Discard::ExtensionMalformed`] or [`Discard::ExtensionUnknown`].
pub fn check(mut octets: &[u8]) -> Result<(), Discard> {
    let mut before = None;
    let mut count = 0;
    // [R-WIRE-030]
    while !octets.is_empty() {
        let (&[k0, k1, l0, l1], rest) = octets.split_first_chunk::<4>().ok_or(Discard::ExtensionMalformed)?;
        let kind = u16::from_be_bytes([k0, k1]);
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        count += 1;
        // [R-WIRE-031]
        if before.is_some_and(|before| kind <= before) || rest.len() < length || count > MAX_EXTENSIONS {
            return Err(Discard::ExtensionMalformed);
        }
        // [R-WIRE-032] [R-WIRE-033] [R-WIRE-040]
        if kind < IGNORABLE {
            return Err(Discard::ExtensionUnknown);
        }
        before = Some(kind);
        octets = &rest[length..];
    }
    Ok(())
}

/// The value of an extension among those that fill `octets`, which [`check`] has passed.
#[must_use]
pub fn find(mut octets: &[u8], wanted: u16) -> Option<&[u8]> {
    while let Some((&[k0, k1, l0, l1], rest)) = octets.split_first_chunk::<4>() {
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
        if u16::from_be_bytes([k0, k1]) == wanted {
            return Some(value);
        }
        octets = rest;
    }
    None
}

/// Appends an extension. Types ascend: the caller sees to it.
pub fn put(kind: u16, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&kind.to_be_bytes());
    super::put_counted(value, out);
}

/// Appends a [`PADDING`] extension that has `length` octets with its own header; at least 4.
pub fn pad(length: usize, out: &mut Vec<u8>) {
    let value = u16::try_from(length.saturating_sub(4)).unwrap_or(u16::MAX);
    out.extend_from_slice(&PADDING.to_be_bytes());
    out.extend_from_slice(&value.to_be_bytes());
    out.resize(out.len() + usize::from(value), 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn an_extension_is_found_by_its_type_wherever_it_stands() {
        let mut octets = vec![];
        pad(5, &mut octets);
        put(DIAL_BACK, &[2], &mut octets);
        assert_eq!(check(&octets), Ok(()));
        assert_eq!(find(&octets, DIAL_BACK), Some([2].as_slice()));
        assert_eq!(find(&octets, PADDING), Some([0].as_slice()));
        assert_eq!(find(&octets, 0x8003), None);
    }

    #[test]
    fn extensions_ascend_and_must_be_understood_below_0x8000() {
        assert_eq!(check(&[]), Ok(()));
        let mut padded = vec![];
        pad(9, &mut padded);
        assert_eq!(padded.len(), 9);
        assert_eq!(check(&padded), Ok(()));
        assert_eq!(check(&[0x80, 0x0a, 0, 0, 0x80, 0x0b, 0, 1, 7]), Ok(()));
        assert_eq!(check(&[0x80, 0x0b, 0, 0, 0x80, 0x0a, 0, 0]), Err(Discard::ExtensionMalformed));
        assert_eq!(check(&[0x80, 0x0a, 0, 0, 0x80, 0x0a, 0, 0]), Err(Discard::ExtensionMalformed));
        assert_eq!(check(&[0x80, 0x0a, 0, 2, 0]), Err(Discard::ExtensionMalformed));
        assert_eq!(check(&[0x80, 0x0a, 0]), Err(Discard::ExtensionMalformed));
        assert_eq!(check(&[0x00, 0x01, 0, 0]), Err(Discard::ExtensionUnknown));
    }
}
