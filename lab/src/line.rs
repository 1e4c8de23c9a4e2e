//! Access lines: what delays and loses packets between a site and the core of the network.

use std::time::Duration;

/// The access line of one site. Nothing on it rewrites a packet, not even its hop limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Line {
    /// From the site to the core.
    pub up: Way,
    /// From the core to the site.
    pub down: Way,
}

impl Line {
    /// A line without loss that takes `one_way` in each direction.
    #[must_use]
    pub fn with_delay(one_way: Duration) -> Self {
        let way = Way { delay: one_way, ..Way::default() };
        Self { up: way, down: way }
    }

    /// The same line, losing packets independently with a probability of `loss` (0 to 1) in each
    /// direction. The nth packet of a direction has the same fate in every run with the same seed.
    #[must_use]
    pub fn losing(self, loss: f64, seed: u64) -> Self {
        Self {
            up: Way { loss, seed, ..self.up },
            // Not the same pattern both ways, and still one seed to write down.
            down: Way { loss, seed: !seed, ..self.down },
        }
    }
}

/// One direction of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Way {
    /// How long a packet is under way.
    pub delay: Duration,
    /// The probability with which a packet is lost, 0 to 1.
    pub loss: f64,
    /// Decides which packets are lost.
    pub seed: u64,
}

/// The draws of one direction.
#[derive(Clone, Debug)]
pub(crate) struct Losses {
    loss: f64,
    state: u64,
}

impl Losses {
    pub(crate) fn new(way: Way) -> Self {
        Self { loss: way.loss, state: way.seed }
    }

    /// Whether the next packet is lost.
    ///
    /// The generator is `SplitMix64`, written out because a seed that is noted somewhere must lose the same
    /// packets years later; generators of libraries change between versions.
    pub(crate) fn draw(&mut self) -> bool {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let unit = (bits >> 11) as f64 / (1u64 << 53) as f64;
        unit < self.loss
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_loses_the_same_packets_every_time_and_about_as_many_as_asked() {
        let way = Way { loss: 0.05, seed: 7, ..Way::default() };
        let draw = || {
            let mut losses = Losses::new(way);
            (0..20_000).map(|_| losses.draw()).collect::<Vec<_>>()
        };
        assert_eq!(draw(), draw());
        let lost = draw().into_iter().filter(|lost| *lost).count();
        assert!((900..1_100).contains(&lost), "{lost} of 20,000");
    }

    #[test]
    fn a_line_without_loss_loses_nothing_and_one_with_all_of_it_everything() {
        let mut none = Losses::new(Way::default());
        let mut all = Losses::new(Way { loss: 1.0, ..Way::default() });
        assert!((0..1_000).all(|_| !none.draw() && all.draw()));
    }
}
