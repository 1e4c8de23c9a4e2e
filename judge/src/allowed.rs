//! Which strategies the peers of a run take part in.

use pinhole_proto::Transport;
use pinhole_proto::peer::StrategySet;
use pinhole_proto::wire::code::Strategy;

/// A set of strategies with a name. What a run may come to is what the oracle has of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Its name on the command line.
    pub name: &'static str,
    /// What both peers take part in.
    pub strategies: StrategySet,
    /// Whether both users asked for the birthday method.
    pub birthday: bool,
}

impl Allowed {
    /// What peers do unless their users say otherwise.
    pub const DEFAULT: Self = Self { name: "default", strategies: StrategySet::ALL, birthday: false };
    /// Everything.
    pub const ALL: Self = Self { name: "all", strategies: StrategySet::ALL, birthday: true };
    /// Plain attempts alone.
    pub const PLAIN: Self = Self::alone("plain", Strategy::PLAIN);
    const LOW_TTL: Self = Self::alone("low-ttl", Strategy::LOW_TTL);
    const PREDICTED: Self = Self::alone("predicted", Strategy::PREDICTED);
    /// Guesses without a plain attempt: the birthday method begins where prediction found that it cannot work.
    const GUESSED: Self = Self {
        name: "guessed",
        strategies: StrategySet::NONE.with(Strategy::PREDICTED).with(Strategy::BIRTHDAY),
        birthday: true,
    };
    const KEEP: Self = Self::alone("tcp-sequential-keep", Strategy::TCP_SEQUENTIAL_KEEP);

    const CLOSE: Self = Self::alone("tcp-sequential-close", Strategy::TCP_SEQUENTIAL_CLOSE);
    const TCP_PREDICTED: Self = Self::alone("tcp-predicted", Strategy::TCP_PREDICTED);

    const fn alone(name: &'static str, strategy: Strategy) -> Self {
        Self { name, strategies: StrategySet::NONE.with(strategy), birthday: false }
    }

    /// The sets that a transport is judged with.
    #[must_use]
    pub const fn of(transport: Transport) -> &'static [Self] {
        match transport {
            Transport::Udp => &[Self::DEFAULT, Self::ALL, Self::PLAIN, Self::LOW_TTL, Self::PREDICTED, Self::GUESSED],
            Transport::Tcp => {
                &[Self::DEFAULT, Self::PLAIN, Self::LOW_TTL, Self::KEEP, Self::CLOSE, Self::TCP_PREDICTED]
            }
        }
    }

    /// The set of a transport with a name.
    #[must_use]
    pub fn named(transport: Transport, name: &str) -> Option<Self> {
        Self::of(transport).iter().find(|allowed| allowed.name == name).copied()
    }

    /// Whether peers with this set may use what the oracle calls so.
    #[must_use]
    pub fn has(self, technique: &str) -> bool {
        self.strategies.iter().any(|strategy| {
            let opted = strategy != Strategy::BIRTHDAY || self.birthday;
            strategy.name() == technique && opted
        })
    }
}
