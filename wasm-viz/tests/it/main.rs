//! Tests of the page's core, by its public interface.
#![allow(clippy::unwrap_used)]

mod bytes;
mod page;
mod trace;
mod words;
