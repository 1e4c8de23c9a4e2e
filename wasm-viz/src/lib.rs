//! The draft's diagrams, run by the real core: what the page shows, without a page.
//!
//! A [`Page`](page::Page) has a scenario of `pinhole_sim` and *branches*: runs of it, each with its own
//! edits. A run is a list of [steps](run::Step); the world after any of them is found by
//! doing the same again. A [`Frame`](frame::Frame) is what is to be seen after a
//! step, as keys and operands ([`text::Text`]); the words are in `web/i18n/`, and nothing here draws.
//!
//! Everything is plain Rust and tested natively; `facade.rs` hands it to the page as JSON.

pub mod api;
pub mod branch;
pub mod bytes;
mod duty;
pub mod errata;
pub mod export;
#[cfg(target_arch = "wasm32")]
pub mod facade;
pub mod frame;
pub mod hops;
pub mod json;
pub mod knows;
pub mod ladder;
pub mod lessons;
pub mod link;
pub mod machines;
pub mod matrix;
pub mod nats;
mod order;
pub mod outcome;
pub mod page;
pub mod past;
pub mod quiz;
pub mod race;
pub mod run;
pub mod scenarios;
pub mod script;
pub mod text;
pub mod trace;
pub mod why;
pub mod words;
