//! The peer's engine.
pub mod api;
pub use api::*;
