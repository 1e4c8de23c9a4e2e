//! What the page says, as keys and operands. The words are templates in `web/i18n/`, one per key and
//! language; no sentence is made here.

use std::fmt;

use pinhole_proto::sorted::SortedMap;
use serde::Serialize;

/// A sentence, a label or a word: the key of a template and what goes into it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Text {
    /// The template's key.
    pub key: String,
    /// What goes into it, by name.
    #[serde(skip_serializing_if = "SortedMap::is_empty")]
    pub with: SortedMap<&'static str, Operand>,
}

/// What goes into a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Operand {
    /// Words of the protocol that are the same in every language: endpoints, names, numbers.
    Literal(String),
    /// Something that has a template of its own.
    Text(Text),
    /// Several of those.
    List(Vec<Text>),
}

impl Text {
    /// The template `key` without operands.
    #[must_use]
    pub fn of(key: impl Into<String>) -> Self {
        Self { key: key.into(), with: SortedMap::new() }
    }

    /// The same with a literal operand.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.with.insert(name, Operand::Literal(value.to_string()));
        self
    }

    /// The same with an operand that is translated, too.
    #[must_use]
    pub fn with_text(mut self, name: &'static str, value: Self) -> Self {
        self.with.insert(name, Operand::Text(value));
        self
    }

    /// The same with several such operands.
    #[must_use]
    pub fn with_list(mut self, name: &'static str, values: Vec<Self>) -> Self {
        self.with.insert(name, Operand::List(values));
        self
    }
}
