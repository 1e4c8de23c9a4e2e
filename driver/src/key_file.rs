//! The file that holds a secret key: one line of 52 characters of lower-case base32, for its owner only.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("cannot read the key file {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It does not exist and cannot be made.
    #[error("cannot create the key file {}", path.display())]
    Create {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds something else than a key.
    #[error("{} is not a key file: it should hold one line of 52 characters of lower-case base32", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
    },
}

/// Reads the secret in `path`; where there is no such file, makes a secret and the file, readable
/// for its owner only.
///
/// Two programs that start at once get the same secret: the file appears whole or not at all, and who comes
/// second reads it. A file that others may read is used all the same, with a warning in the log.
///
/// # Errors
/// See [`KeyFileError`].
pub fn load_or_create(path: impl AsRef<Path>) -> Result<[u8; 32], KeyFileError> {
    let path = path.as_ref();
    match load(path) {
        Err(KeyFileError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        loaded => return loaded,
    }
    match create(path) {
        Ok(secret) => Ok(secret),
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => load(path),
        Err(source) => Err(KeyFileError::Create { path: path.to_owned(), source }),
    }
}

fn load(path: &Path) -> Result<[u8; 32], KeyFileError> {
    let read = || -> io::Result<(String, u32)> {
        let file = File::open(path)?;
        let mode = file.metadata()?.permissions().mode();
        let mut text = String::new();
        file.take(MAX_FILE).read_to_string(&mut text)?;
        Ok((text, mode))
    };
    let malformed = || KeyFileError::Malformed { path: path.to_owned() };
    let (text, mode) = read().map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData => malformed(),
        _ => KeyFileError::Read { path: path.to_owned(), source },
    })?;
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others may read this key file: chmod 600 it");
    }
    let octets = base32().decode(text.trim_end().as_bytes()).ok();
    octets.and_then(|octets| octets.try_into().ok()).ok_or_else(malformed)
}

fn create(path: &Path) -> io::Result<[u8; 32]> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let secret = crate::seed();
    let draft = folder.join(format!(".key-{}", data_encoding::HEXLOWER.encode(&crate::seed()[..8])));
    let result = write_draft(&draft, &secret).and_then(|()| fs::hard_link(&draft, path));
    let removed = fs::remove_file(&draft);
    result.and(removed).map(|()| secret)
}

fn write_draft(draft: &Path, secret: &[u8; 32]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(draft)?;
    writeln!(file, "{}", base32().encode(secret))?;
    file.sync_all()
}

fn base32() -> data_encoding::Encoding {
    let mut specification = data_encoding::Specification::new();
    specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    specification.encoding().expect("the alphabet has 32 distinct symbols")
}

/// More than a key file has, so that a wrong file is not read to its end.
const MAX_FILE: u64 = 1_024;
