//! The cross product of NAT behaviours, in the part that fits between two cups of tea; `pinhole-judge`
//! runs the rest.

use pinhole_judge::Side;
use pinhole_judge::product::{self, Judgement, Part};
use pinhole_proto::Transport;
use pinhole_sim::Rng;

use crate::oracle;

#[test]
fn every_pair_of_nats_over_udp_ends_as_the_oracle_says() {
    agrees(&product::run(&oracle(), Transport::Udp, Part::ALL));
}

#[test]
fn every_tenth_pair_of_nats_over_tcp_ends_as_the_oracle_says() {
    agrees(&product::run(&oracle(), Transport::Tcp, Part { step: 10, rest: 3 }));
}

fn agrees(judgement: &Judgement) {
    let Judgement { pairs, direct, .. } = judgement;
    println!("{pairs} pairs, {direct} direct");
    assert!(*pairs > 2_000 && *direct > pairs / 4 && *direct < pairs * 3 / 4, "{pairs} pairs, {direct} direct");
    let differences: Vec<String> = judgement.differences.iter().map(ToString::to_string).collect();
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn a_wrong_row_of_the_oracle_is_noticed() {
    let mut dice = Rng::new(20);
    for transport in [Transport::Udp, Transport::Tcp] {
        let sides = Side::all(transport);
        for _ in 0..20 {
            let number = dice.below((sides.len() * sides.len()) as u64) as usize;
            let (a, b) = (sides[number / sides.len()], number % sides.len());
            let wrong = oracle().mutated(transport, a, b);
            let (_, difference) = product::judge(&wrong, transport, &sides, number);
            let difference = difference.expect("the wrong row is noticed");
            assert_eq!((difference.pair.a, difference.pair.b), (a, sides[b]));
        }
    }
}
