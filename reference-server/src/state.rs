//! What outlives a start.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use anyhow::Context as _;

/// Where the key is kept when nobody says.
pub(crate) fn default_key_file() -> anyhow::Result<PathBuf> {
    let state = env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".local/state"));
    let state = state.or_else(home).context("there is no home directory for the key file: name one with --key-file")?;
    Ok(state.join("pinhole/server.key"))
}

/// A number that differs from the last start's: a counter beside the key file, or where that cannot be kept
/// a random number.
pub(crate) fn boot_number(key_file: &Path) -> u8 {
    let mut path = OsString::from(key_file);
    path.push(".boot");
    count(Path::new(&path)).unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot count the starts; the boot number is random");
        pinhole_driver::seed()[0]
    })
}

fn count(path: &Path) -> io::Result<u8> {
    let last = match fs::read_to_string(path) {
        Ok(text) => text.trim_end().parse().unwrap_or_else(|_| pinhole_driver::seed()[0]),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0_u8,
        Err(error) => return Err(error),
    };
    let this = last.wrapping_add(1);
    let mut draft = OsString::from(path);
    draft.push(".new");
    fs::write(&draft, format!("{this}\n"))?;
    fs::rename(&draft, path)?;
    Ok(this)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_start_has_another_number() {
        let folder = env::temp_dir().join(format!("pinhole-boot-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("counter");
        assert_eq!((count(&path).unwrap(), count(&path).unwrap()), (1, 2));
        fs::write(&path, "255\n").unwrap();
        assert_eq!(count(&path).unwrap(), 0);
        fs::write(&path, "garbage").unwrap();
        let first = count(&path).unwrap();
        assert_eq!(count(&path).unwrap(), first.wrapping_add(1));
        fs::remove_dir_all(&folder).unwrap();
    }
}
