//! Where a file is not a trace, and why.

use std::fmt;

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The line, from 1.
    pub line: usize,
    /// The field in it, as `out.transmit.remote`; empty where it is the line as a whole.
    pub field: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The file is empty.
    Empty,
    /// The file is longer than [`MAX_OCTETS`](crate::MAX_OCTETS).
    FileTooLong,
    /// There are more lines than [`MAX_LINES`](crate::MAX_LINES).
    TooManyLines,
    /// The line is longer than [`MAX_LINE`](crate::MAX_LINE).
    LineTooLong,
    /// It is not JSON; the column counts octets, from 1.
    NotJson {
        /// Where in the line.
        column: usize,
        /// What the decoder of JSON says.
        why: String,
    },
    /// The first line names no version of this format; what it names instead.
    Version(String),
    /// The time of the line is before that of the line before it.
    Backwards,
    /// The field is not there.
    Missing,
    /// Something else is expected.
    Expected {
        /// What.
        what: Expected,
        /// What is there, cut where it is long.
        found: String,
    },
}

/// What is expected of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A JSON object.
    Object,
    /// An object with exactly one of these.
    OneOf(&'static [&'static str]),
    /// A JSON array.
    List,
    /// Text.
    Text,
    /// `true` or `false`.
    Boolean,
    /// A whole number up to this.
    Number(u64),
    /// An IP address.
    Address,
    /// An address and a port.
    Endpoint,
    /// Octets in hexadecimal.
    Octets,
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if !self.field.is_empty() {
            write!(f, ", {}", self.field)?;
        }
        f.write_str(": ")?;
        match &self.problem {
            Problem::Empty => f.write_str("the file is empty"),
            Problem::FileTooLong => write!(f, "the file has more than {} octets", crate::MAX_OCTETS),
            Problem::TooManyLines => write!(f, "the file has more than {} lines", crate::MAX_LINES),
            Problem::LineTooLong => write!(f, "the line has more than {} octets", crate::MAX_LINE),
            Problem::NotJson { column, why } => write!(f, "not JSON at column {column}: {why}"),
            Problem::Version(found) => write!(f, "{} is expected as the version, not {found}", crate::VERSION),
            Problem::Backwards => f.write_str("the time is before that of the line above"),
            Problem::Missing => f.write_str("it is missing"),
            Problem::Expected { what, found } => write!(f, "{what} is expected, not {found}"),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object => f.write_str("an object"),
            Self::OneOf(names) => write!(f, "one of {}", names.join(", ")),
            Self::List => f.write_str("a list"),
            Self::Text => f.write_str("text"),
            Self::Boolean => f.write_str("true or false"),
            Self::Number(most) => write!(f, "a whole number up to {most}"),
            Self::Address => f.write_str("an IP address"),
            Self::Endpoint => f.write_str("an address and a port"),
            Self::Octets => f.write_str("an even number of hexadecimal digits"),
        }
    }
}

impl std::error::Error for Located {}
