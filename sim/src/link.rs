//! Access lines: what happens to a packet between a machine and its network.

use pinhole_proto::Duration;

use crate::rng::{Chance, Rng};

/// The line of a host, or of a NAT on its outer side. A packet between two machines of one realm goes
/// up the sender's line and down the receiver's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Away from the machine.
    pub up: Way,
    /// Towards the machine.
    pub down: Way,
}

/// One direction of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// How long every packet takes.
    pub delay: Duration,
    /// A further delay, even between nothing and this; packets overtake each other where it is not zero.
    pub jitter: Duration,
    /// How likely a packet is lost.
    pub loss: Chance,
    /// How likely a packet arrives twice.
    pub duplication: Chance,
}

impl Line {
    /// A line without loss and with the same delay in both directions.
    #[must_use]
    pub const fn with_delay(delay: Duration) -> Self {
        let way = Way { delay, jitter: Duration::ZERO, loss: Chance::NEVER, duplication: Chance::NEVER };
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
        if self.jitter.is_zero() { self.delay } else { self.delay + rng.up_to(self.jitter) }
    }
}
