//! A program that outlives this callback, and this process.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc::{_exit, CLOSE_RANGE_CLOEXEC, SYS_close_range, syscall};
use nix::unistd::{ForkResult, Pid, fork, pipe2, setsid};
use nix::{fcntl::OFlag, sys::wait::waitpid};
use user_session::Launch;

/// By fork(2).
pub(crate) struct Forks;

impl Launch for Forks {
    fn detached(&self, become_it: &dyn Fn() -> String) -> Result<u32, String> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(|error| format!("pipe: {error}"))?;
        // SAFETY: as in `child`: the handlers of the C library leave its locks usable in the child, and the children
        // end without running anything else of this process.
        match unsafe { fork() }.map_err(|error| format!("fork: {error}"))? {
            ForkResult::Parent { child } => {
                drop(write);
                let _ = waitpid(child, None);
                answer_of(read)
            }
            ForkResult::Child => {
                // SAFETY: the same.
                let forked = unsafe { fork() };
                if matches!(forked, Ok(ForkResult::Child)) {
                    run(write, become_it);
                }
                // SAFETY: it only takes a number.
                unsafe { _exit(i32::from(forked.is_err())) }
            }
        }
    }
}

/// In the grandchild: init is its parent, or soon will be.
fn run(write: OwnedFd, become_it: &dyn Fn() -> String) {
    let _ = setsid();
    let mut write = File::from(write);
    let _ = write.write_all(&Pid::this().as_raw().to_ne_bytes());
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        for fd in 0..3 {
            // SAFETY: all three are this child's own to replace.
            unsafe { nix::libc::dup2(null.as_raw_fd(), fd) };
        }
    }
    // SAFETY: it marks descriptors and touches no memory.
    unsafe { syscall(SYS_close_range, 3_u32, u32::MAX, CLOSE_RANGE_CLOEXEC) };
    let problem = become_it();
    let _ = write.write_all(problem.as_bytes());
}

/// Its pid, and nothing else when it has become another program: then the pipe is closed.
fn answer_of(read: OwnedFd) -> Result<u32, String> {
    let mut answer = Vec::new();
    File::from(read).read_to_end(&mut answer).map_err(|error| format!("read: {error}"))?;
    let (pid, problem) = answer.split_first_chunk().ok_or("it has not begun")?;
    match problem {
        [] => u32::try_from(i32::from_ne_bytes(*pid)).map_err(|error| error.to_string()),
        problem => Err(String::from_utf8_lossy(problem).into_owned()),
    }
}
