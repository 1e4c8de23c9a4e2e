//! Spans of time in JSON: whole milliseconds.

use pinhole_proto::Duration;
use serde::{Deserialize as _, Deserializer, Serializer};

pub(crate) fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    if !span.subsec_nanos().is_multiple_of(1_000_000) {
        return Err(serde::ser::Error::custom("a span that is no whole number of milliseconds"));
    }
    let millis = u64::try_from(span.as_millis()).map_err(serde::ser::Error::custom)?;
    serializer.serialize_u64(millis)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    span(u64::deserialize(deserializer)?)
}

pub(crate) fn span<E: serde::de::Error>(millis: u64) -> Result<Duration, E> {
    if millis > MAX_MILLIS {
        return Err(E::custom("a span above ten years"));
    }
    Ok(Duration::from_millis(millis))
}

const MAX_MILLIS: u64 = 10 * 365 * 24 * 3_600 * 1_000;
