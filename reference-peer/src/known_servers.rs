//! The keys of servers whose URL names none: the first one seen is remembered per host and port.
//!
//! The file has one server a line, `host:port key`; empty lines and lines that begin with `#` are skipped,
//! and of two lines for one server the first counts. A line is appended once the server has proved that it
//! holds the key. A server that has another key later is refused until its line is deleted by hand.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use pinhole_proto::ServerKey;
use pinhole_proto::url::ServerUrl;

/// A file of server keys.
#[derive(Clone, Debug)]
pub struct KnownServers(PathBuf);

/// Why the file of known servers cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KnownServersError {
    /// It cannot be read or written.
    #[error("{}: {error}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// A line is not `host:port key`.
    #[error("{}, line {line}: not `host:port key`", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
}

impl KnownServers {
    /// The file at `path`, which need not exist.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The key remembered for the server, if there is one.
    ///
    /// # Errors
    /// The file cannot be read, or a line of it is malformed.
    // [R-DISC-015]
    pub fn find(&self, url: &ServerUrl) -> Result<Option<ServerKey>, KnownServersError> {
        let text = match fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(error)),
        };
        let wanted = place(url);
        let mut found = None;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = line.split_once(' ').and_then(|(place, key)| {
                let key = key.trim().parse::<ServerKey>().ok()?;
                Some((place, key))
            });
            let Some((place, key)) = key else {
                return Err(KnownServersError::Malformed { path: self.0.clone(), line: index + 1 });
            };
            if place == wanted && found.is_none() {
                found = Some(key);
            }
        }
        Ok(found)
    }

    /// Remembers the key of a server, for which [`find`](Self::find) knew none.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn remember(&self, url: &ServerUrl, key: ServerKey) -> Result<(), KnownServersError> {
        let append = || {
            if let Some(directory) = self.0.parent() {
                fs::create_dir_all(directory)?;
            }
            let mut file = OpenOptions::new().create(true).append(true).open(&self.0)?;
            // One write, so that lines of processes that start at the same time do not mix.
            file.write_all(format!("{} {key}\n", place(url)).as_bytes())
        };
        append().map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> KnownServersError {
        KnownServersError::Io { path: self.0.clone(), error }
    }
}

/// How a server is called in the file. Host names are compared without regard to case.
fn place(url: &ServerUrl) -> String {
    let place = ServerUrl { key: None, host: url.host.to_ascii_lowercase(), port: url.port };
    let text = place.to_string();
    text.strip_prefix("pinhole://").unwrap_or(&text).to_owned()
}
