//! The cross product of NAT behaviours, in the part that fits between two cups of tea; `pinhole-judge`
//! runs the rest.

use pinhole_judge::product::{self, Judgement, Part};
use pinhole_judge::{Allowed, Side};
use pinhole_proto::Transport;
use pinhole_sim::Rng;

use crate::oracle;

#[test]
fn every_pair_of_nats_over_udp_ends_as_the_oracle_says() {
    agrees(&product::run(&oracle(), Transport::Udp, Allowed::DEFAULT, Part::ALL), [0.7, 0.85]);
}

#[test]
fn each_technique_over_udp_reaches_whom_the_oracle_says() {
    for (rest, allowed) in Allowed::of(Transport::Udp).iter().enumerate() {
        agrees(&product::run(&oracle(), Transport::Udp, *allowed, Part { step: 7, rest }), [0.1, 0.9]);
    }
}

#[test]
fn every_tenth_pair_of_nats_over_tcp_ends_as_the_oracle_says() {
    agrees(&product::run(&oracle(), Transport::Tcp, Allowed::DEFAULT, Part { step: 10, rest: 3 }), [0.6, 0.8]);
}

#[test]
fn each_technique_over_tcp_reaches_whom_the_oracle_says() {
    for (rest, allowed) in Allowed::of(Transport::Tcp).iter().enumerate() {
        agrees(&product::run(&oracle(), Transport::Tcp, *allowed, Part { step: 60, rest }), [0.05, 0.8]);
    }
}

/// No difference, and a share of direct pairs that is neither nothing nor everything.
fn agrees(judgement: &Judgement, [least, most]: [f64; 2]) {
    let Judgement { pairs, direct, .. } = judgement;
    let share = *direct as f64 / *pairs as f64;
    println!("{pairs} pairs, {direct} direct");
    assert!(*pairs > 400 && (least..most).contains(&share), "{pairs} pairs, {direct} direct");
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
            let judge = |allowed: &Allowed| product::judge(&wrong, transport, *allowed, &sides, number).1;
            let difference = Allowed::of(transport).iter().find_map(judge).expect("the wrong row is noticed");
            assert_eq!((difference.pair.a, difference.pair.b), (a, sides[b]));
        }
    }
}
