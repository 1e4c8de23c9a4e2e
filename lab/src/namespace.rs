//! One network namespace, kept alive by a descriptor and without a name in the file system.

use std::fs::{self, File};
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

use crate::error::LabError;
use crate::program::Program;

/// A network namespace.
///
/// It is named by a path below `/proc`, which `ip` and `nsenter` take where they take a name: a
/// name would need a writable `/run/netns`, which an ordinary user does not have and which a mount over
/// `/run` gives at the price of hiding what else is there.
#[derive(Debug)]
pub(crate) struct Namespace {
    file: File,
    path: PathBuf,
}

impl Namespace {
    /// Makes a namespace in which nothing is configured but quiet: no IPv6 chatter unless it is an
    /// IPv6 lab, no source filter, no redirects, no bridge that hands frames to the packet filter.
    pub(crate) fn new(ipv6: bool, routes: bool) -> Result<Self, LabError> {
        let file = apart(|| -> Result<File, LabError> {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| LabError::io("make a network namespace", errno))?;
            settle(ipv6, routes)?;
            File::open("/proc/thread-self/ns/net").map_err(|error| LabError::io("hold a network namespace", error))
        })?;
        // `ip` opens the path from a process of its own, so it has to name this one; and by the number
        // that the mounted /proc knows, which differs where /proc could not be mounted anew.
        let me = fs::read_link("/proc/self").map_err(|error| LabError::io("read /proc/self", error))?;
        let path = PathBuf::from("/proc").join(me).join("fd").join(file.as_raw_fd().to_string());
        Ok(Self { file, path })
    }

    /// The path by which other programs open the namespace.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Runs `work` in a thread inside the namespace. Sockets, devices and programs that it makes
    /// belong to the namespace for good and may be used from anywhere.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        apart(|| {
            setns(&self.file, CloneFlags::CLONE_NEWNET)
                .map_err(|errno| LabError::io("enter a network namespace", errno))?;
            Ok(work())
        })
    }

    /// Runs lines of `ip` commands inside.
    pub(crate) fn ip(&self, batch: &str) -> Result<(), LabError> {
        self.run(|| Program::Ip.run(&["-batch", "-"], batch))?
    }

    /// Loads nftables rules inside.
    pub(crate) fn nft(&self, rules: &str) -> Result<(), LabError> {
        self.run(|| Program::Nft.run(&["-f", "-"], rules))?
    }

    /// A command that will run inside.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Result<Command, LabError> {
        let mut command = Command::new(Program::Nsenter.path()?);
        let mut net = std::ffi::OsString::from("--net=");
        net.push(&self.path);
        command.arg(net).arg("--").arg(program);
        Ok(command)
    }

    /// Kills every process inside.
    pub(crate) fn kill_all(&self) {
        let Ok(here) = self.file.metadata().map(|metadata| metadata.ino()) else {
            return;
        };
        // Where /proc could not be mounted anew it numbers processes as another namespace does, and a
        // signal would hit a stranger. They end with the lab's own process then.
        let me = getpid().to_string();
        if fs::read_link("/proc/self").is_ok_and(|shown| shown.as_os_str() != me.as_str()) {
            return;
        }
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let inside = fs::metadata(entry.path().join("ns/net")).is_ok_and(|metadata| metadata.ino() == here);
            let process = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let (true, Some(process)) = (inside, process) {
                let _ = kill(Pid::from_raw(process), Signal::SIGKILL);
            }
        }
    }
}

/// Runs `work` in a thread of its own, so that what it does to the thread's namespace ends with it.
fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Writes the settings that interfaces take over when they are made. Below `/proc/sys/net` every thread
/// sees the settings of its own namespace.
fn settle(ipv6: bool, routes: bool) -> Result<(), LabError> {
    let write = |name: &str, value: &str| {
        let file = format!("/proc/sys/net/{name}");
        fs::write(&file, value).map_err(|error| LabError::io(format!("write {file}"), error))
    };
    for scope in ["all", "default"] {
        write(&format!("ipv4/conf/{scope}/rp_filter"), "0")?;
        // A NAT that turns packets around would tell its hosts to talk directly.
        write(&format!("ipv4/conf/{scope}/send_redirects"), "0")?;
        if fs::exists("/proc/sys/net/ipv6").unwrap_or(false) {
            write(&format!("ipv6/conf/{scope}/disable_ipv6"), if ipv6 { "0" } else { "1" })?;
            write(&format!("ipv6/conf/{scope}/accept_dad"), "0")?;
            write(&format!("ipv6/conf/{scope}/accept_ra"), "0")?;
            write(&format!("ipv6/conf/{scope}/router_solicitations"), "0")?;
            write(&format!("ipv6/conf/{scope}/forwarding"), if routes { "1" } else { "0" })?;
        }
    }
    write("ipv4/ip_forward", if routes { "1" } else { "0" })?;
    // Present only where the kernel has br_netfilter. It would pass frames between two hosts of one
    // LAN to the NAT's rules.
    for file in ["bridge-nf-call-iptables", "bridge-nf-call-ip6tables", "bridge-nf-call-arptables"] {
        if fs::exists(format!("/proc/sys/net/bridge/{file}")).unwrap_or(false) {
            write(&format!("bridge/{file}"), "0")?;
        }
    }
    Ok(())
}

/// An address with the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Net {
    pub(crate) address: IpAddr,
    pub(crate) prefix: u8,
}

impl Net {
    /// Whether `other` lies in the same network.
    pub(crate) fn contains(self, other: IpAddr) -> bool {
        let (mine, others, width) = match (self.address, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
            _ => return false,
        };
        let host_bits = width - u32::from(self.prefix);
        mine.checked_shr(host_bits) == others.checked_shr(host_bits)
    }
}

impl std::fmt::Display for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}
