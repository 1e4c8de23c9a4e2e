//! Access lines: what happens to a packet between a machine and its network.

use pinhole_proto::Duration;
use serde::{Deserialize, Serialize};

use crate::millis;
use crate::rng::{Chance, Rng};

/// The line of a host, or of a NAT on its outer side. A packet between two machines of one realm goes
/// up the sender's line and down the receiver's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Line {
    /// Away from the machine.
    pub up: Way,
    /// Towards the machine.
    pub down: Way,
}

/// One direction of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Way {
    /// How long every packet takes.
    #[serde(rename = "delay-ms", with = "millis")]
    pub delay: Duration,
    /// A further delay, even between nothing and this; packets overtake each other where it is not zero.
    #[serde(rename = "jitter-ms", with = "millis")]
    pub jitter: Duration,
    /// How likely a packet is lost.
    #[serde(rename = "loss-ppm")]
    pub loss: Chance,
    /// How likely a packet arrives twice.
    #[serde(rename = "duplication-ppm")]
    pub duplication: Chance,
    /// How likely a packet is held back, so that those behind it overtake it.
    #[serde(rename = "reordering-ppm")]
    pub reordering: Chance,
    /// For how long it is held back.
    #[serde(rename = "hold-ms", with = "millis")]
    pub hold: Duration,
}

impl Line {
    /// A line without loss and with the same delay in both directions.
    #[must_use]
    pub const fn with_delay(delay: Duration) -> Self {
        let way = Way {
            delay,
            jitter: Duration::ZERO,
            loss: Chance::NEVER,
            duplication: Chance::NEVER,
            reordering: Chance::NEVER,
            hold: Duration::ZERO,
        };
        Self { up: way, down: way }
    }

    /// The same line with this loss in both directions.
    #[must_use]
    pub const fn with_loss(mut self, loss: Chance) -> Self {
        self.up.loss = loss;
        self.down.loss = loss;
        self
    }

    /// The same line with this jitter in both directions.
    #[must_use]
    pub const fn with_jitter(mut self, jitter: Duration) -> Self {
        self.up.jitter = jitter;
        self.down.jitter = jitter;
        self
    }

    /// The same line with this duplication in both directions.
    #[must_use]
    pub const fn with_duplication(mut self, duplication: Chance) -> Self {
        self.up.duplication = duplication;
        self.down.duplication = duplication;
        self
    }

    /// The same line that holds packets back with this chance and for so long, in both directions.
    #[must_use]
    pub const fn with_reordering(mut self, reordering: Chance, hold: Duration) -> Self {
        self.up.reordering = reordering;
        self.up.hold = hold;
        self.down.reordering = reordering;
        self.down.hold = hold;
        self
    }
}

impl Way {
    /// When the copies of one packet arrive, counted from its departure: none, one or two.
    pub(crate) fn carry(&self, rng: &mut Rng) -> [Option<Duration>; 2] {
        if rng.happens(self.loss) {
            return [None, None];
        }
        let first = Some(self.once(rng));
        let second = rng.happens(self.duplication).then(|| self.once(rng));
        [first, second]
    }

    fn once(&self, rng: &mut Rng) -> Duration {
        let held = if rng.happens(self.reordering) { self.hold } else { Duration::ZERO };
        let jitter = if self.jitter.is_zero() { Duration::ZERO } else { rng.up_to(self.jitter) };
        self.delay + jitter + held
    }
}
