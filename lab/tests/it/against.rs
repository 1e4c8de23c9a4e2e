//! The model against the kernel.

use std::collections::BTreeSet;

use pinhole_lab::against::{DIFFERENCES, SUBJECTS, Subject, compare, compare_with};
use pinhole_sim::Behaviour;
use pinhole_sim::nat::{Dependence, Refresh};

use crate::{Outcome, Test, ensure};

pub(crate) const TESTS: &[Test] = &[
    ("the_kernel_and_the_model_agree_about_a_kind", the_kernel_and_the_model_agree_about_a_kind),
    ("a_wrong_claim_about_the_kernel_is_found", a_wrong_claim_about_the_kernel_is_found),
    ("every_known_difference_has_a_reason_in_words", every_known_difference_has_a_reason_in_words),
];

fn subject(name: &str) -> Result<&'static Subject, String> {
    SUBJECTS.iter().find(|subject| subject.name == name).ok_or_else(|| format!("no subject {name}"))
}

fn the_kernel_and_the_model_agree_about_a_kind() -> Outcome {
    let report = compare(subject("port-restricted-other-port")?, 20, 1)?;
    ensure(report.unexplained.is_empty(), || report.unexplained.join("\n"))?;
    ensure(report.sequences >= 20 && report.packets > 150, || format!("{report:?}"))
}

/// Makes a claim wrong.
type Wrong = fn(&mut Behaviour);

fn a_wrong_claim_about_the_kernel_is_found() -> Outcome {
    let wrong: [(&str, Wrong); 5] = [
        ("full", |claim| claim.filtering = Dependence::AddressDependent),
        ("port-restricted", |claim| claim.preserve_port = false),
        ("port-restricted", |claim| claim.refresh = Refresh::Outbound),
        ("port-restricted-other-port", |claim| claim.mapping = Dependence::AddressAndPortDependent),
        ("symmetric", |claim| claim.mapping = Dependence::AddressDependent),
    ];
    std::thread::scope(|scope| {
        let running: Vec<_> = wrong
            .into_iter()
            .map(|(name, change)| {
                scope.spawn(move || -> Outcome {
                    let subject = subject(name)?;
                    let mut claim = subject.claim();
                    change(&mut claim);
                    let report = compare_with(subject, claim, 40, 1)?;
                    ensure(!report.unexplained.is_empty(), || format!("{name}: {claim:?} passes for it"))
                })
            })
            .collect();
        running.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a comparison panicked")?)
    })
}

fn every_known_difference_has_a_reason_in_words() -> Outcome {
    let lines = include_str!("../../nat/differences.csv").lines().filter(|line| !line.starts_with('#')).skip(1);
    let named: BTreeSet<_> = lines.filter_map(|line| line.split_once(',')).map(|(id, _)| id).collect();
    let known: BTreeSet<_> = DIFFERENCES.iter().map(|difference| difference.id).collect();
    ensure(named == known, || format!("{named:?} in the file, {known:?} in the program"))
}
