//! JSON for the page: what the core hands out and takes in, through serde and in few instructions.
//!
//! serde's derived code is made anew for each type and each format. `serde_json` has it inline that a field may come
//! at any place, once, or not, and that a sink may refuse; for the page's types that is a fifth of the core. Here the
//! fields of a struct are looked up one after the other in a document that was read before, and a sink is a string.
//! What is written is what `serde_json` writes, octet for octet, and a test compares the two.
//!
//! Not there: numbers that are not whole, and maps whose keys are no text.

mod read;
mod tree;
mod write;

pub use read::read;
pub use tree::Damage;
pub use write::{Unwritable, write};
