//! A capture on an interface of a host or router, for what never reaches an access line.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use nix::net::if_::if_nametoindex;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use nix::sys::socket::{AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, socket};

use crate::error::LabError;
use crate::recording::{Direction, Fate, Recording};

/// Records one interface until it is dropped or stopped.
#[derive(Debug)]
pub struct Capture {
    recording: Recording,
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Capture {
    /// Opens a capture in the calling thread's namespace.
    pub(crate) fn open(interface: &str) -> Result<Self, LabError> {
        let index = if_nametoindex(interface).map_err(|_| LabError::NoSuch(interface.to_owned()))?;
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Packet, SockType::Datagram, flags, SockProtocol::EthAll)
            .map_err(|errno| LabError::io("open a packet socket", errno))?;
        let stop = Arc::new(EventFd::new().map_err(|errno| LabError::io("make an event", errno))?);
        let recording = Recording::new();
        let (stopped, records) = (Arc::clone(&stop), recording.clone());
        let thread = std::thread::Builder::new()
            .name("lab-capture".into())
            .spawn(move || record(&socket, index as usize, &records, &stopped))
            .map_err(|error| LabError::io("start a capture", error))?;
        Ok(Self { recording, stop, thread: Some(thread) })
    }

    /// What has been recorded up to this moment.
    #[must_use]
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Stops recording, with everything recorded that has passed before.
    #[must_use]
    pub fn finish(self) -> Recording {
        self.recording.clone()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.stop.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn record(socket: &OwnedFd, interface: usize, recording: &Recording, stop: &EventFd) {
    let mut buffer = vec![0; 65_536];
    loop {
        // Read until nothing is left before looking at `stop`, so that a capture ends complete.
        while let Ok((length, Some(from))) = recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut buffer) {
            let ip = matches!(u16::from_be(from.protocol()), ETHERTYPE_IPV4 | ETHERTYPE_IPV6);
            if ip && from.ifindex() == interface {
                let direction = if from.pkttype() == PACKET_OUTGOING { Direction::Out } else { Direction::In };
                recording.add(Instant::now(), direction, Fate::Passed, &buffer[..length]);
            }
        }
        let mut ready = [PollFd::new(socket.as_fd(), PollFlags::POLLIN), PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut ready, PollTimeout::NONE);
        let [packets, stopped] = ready.map(|fd| fd.any().unwrap_or(false));
        if stopped && !packets {
            return;
        }
    }
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// `PACKET_OUTGOING` of packet(7).
const PACKET_OUTGOING: u8 = 4;
