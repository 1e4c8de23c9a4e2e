//! The clock that counts through suspend.

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use pinhole_proto::{Duration, Instant};

/// `CLOCK_BOOTTIME`, counted from the moment at which the clock was made.
///
/// Drivers that are given copies of one clock agree on the time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Duration,
}

impl Clock {
    /// A clock that shows [`Instant::ZERO`].
    #[must_use]
    pub fn start() -> Self {
        Self { origin: boot_time() }
    }

    /// The time.
    #[must_use]
    pub fn now(self) -> Instant {
        Instant::ZERO + boot_time().saturating_sub(self.origin)
    }

    /// The moment in the terms of the system's clock.
    pub(crate) fn absolute(self, at: Instant) -> TimeSpec {
        let since_origin = Duration::from_micros(at.as_micros().min(FAR_FUTURE));
        TimeSpec::from_duration(self.origin + since_origin)
    }
}

fn boot_time() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).expect("Linux has CLOCK_BOOTTIME since 2.6.39")
}

/// A century, in microseconds: what is later than that is not waited for exactly.
const FAR_FUTURE: u64 = 100 * 365 * 86_400 * 1_000_000;
