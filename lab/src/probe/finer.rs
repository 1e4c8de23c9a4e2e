//! What NATs of the model differ in beyond [`Behaviour`](crate::Behaviour), measured likewise.

use std::net::SocketAddr;
use std::time::Duration;

use pinhole_sim::nat::{FreshPort, PermissionScope};

use super::{Probe, sockets};
use crate::behaviour::Port;
use crate::error::LabError;

/// The finer differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finer {
    /// Whether the ports of consecutive mappings are consecutive.
    pub sequential: bool,
    /// Whether an endpoint that the inside sent to by one mapping may send in by another; nothing where an
    /// inside endpoint has only one.
    pub shared_permission: Option<bool>,
    /// How long a UDP mapping lives without traffic, to the next half second; nothing where that is more than two.
    pub udp_idle: Option<Duration>,
}

impl Finer {
    /// What a NAT of the model declares.
    #[must_use]
    pub fn of_model(model: &pinhole_sim::Behaviour) -> Self {
        let dependent = model.mapping != pinhole_sim::Dependence::EndpointIndependent;
        // Where the filter admits everybody there is no permission to share.
        let filters = model.filtering != pinhole_sim::Dependence::EndpointIndependent;
        let steps = model.udp_idle.as_micros().div_ceil(STEP.as_micros());
        Self {
            sequential: !model.preserve_port && matches!(model.fresh_port, FreshPort::Sequential),
            shared_permission: (dependent && filters).then_some(model.permission == PermissionScope::InternalEndpoint),
            udp_idle: (model.udp_idle <= LONGEST).then(|| STEP * u32::try_from(steps).unwrap_or(u32::MAX)),
        }
    }
}

/// Measures the finer differences of NAT A of a lab; whether mappings depend on the remote endpoint, and the
/// filter asks for permission, is known from [`probe`](crate::probe).
pub(super) fn measure(probe: &Probe<'_>, dependent: bool, filters: bool) -> Result<Finer, LabError> {
    Ok(Finer {
        sequential: probe.sequential()?,
        shared_permission: if dependent && filters { Some(probe.shared_permission()?) } else { None },
        udp_idle: probe.udp_idle()?,
    })
}

impl Probe<'_> {
    /// Four inside endpoints send to one outside endpoint, one after the other.
    fn sequential(&self) -> Result<bool, LabError> {
        let mut ports = Vec::new();
        let mut kept = Port::Kept;
        for port in [41_000_u16, 41_010, 41_003, 41_007] {
            let seen = self.seen_by(&self.inside("a", self.a, port)?, 0)?;
            if seen.port() != port {
                kept = Port::Other;
            }
            ports.push(seen.port());
        }
        Ok(kept == Port::Other && ports.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)))
    }

    /// One inside endpoint sends to two outside addresses; the second answers to the mapping of the first.
    fn shared_permission(&self) -> Result<bool, LabError> {
        let inside = self.inside("a", self.a, 41_020)?;
        let first = self.seen_by(&inside, 0)?;
        self.seen_by(&inside, 2)?;
        self.passes(2, first, &inside)
    }

    /// Mappings that are left alone for longer and longer, all at once; how long the first lives that is dead.
    fn udp_idle(&self) -> Result<Option<Duration>, LabError> {
        let steps = (LONGEST.as_millis() / STEP.as_millis()) as u16;
        let mut waiting = Vec::new();
        for step in 1..=steps + 1 {
            let inside = self.inside("a", self.a, 41_100 + step)?;
            let seen = self.seen_by(&inside, 0)?;
            waiting.push((step, inside, seen, std::time::Instant::now()));
        }
        for (step, inside, seen, since) in waiting {
            // Half a step before, so that what takes time elsewhere does not decide.
            let due = STEP * u32::from(step) + STEP / 2;
            std::thread::sleep(due.saturating_sub(since.elapsed()));
            if !self.passes(0, seen, &inside)? {
                return Ok(Some(STEP * u32::from(step)));
            }
        }
        Ok(None)
    }

    fn passes(&self, outside: usize, mapped: SocketAddr, inside: &std::net::UdpSocket) -> Result<bool, LabError> {
        self.outside[outside].send_to(&[1], mapped).map_err(sockets)?;
        Ok(self.receive(inside)?.is_some())
    }
}

/// How finely lifetimes are measured.
const STEP: Duration = Duration::from_millis(500);

/// The longest lifetime that is waited for.
const LONGEST: Duration = Duration::from_secs(2);
