//! Somebody else behind the NAT of a peer, who opens mappings while the peer guesses.

use std::fmt;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::LabError;
use crate::lab::Lab;

/// What that client does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// It opens one mapping after the other, this long apart.
    Every(Duration),
    /// It has opened so many, and keeps them.
    Holds(u16),
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(interval) => write!(f, "another mapping each {:.0} ms", interval.as_secs_f64() * 1e3),
            Self::Holds(count) => write!(f, "{count} other mappings"),
        }
    }
}

/// Opens mappings from a host, until `stop`. `phase`: which part of the time between two has passed at the start.
///
/// # Errors
///
/// Whatever the system answers.
pub(crate) fn open(lab: &Lab, host: &str, load: Load, phase: f64, stop: &AtomicBool) -> Result<(), LabError> {
    let opening = || -> std::io::Result<()> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        // A mapping for each of the remote endpoints: the NATs that are guessed at are of that kind.
        let mut ports = LOWEST..=u16::MAX;
        let mut next = || ports.next().map_or(Ok(0), |port| socket.send_to(&[0], (NOBODY, port)));
        match load {
            Load::Holds(count) => {
                for _ in 0..count {
                    next()?;
                    std::thread::sleep(APART);
                }
            }
            Load::Every(interval) => {
                let mut due = Instant::now() + interval.mul_f64(1.0 - phase);
                while !stop.load(Ordering::Relaxed) {
                    match due.checked_duration_since(Instant::now()) {
                        Some(wait) => std::thread::sleep(wait.min(MOMENT)),
                        None => {
                            next()?;
                            due += interval;
                        }
                    }
                }
            }
        }
        Ok(())
    };
    lab.run_on(host, opening)?.map_err(|error| LabError::io("open mappings of somebody else", error))
}

/// Where the packets go: an address for examples, which nobody has.
const NOBODY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The lowest port that they go to.
const LOWEST: u16 = 1024;
/// The longest sleep, so that the end is noticed.
const MOMENT: Duration = Duration::from_millis(20);
/// What keeps many packets from being lost in a queue.
const APART: Duration = Duration::from_micros(200);
