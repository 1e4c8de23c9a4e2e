//! When something happened, on the clock that packet captures can be matched with.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// A moment of the system's monotonic clock (`CLOCK_MONOTONIC`), in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        // The clock exists on every system that has `clock_gettime`, so the error has no cause.
        Self(clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| {
            let since_boot = Duration::from(time);
            u64::try_from(since_boot.as_micros()).unwrap_or(u64::MAX)
        }))
    }

    /// Microseconds since the clock's origin.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this moment; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}
