//! Tests of the page's core, by its public interface.
#![allow(clippy::unwrap_used)]

mod bytes;
mod capture;
mod duty;
mod json;
mod links;
mod page;
mod race;
mod scenarios;
mod suggestions;
mod trace;
mod words;
