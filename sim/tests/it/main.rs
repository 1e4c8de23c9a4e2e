//! The simulated internet: with engines that have no protocol, then with the real ones.

mod actions;
mod around;
mod birthday;
mod draft;
mod faults;
mod filtering;
mod glare;
mod guidance;
mod inspect;
mod journeys;
mod judged;
mod keepalive;
mod low_ttl;
mod naive;
mod nat;
mod netcheck;
mod pairs;
mod prediction;
mod profile;
mod receipts;
mod repunch;
mod roaming;
mod rules;
mod scenarios;
mod tcp;
mod toy;
