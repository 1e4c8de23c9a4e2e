//! Sealing: ChaCha20-Poly1305 in place, the packet's header as associated data (`spec/security.md`, "Sealing").
//!
//! ring on native targets, RustCrypto on wasm32; the vectors hold both to the same octets.

use alloc::vec::Vec;

use crate::discard::Discard;

/// The length of the tag behind the ciphertext.
pub const TAG: usize = 16;

/// Seals `buffer[header..]` in place and appends the tag; `buffer[..header]` is authenticated.
pub fn seal(key: &[u8; 32], counter: u64, buffer: &mut Vec<u8>, header: usize) {
    // [R-SEC-030] [R-SEC-032]
    let (associated, plaintext) = buffer.split_at_mut(header);
    let tag = imp::seal(key, nonce(counter), associated, plaintext);
    buffer.extend_from_slice(&tag);
}

/// Opens `ciphertext` (with its tag) into a fresh buffer.
///
/// # Errors
/// [`Discard::DecryptFailed`] when the tag does not verify, [`Discard::TooShort`] when there is none.
pub fn open(key: &[u8; 32], counter: u64, header: &[u8], ciphertext: &[u8]) -> Result<Vec<u8>, Discard> {
    if ciphertext.len() < TAG {
        return Err(Discard::TooShort);
    }
    // [R-SEC-033]
    imp::open(key, nonce(counter), header, ciphertext.to_vec()).ok_or(Discard::DecryptFailed)
}

/// Four zero octets and the counter, big-endian.
// [R-SEC-031]
const fn nonce(counter: u64) -> [u8; 12] {
    let octets = counter.to_be_bytes();
    [0, 0, 0, 0, octets[0], octets[1], octets[2], octets[3], octets[4], octets[5], octets[6], octets[7]]
}

#[cfg(not(target_arch = "wasm32"))]
mod imp {
    use alloc::vec::Vec;
    use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

    fn cipher(key: &[u8; 32]) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).expect("the key has 32 octets"))
    }

    pub(super) fn seal(key: &[u8; 32], nonce: [u8; 12], associated: &[u8], plaintext: &mut [u8]) -> [u8; 16] {
        let tag = cipher(key)
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(associated), plaintext)
            .expect("a packet is shorter than the cipher's bound");
        tag.as_ref().try_into().expect("the tag has 16 octets")
    }

    pub(super) fn open(key: &[u8; 32], nonce: [u8; 12], associated: &[u8], mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let length = cipher(key).open_in_place(nonce, Aad::from(associated), &mut sealed).ok()?.len();
        sealed.truncate(length);
        Some(sealed)
    }
}

#[cfg(target_arch = "wasm32")]
use rust_crypto as imp;

#[cfg(any(target_arch = "wasm32", test))]
mod rust_crypto {
    use alloc::vec::Vec;
    use chacha20poly1305::{AeadInPlace as _, ChaCha20Poly1305, KeyInit as _, Tag};

    pub(super) fn seal(key: &[u8; 32], nonce: [u8; 12], associated: &[u8], plaintext: &mut [u8]) -> [u8; 16] {
        ChaCha20Poly1305::new(key.into())
            .encrypt_in_place_detached(&nonce.into(), associated, plaintext)
            .expect("a packet is shorter than the cipher's bound")
            .into()
    }

    pub(super) fn open(key: &[u8; 32], nonce: [u8; 12], associated: &[u8], mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        let tag_at = sealed.len().checked_sub(super::TAG)?;
        let tag = Tag::clone_from_slice(&sealed[tag_at..]);
        sealed.truncate(tag_at);
        ChaCha20Poly1305::new(key.into())
            .decrypt_in_place_detached(&nonce.into(), associated, &mut sealed, &tag)
            .ok()?;
        Some(sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn ring_and_rustcrypto_give_the_same_octets() {
        for length in [0, 1, 15, 16, 17, 63, 64, 65, 1136] {
            let (mut by_ring, mut by_rust) = (vec![0x5a; length], vec![0x5a; length]);
            let tags = (
                imp::seal(&[7; 32], nonce(9), b"header", &mut by_ring),
                rust_crypto::seal(&[7; 32], nonce(9), b"header", &mut by_rust),
            );
            assert_eq!(tags.0, tags.1);
            assert_eq!(by_ring, by_rust);
            by_ring.extend(tags.0);
            let opened = rust_crypto::open(&[7; 32], nonce(9), b"header", by_ring.clone());
            assert_eq!(opened, imp::open(&[7; 32], nonce(9), b"header", by_ring));
            assert_eq!(opened, Some(vec![0x5a; length]));
        }
    }

    // [R-SEC-033]
    #[test]
    fn a_changed_header_does_not_open() {
        let mut packet = b"headertext".to_vec();
        seal(&[1; 32], 2, &mut packet, 6);
        assert_eq!(open(&[1; 32], 2, &packet[..6], &packet[6..]).unwrap(), b"text");
        assert_eq!(open(&[1; 32], 2, b"Header", &packet[6..]), Err(Discard::DecryptFailed));
        assert_eq!(open(&[1; 32], 3, &packet[..6], &packet[6..]), Err(Discard::DecryptFailed));
    }
}
