//! Whether the ports came up, and what an operator can do when they did not.

use anyhow::bail;
use pinhole_proto::{Endpoint, NetError, Transport};

/// The outcome of each port that the engine ordered: for each family, for the main and the alternate port,
/// for UDP and TCP.
pub(crate) struct Listening {
    port: u16,
    alternate_port: u16,
    outstanding: usize,
    open: Vec<(Transport, Endpoint)>,
    failed: Vec<(Transport, u16, NetError)>,
}

impl Listening {
    pub(crate) fn new(port: u16, alternate_port: u16, ipv6: bool) -> Self {
        let outstanding = if ipv6 { 8 } else { 4 };
        Self { port, alternate_port, outstanding, open: Vec::new(), failed: Vec::new() }
    }

    pub(crate) fn on_open(&mut self, transport: Transport, local: Endpoint) {
        self.outstanding = self.outstanding.saturating_sub(1);
        self.open.push((transport, local));
    }

    pub(crate) fn on_failed(&mut self, transport: Transport, port: u16, error: NetError) {
        self.outstanding = self.outstanding.saturating_sub(1);
        self.failed.push((transport, port, error));
    }

    /// Whether every port is open or failed.
    pub(crate) const fn is_decided(&self) -> bool {
        self.outstanding == 0
    }

    /// The main and the alternate port, which are numbers here even where any was asked for.
    ///
    /// # Errors
    /// A port that the server cannot do without is not open. A machine without IPv6 is no failure.
    pub(crate) fn ports(&self) -> anyhow::Result<(u16, u16)> {
        for &(transport, port, error) in &self.failed {
            let (served, transport) = (self.is_open(transport, port), name(transport));
            let option = if port == self.alternate_port && port != self.port { "--alternate-port" } else { "--port" };
            match error {
                NetError::AddressInUse => bail!(
                    "port {port}/{transport} is in use: stop the program that has it, or choose another with {option}"
                ),
                NetError::NotPermitted => bail!(
                    "no permission to listen on port {port}/{transport}: choose one above 1023 with {option}, or \
                     grant the permission"
                ),
                _ if served => {
                    tracing::warn!(port, transport, ?error, "one address family is not served");
                }
                NetError::AddressNotAvailable => {
                    bail!("cannot listen on port {port}/{transport}: no interface has the address of --listen")
                }
                _ => bail!("cannot listen on port {port}/{transport}: {error:?}"),
            }
        }
        let ports = || self.open.iter().map(|(_, local)| local.port());
        let main = ports().next().ok_or_else(|| anyhow::anyhow!("no port is open"))?;
        // The engine orders the main port first.
        let alternate = ports().find(|&port| port != main).unwrap_or(self.alternate_port);
        Ok((main, alternate))
    }

    /// Whether another family is served there.
    fn is_open(&self, transport: Transport, port: u16) -> bool {
        self.open.iter().any(|(open, local)| *open == transport && (port == 0 || local.port() == port))
    }
}

const fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
    }
}
