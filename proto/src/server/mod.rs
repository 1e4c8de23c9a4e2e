//! The server's engine.
pub mod api;
pub use api::*;
