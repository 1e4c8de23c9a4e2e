//! stub
/// stub
pub fn prepare() {}
/// stub
pub fn run(_: &[u8]) {}
