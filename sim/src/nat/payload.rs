//! Payloads in which addresses are translated too, by NATs that should not.

use alloc::vec::Vec;

use pinhole_proto::Address;

use super::rule::{Checks, Operand, Rule};
use crate::packet::{Body, Octets, Packet};

/// Puts `after` where four octets look like `before`.
pub(super) fn rewrite(packet: &mut Packet, before: Address, after: Address, checks: &mut Checks) {
    let (Address::V4(from), Address::V4(to)) = (before, after) else {
        return;
    };
    let octets: &mut Octets = match &mut packet.body {
        Body::Udp(octets) => octets,
        Body::Tcp(segment) => &mut segment.octets,
        Body::Icmp(_) => return,
    };
    let (from, to) = (from.octets(), to.octets());
    if !octets.windows(4).any(|window| window == from) {
        return;
    }
    let mut changed: Vec<u8> = octets.to_vec();
    let mut at = 0;
    while let Some(four) = changed.get_mut(at..at + 4) {
        if four == from {
            four.copy_from_slice(&to);
            at += 4;
        } else {
            at += 1;
        }
    }
    *octets = changed.into();
    checks.note(Rule::PayloadUntouched, Operand::Address(before), Operand::Address(after), false);
}
