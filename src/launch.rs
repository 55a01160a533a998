//! A child that outlives this callback, and this process.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::sleep;
use std::time::{Duration, Instant};

use libc::{_exit, PR_SET_NAME, SYS_close_range, c_uint, dup2, prctl, syscall};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pipe2, setsid};
use user_session::Launch;

use crate::home::{self, leave_step};

/// By fork(2), from a process that has left the job's cgroup or is about to.
pub(crate) struct Forks {
    /// The slurmstepd: for a job in a container (`contain_spank`) it calls from a child, which shares its memory
    /// (Slurm 24.11, _run_spank_func()).
    process: Pid,
}

impl Default for Forks {
    fn default() -> Self {
        Self { process: Pid::this() }
    }
}

/// What a child says that works, and stays what it is.
const BEGUN: &[u8] = b"begun";

/// Of all of them, as the guard of a session has to know it.
const OUR_NAME: &CStr = c"linger";

const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Where the child has its end of the pipe, and nothing else behind it.
const PIPE: RawFd = 3;

impl Launch for Forks {
    fn detached(&self, until: Instant, work: &dyn Fn(&dyn Fn()) -> String) -> Result<u32, String> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(|error| format!("pipe: {error}"))?;
        // SAFETY: as in `child`: the handlers of the C library leave its locks usable in the child, and the children
        // end without running anything else of this process.
        let forked = home::stay(|| unsafe { fork() });
        match forked.map_err(|error| format!("fork: {error}"))? {
            ForkResult::Parent { child } => {
                drop(write);
                reap(child, until)?;
                answer_of(&mut File::from(read), until)
            }
            ForkResult::Child => {
                // SAFETY: the same.
                let forked = home::stay(|| unsafe { fork() });
                if matches!(forked, Ok(ForkResult::Child)) {
                    // What is said in here would go where some other file is open by then.
                    log::set_max_level(log::LevelFilter::Off);
                    let _ = catch_unwind(AssertUnwindSafe(|| run(write, work)));
                }
                // SAFETY: it only takes a number.
                unsafe { _exit(i32::from(forked.is_err())) }
            }
        }
    }

    fn leave(&self) -> Result<(), String> {
        home::leave(self.process).map_err(|error| error.to_string())
    }
}

/// The one between, which ends at once unless somebody has it stand still.
fn reap(child: Pid, until: Instant) -> Result<(), String> {
    loop {
        match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::EINTR) | Ok(WaitStatus::StillAlive) if Instant::now() < until => {
                sleep(LOOK_AGAIN);
            }
            Ok(WaitStatus::StillAlive) => {
                let _ = kill(child, Signal::SIGKILL);
                return Err("its parent stands still".into());
            }
            _ => return Ok(()),
        }
    }
}

/// In the grandchild: init is its parent, or soon will be.
fn run(write: OwnedFd, work: &dyn Fn(&dyn Fn()) -> String) {
    let _ = setsid();
    // By that name it is known as ours where the user may have put others of root's.
    // SAFETY: it reads a text that ends with a zero.
    unsafe { prctl(PR_SET_NAME, OUR_NAME.as_ptr()) };
    let left = leave_step(Pid::this());
    let Ok(write) = alone_with(write) else { return };
    let write = Cell::new(Some(write));
    let say = |word: &[u8]| {
        if let Some(mut pipe) = write.take() {
            let _ = pipe.write_all(word);
            write.set(Some(pipe));
        }
    };
    say(&Pid::this().as_raw().to_ne_bytes());
    let problem = left
        .map_or_else(|error| format!("leave the job's cgroup: {error}"), |_| work(&|| say(BEGUN)));
    say(problem.as_bytes());
}

/// Closes all that this process has open but for the pipe: not what some other thread may be about to write to.
fn alone_with(write: OwnedFd) -> io::Result<File> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    for fd in 0..PIPE {
        // SAFETY: all of them are this child's own to replace.
        unsafe { dup2(null.as_raw_fd(), fd) };
    }
    let pipe = fcntl_dup(&write)?;
    // SAFETY: nothing of this child's that is still used has one of these.
    let closed = unsafe { syscall(SYS_close_range, PIPE as c_uint + 1, c_uint::MAX, 0) };
    // Those two are closed by now, whatever their numbers were.
    std::mem::forget((null, write));
    if closed == 0 { Ok(pipe) } else { Err(io::Error::last_os_error()) }
}

/// The pipe by the number that it is to have, closed when another program begins.
fn fcntl_dup(write: &OwnedFd) -> io::Result<File> {
    use std::os::fd::FromRawFd;
    // SAFETY: it only takes numbers; what had that one is closed by it, and is not used any more.
    let is_done = unsafe { libc::dup3(write.as_raw_fd(), PIPE, libc::O_CLOEXEC) };
    if is_done < 0 && write.as_raw_fd() != PIPE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and nobody else's: `write` is forgotten.
    Ok(unsafe { File::from_raw_fd(PIPE) })
}

/// Its pid, and nothing else when the pipe is closed: it has become another program, or works.
fn answer_of(read: &mut File, until: Instant) -> Result<u32, String> {
    let mut answer = Vec::new();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let ready = poll(&mut [PollFd::new(read.as_fd(), PollFlags::POLLIN)], timeout);
        if left.is_zero() {
            // It has its end of the pipe still, and so its number.
            pid_in(&answer).map(|(pid, _)| kill(pid, Signal::SIGKILL));
            return Err("it has not begun in time".into());
        }
        if !matches!(ready, Ok(1..)) {
            continue;
        }
        let mut part = [0; 512];
        match read.read(&mut part) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(part.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("read from it: {error}")),
        }
        if answer.ends_with(BEGUN) {
            break;
        }
    }
    match pid_in(&answer) {
        Some((pid, [] | BEGUN)) => u32::try_from(pid.as_raw()).map_err(|error| error.to_string()),
        Some((_, problem)) => Err(String::from_utf8_lossy(problem).into_owned()),
        None => Err("it has not begun".into()),
    }
}

fn pid_in(answer: &[u8]) -> Option<(Pid, &[u8])> {
    let (pid, problem) = answer.split_first_chunk()?;
    Some((Pid::from_raw(i32::from_ne_bytes(*pid)), problem))
}
