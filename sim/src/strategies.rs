//! Sets of strategies in JSON: the list of their names.

use alloc::string::String;
use alloc::vec::Vec;

use pinhole_proto::peer::StrategySet;
use pinhole_proto::wire::code::Strategy;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a peer allows that says nothing.
pub(crate) const fn all() -> StrategySet {
    StrategySet::ALL
}

pub(crate) fn serialize<S: Serializer>(set: &StrategySet, serializer: S) -> Result<S::Ok, S::Error> {
    let names: Vec<&str> = named().filter(|strategy| set.contains(*strategy)).map(Strategy::name).collect();
    names.serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StrategySet, D::Error> {
    let names: Vec<String> = Vec::deserialize(deserializer)?;
    names.iter().try_fold(StrategySet::NONE, |set, name| {
        let strategy = named().find(|strategy| strategy.name() == name);
        Ok(set.with(strategy.ok_or_else(|| D::Error::custom(format_args!("no strategy is called `{name}`")))?))
    })
}

/// Every strategy with a name.
fn named() -> impl Iterator<Item = Strategy> {
    (0..u8::MAX).map(Strategy).filter(|strategy| StrategySet::ALL.contains(*strategy))
}
