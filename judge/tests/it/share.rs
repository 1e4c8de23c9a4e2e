//! Guesses that hit now and then.

use pinhole_judge::share::{self, Guess, Share};
use pinhole_proto::Transport;

use crate::oracle;

#[test]
fn guesses_hit_as_often_as_the_oracle_says_while_others_take_ports() {
    let guesses = share::guesses(&oracle());
    assert!(guesses.len() >= 18, "{guesses:?}");
    // Wide windows and many sockets take long.
    let few = |guess: &Guess| match guess {
        Guess::Predicted(_, taken) => taken.width < 64,
        Guess::Birthday(sockets) => sockets.sockets < 100,
    };
    for guess in guesses.into_iter().filter(few) {
        let share = share::run(guess, 40);
        assert!(share.agrees(), "{share}");
    }
}

#[test]
fn a_wrong_probability_is_noticed() {
    let guess = share::guesses(&oracle()).into_iter().find_map(|guess| match guess {
        Guess::Predicted(Transport::Udp, taken) if (taken.width, taken.taken) == (1, 0.25) => Some(taken),
        _ => None,
    });
    let mut taken = guess.expect("the oracle has it");
    assert!(share::run(Guess::Predicted(Transport::Udp, taken), 60).agrees());
    taken.probability = 0.25;
    assert!(!share::run(Guess::Predicted(Transport::Udp, taken), 60).agrees());
}

#[test]
fn a_share_agrees_only_where_chance_lets_it_be() {
    let of = |hits| Share { guess: share::guesses(&oracle())[0], runs: 10, hits, wrong: Vec::new() };
    assert!(of(7).agrees() && !of(0).agrees());
}
