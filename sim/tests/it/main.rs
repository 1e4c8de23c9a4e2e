//! The simulated internet with engines that have no protocol.

mod draft;
mod faults;
mod filtering;
mod nat;
mod tcp;
mod toy;
