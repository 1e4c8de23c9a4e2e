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
    let millis = u64::deserialize(deserializer)?;
    if millis > MAX_MILLIS {
        return Err(serde::de::Error::custom("a span above ten years"));
    }
    Ok(Duration::from_millis(millis))
}

const MAX_MILLIS: u64 = 10 * 365 * 24 * 3_600 * 1_000;
