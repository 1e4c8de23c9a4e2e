//! A gateway between two TUN devices: a router that translates by the model on the network of another.

use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::EventFd;
use nix::sys::time::TimeSpec;
use pinhole_sim::nat::Side;
use tun_rs::SyncDevice;

use super::Gateway;
use crate::error::LabError;

/// A thread that carries packets through a gateway. Dropping it stops the thread and removes the devices.
pub(crate) struct Link {
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    pub(crate) fn start(gateway: Gateway, inside: SyncDevice, outside: SyncDevice) -> Result<Self, LabError> {
        for device in [&inside, &outside] {
            device.set_nonblocking(true).map_err(|error| LabError::io("prepare a TUN device", error))?;
        }
        let stop = Arc::new(EventFd::new().map_err(|errno| LabError::io("make an event", errno))?);
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("lab-gateway".into())
            .spawn(move || carry(&gateway, &[(Side::Inside, inside), (Side::Outside, outside)], &stopped))
            .map_err(|error| LabError::io("start a gateway", error))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let _ = self.stop.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn carry(gateway: &Gateway, devices: &[(Side, SyncDevice); 2], stop: &EventFd) {
    let mut buffer = vec![0; 65_536];
    let hand_on = |(side, octets): (Side, Vec<u8>)| {
        for (_, device) in devices.iter().filter(|(at, _)| *at == side) {
            // A device that takes no packet is one whose interface is down.
            let _ = device.send(&octets);
        }
    };
    loop {
        gateway.due().into_iter().for_each(hand_on);
        let mut ready: Vec<_> =
            devices.iter().map(|(_, device)| PollFd::new(device.as_fd(), PollFlags::POLLIN)).collect();
        ready.push(PollFd::new(stop.as_fd(), PollFlags::POLLIN));
        // An interrupted wait shows nothing ready, and the next round waits again.
        let _ = ppoll(&mut ready, gateway.wait().map(TimeSpec::from), None);
        let ready: Vec<bool> = ready.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        if ready.last() == Some(&true) {
            return;
        }
        for (side, device) in devices.iter().zip(&ready).filter(|(_, ready)| **ready).map(|(device, _)| device) {
            // A bound, so that a flood from one side does not keep the other waiting.
            for _ in 0..64 {
                match device.recv(&mut buffer) {
                    Ok(length) => gateway.handle(*side, &buffer[..length]).into_iter().for_each(hand_on),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
        }
    }
}
