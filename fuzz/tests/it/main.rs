//! Replays seeds and regressions with a stable compiler, and keeps what is generated fresh.

mod generated;
mod replay;
