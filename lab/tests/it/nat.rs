//! NATs are what they declare to be.

use pinhole_lab::{Kind, Lab, NatKind, Topology, UnsolicitedSyn, probe, prove};

use crate::{Outcome, Test, ensure};

pub(crate) const TESTS: &[Test] = &[
    ("a_nat_that_was_removed_is_not_taken_for_any", a_nat_that_was_removed_is_not_taken_for_any),
    ("every_kind_of_nat_behaves_as_it_declares", every_kind_of_nat_behaves_as_it_declares),
    ("a_nat_of_one_kind_is_not_taken_for_another", a_nat_of_one_kind_is_not_taken_for_another),
    ("a_symmetric_nat_with_hairpin_is_refused", a_symmetric_nat_with_hairpin_is_refused),
];

fn every_kind_of_nat_behaves_as_it_declares() -> Outcome {
    for kind in NatKind::ALL {
        for syn in [UnsolicitedSyn::Drop, UnsolicitedSyn::Rst] {
            for hairpin in [false, true] {
                if kind != NatKind::Symmetric || !hairpin {
                    prove(kind, syn, hairpin)?;
                }
            }
        }
    }
    Ok(())
}

/// What each kind declares is what it measures as, so kinds are told apart if no two declare the same.
fn a_nat_of_one_kind_is_not_taken_for_another() -> Outcome {
    for (kind, other) in NatKind::ALL.into_iter().flat_map(|kind| NatKind::ALL.map(|other| (kind, other))) {
        for (syn, hairpin) in [(UnsolicitedSyn::Drop, false), (UnsolicitedSyn::Rst, true)] {
            let alike = kind.declared(syn, hairpin) == other.declared(syn, hairpin);
            ensure(alike == (kind == other), || format!("{kind} and {other} declare the same"))?;
        }
    }
    let topology = Topology { nat_a: NatKind::Symmetric, ..Topology::new(Kind::OneNat { hairpin: false }) };
    let measured = probe(&Lab::build(&topology)?)?;
    let declared = NatKind::PortRestricted.declared(UnsolicitedSyn::Drop, false);
    ensure(measured != declared, || "a symmetric NAT passes for a port-restricted one".into())
}

fn a_nat_that_was_removed_is_not_taken_for_any() -> Outcome {
    let lab = Lab::build(&Topology::new(Kind::OneNat { hairpin: false }))?;
    lab.remove_nat("a")?;
    let measured = probe(&lab);
    ensure(measured.is_err(), || format!("{measured:?}"))
}

fn a_symmetric_nat_with_hairpin_is_refused() -> Outcome {
    let refused = prove(NatKind::Symmetric, UnsolicitedSyn::Drop, true);
    ensure(matches!(refused, Err(pinhole_lab::LabError::Unsupported(_))), || format!("{refused:?}"))
}
