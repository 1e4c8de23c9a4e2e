//! A fuzzer's input, read as a script, and the writer for seeds.
//!
//! Every operation is a few octets, so that an input cut, joined or spliced anywhere is a script again.

/// Reads a script. What is missing ends it.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    /// A script of these octets.
    #[must_use]
    pub const fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    /// The next octet.
    pub const fn octet(&mut self) -> Option<u8> {
        let Some((&first, rest)) = self.0.split_first() else { return None };
        self.0 = rest;
        Some(first)
    }

    /// A number below `bound`, from one octet.
    pub fn below(&mut self, bound: usize) -> Option<usize> {
        Some(usize::from(self.octet()?) % bound.max(1))
    }

    /// The next two octets, big-endian.
    pub fn word(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes([self.octet()?, self.octet()?]))
    }

    /// Octets that a length of one octet precedes; as many as there are.
    pub fn counted(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.octet()?).min(self.0.len());
        let (head, tail) = self.0.split_at(length);
        self.0 = tail;
        Some(head)
    }

    /// What is left.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.0
    }
}

/// Octets as [`Script::counted`] reads them; the first 255.
#[must_use]
pub fn counted(octets: &[u8]) -> Vec<u8> {
    let octets = &octets[..octets.len().min(255)];
    [&[octets.len() as u8], octets].concat()
}
