//! Entering namespaces of one's own, as root or as anybody.
//!
//! Two processes take part. The outer one, which the caller started, makes a PID namespace (and a user
//! namespace where it lacks the right to do without), starts itself again in there, waits and
//! passes the exit code on. The inner one is process 1 of that namespace, makes the network and
//! mount namespaces, and goes on with `main`. When process 1 ends, the kernel kills all that it ever
//! started; and it is killed when the outer one ends, however that happens.

use std::fs;
use std::io::PipeReader;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{getegid, geteuid, getpid};

use crate::error::{LabError, Missing};
use crate::program::Program;

/// Moves this program into namespaces of its own, in which it may build labs.
///
/// Call it first in `main`, before any thread exists: the program starts again from there, as a child
/// with the same arguments, and the call returns in that child. In the original process it returns
/// only on failure; otherwise that process waits for the child and exits with its code (128 + n for
/// signal n). Killing either ends everything that runs inside.
///
/// # Errors
///
/// [`LabError::Missing`] names the program or permission that this machine does not give;
/// [`LabError::Threads`] says that the call came too late.
pub fn enter() -> Result<(), LabError> {
    if is_inside() {
        return Ok(());
    }
    match std::env::var(STAGE) {
        Ok(lifeline) if getpid().as_raw() == 1 => inner(&lifeline),
        _ => outer(),
    }
}

/// Lists what this machine lacks, as far as that can be told without trying.
#[must_use]
pub fn missing() -> Vec<Missing> {
    let mut missing: Vec<_> = Program::ALL.into_iter().filter_map(|program| program.path().err()).collect();
    if let Err(error) = fs::OpenOptions::new().read(true).write(true).open(TUN) {
        missing.push(Missing::new(
            format!("access to {TUN} ({error})"),
            "`modprobe tun` and `chmod 666 /dev/net/tun` as root give it; a container needs \
             `--device /dev/net/tun`",
        ));
    }
    if !geteuid().is_root() {
        missing.extend(
            [
                ("/proc/sys/kernel/unprivileged_userns_clone", "0", "1"),
                ("/proc/sys/user/max_user_namespaces", "0", "10000"),
                ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
            ]
            .into_iter()
            .filter(|(file, forbids, _)| fs::read_to_string(file).is_ok_and(|value| value.trim() == *forbids))
            .map(|(file, _, allows)| {
                Missing::new(
                    "the permission to make user namespaces",
                    format!("`echo {allows} > {file}` as root gives it, or run as root"),
                )
            }),
        );
    }
    missing
}

/// Whether this process already lives in the namespaces that [`enter`] makes.
pub(crate) fn is_inside() -> bool {
    INSIDE.get().is_some()
}

fn outer() -> Result<(), LabError> {
    if let Some(first) = missing().into_iter().next() {
        return Err(first.into());
    }
    let threads = fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads > 1 {
        return Err(LabError::Threads(threads));
    }
    let (user, group) = (geteuid(), getegid());
    match unshare(CloneFlags::CLONE_NEWPID) {
        Ok(()) => {}
        Err(Errno::EPERM) => {
            unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID)
                .map_err(|errno| refused("user namespaces", errno))?;
            for (file, line) in [
                ("/proc/self/setgroups", "deny".to_owned()),
                ("/proc/self/uid_map", format!("0 {user} 1")),
                ("/proc/self/gid_map", format!("0 {group} 1")),
            ] {
                fs::write(file, line).map_err(|error| LabError::io(format!("write {file}"), error))?;
            }
        }
        Err(errno) => return Err(refused("PID namespaces", errno)),
    }

    // The child watches the read end, and the only write end is here: however this process ends, even
    // before the child has asked to be killed with it, the child can tell.
    let (lifeline, _held) = std::io::pipe().map_err(|error| LabError::io("make a pipe", error))?;
    fcntl(lifeline.as_fd(), FcntlArg::F_SETFD(FdFlag::empty()))
        .map_err(|errno| LabError::io("hand a pipe down", errno))?;
    let mut arguments = std::env::args_os();
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    let status = command
        .args(arguments)
        .env(STAGE, lifeline.as_raw_fd().to_string())
        .status()
        .map_err(|error| LabError::io("start again inside namespaces", error))?;
    std::process::exit(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
}

fn inner(lifeline: &str) -> Result<(), LabError> {
    set_pdeathsig(Signal::SIGKILL).map_err(|errno| LabError::io("ask to end with the parent", errno))?;
    let lifeline: PipeReader = fs::File::open(format!("/proc/self/fd/{lifeline}"))
        .map(|file| std::os::fd::OwnedFd::from(file).into())
        .map_err(|error| LabError::io("open the pipe to the parent", error))?;
    let mut watched = [PollFd::new(lifeline.as_fd(), PollFlags::empty())];
    if poll(&mut watched, PollTimeout::ZERO).is_ok_and(|ready| ready > 0) {
        std::process::exit(128 + Signal::SIGKILL as i32);
    }

    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
        .map_err(|errno| refused("network namespaces", errno))?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
        .map_err(|errno| refused("mount namespaces", errno))?;
    // A container that masks parts of /proc forbids this. The lab can do without: it only makes
    // process numbers in /proc agree with those that programs see of each other.
    let _ = mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), None::<&str>);
    // Whoever finds that the rest is missing can still talk to itself.
    Program::Ip.run(&["link", "set", "dev", "lo", "up"], "")?;
    Program::Nft.run(&["list", "tables"], "").map_err(|error| {
        Missing::new(
            format!("the kernel's packet filter ({error})"),
            "load the modules `nf_tables` and `nf_nat`, or use a kernel that has them",
        )
    })?;
    let _ = INSIDE.set(());
    Ok(())
}

fn refused(what: &str, errno: Errno) -> LabError {
    Missing::new(
        format!("the permission to make {what} ({errno})"),
        "run as root, or where user namespaces are allowed (a container needs `--privileged`, or \
         `--cap-add SYS_ADMIN` and an unconfined seccomp profile)",
    )
    .into()
}

const TUN: &str = "/dev/net/tun";

/// Tells the inner process that it is one, and the descriptor of its pipe to the outer one.
const STAGE: &str = "PINHOLE_LAB_LIFELINE";

static INSIDE: OnceLock<()> = OnceLock::new();
