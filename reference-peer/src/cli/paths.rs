//! Where files are.

use std::env;
use std::path::PathBuf;

use super::args::Common;
use super::failure::{Exit, Failure};

/// The key file: the one named, or the one in the state directory of the XDG Base Directory Specification.
pub(crate) fn key_file(common: &Common) -> Result<PathBuf, Failure> {
    if let Some(path) = &common.key_file {
        return Ok(path.clone());
    }
    // The specification says that relative paths are to be ignored.
    let directory = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    directory("XDG_STATE_HOME")
        .or_else(|| directory("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("pinhole/peer.key"))
        .ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                "usage",
                "neither XDG_STATE_HOME nor HOME is set: name a key file with --key-file",
            )
        })
}
