//! A second call of `task_init`, when every other plugin has had its own.
//!
//! Slurm calls the plugins in the order of plugstack.conf, and nothing of theirs after `task_init`. Who takes a task into
//! a container (pyxis) does it there, and what was set before it leads nowhere in there. So the list that Slurm is going
//! through gets this plugin once more, at its end: in the task's own process, soon its user's program, and nowhere else.
//!
//! The way to that list is none of the SPANK interface. It has been the same from 20.11 to 26.05 (spank.c), and Slurm
//! loads no plugin that was built for another release. Each part of it is compared with another, and where it is not as
//! expected there is no second call.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_void};
use std::mem::transmute;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use nix::libc::{RTLD_DEFAULT, dlsym};
use slurm_spank::spank_sys::spank_t;

/// `struct spank_handle`.
#[repr(C)]
struct Handle {
    magic: c_int,
    plugin: *mut Entry,
    phase: c_int,
    job: *mut c_void,
    task: *mut c_void,
    stack: *mut Stack,
}

/// `struct spank_plugin`.
#[repr(C)]
struct Entry {
    name: *const c_char,
    path: *const c_char,
    handle: *mut c_void,
    is_required: bool,
    count: c_int,
    arguments: *const *const c_char,
    callbacks: [*mut c_void; 12],
    options: *mut c_void,
    stack: *mut Stack,
}

/// How `struct spank_stack` begins.
#[repr(C)]
struct Stack {
    context: c_int,
    plugins: *mut c_void,
}

const MAGIC: c_int = 0x00a5_a500;

/// S_TYPE_REMOTE: of a slurmstepd.
const REMOTE: c_int = 2;

/// In slurm.h; up to 24.05 it answers with the item.
type Append = unsafe extern "C" fn(*mut c_void, *mut c_void);

/// Has Slurm call `task_init` again, once in this process.
pub(crate) fn ask(spank: spank_t, arguments: *const *const c_char) {
    static IS_ASKED: AtomicBool = AtomicBool::new(false);
    if IS_ASKED.swap(true, Relaxed) {
        return;
    }
    // SAFETY: it is what Slurm calls a plugin with, which lasts as long as the call.
    let Some((plugins, plugin)) = (unsafe { in_list(spank.cast(), arguments) }) else { return };
    // SAFETY: it only takes a name; who has no such function is no Slurm.
    let append = unsafe { dlsym(RTLD_DEFAULT, c"slurm_list_append".as_ptr()) };
    if !append.is_null() {
        // SAFETY: it is that function. Slurm goes on with what has been added meanwhile, and never frees the list here.
        unsafe { transmute::<*mut c_void, Append>(append)(plugins, plugin.cast()) };
    }
}

/// The list that Slurm is going through, and what is this plugin in it.
///
/// # Safety
/// `spank` is a [`Handle`], or as large as one and readable.
unsafe fn in_list(
    spank: *const Handle,
    arguments: *const *const c_char,
) -> Option<(*mut c_void, *mut Entry)> {
    // SAFETY: by what is asked of the caller; each is read when the one before is known to be it: of an entry, that it
    // has the arguments that Slurm takes from it, and of a stack that both lead to it.
    unsafe {
        let spank = spank.as_ref().filter(|spank| spank.magic == MAGIC)?;
        let plugin = spank.plugin.as_ref().filter(|plugin| plugin.arguments == arguments)?;
        let stack = spank.stack.as_ref().filter(|_| plugin.stack == spank.stack)?;
        let is_right = stack.context == REMOTE && !stack.plugins.is_null();
        is_right.then_some((stack.plugins, spank.plugin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::{null, null_mut};

    /// Whether a list is found in what Slurm has, after a change to it.
    fn is_found(change: impl FnOnce(&mut Handle, &mut Entry, &mut Stack)) -> bool {
        let (mut list, nothing) = (0_u64, null_mut());
        let arguments: [*const c_char; 1] = [null()];
        let mut stack = Stack { context: REMOTE, plugins: (&raw mut list).cast() };
        let mut plugin = Entry {
            name: null(),
            path: null(),
            handle: nothing,
            is_required: false,
            count: 0,
            arguments: arguments.as_ptr(),
            callbacks: [nothing; 12],
            options: nothing,
            stack: &raw mut stack,
        };
        let mut handle = Handle {
            magic: MAGIC,
            plugin: &raw mut plugin,
            phase: 6,
            job: nothing,
            task: nothing,
            stack: &raw mut stack,
        };
        change(&mut handle, &mut plugin, &mut stack);
        // SAFETY: it is one, of this function's own.
        let found = unsafe { in_list(&raw const handle, arguments.as_ptr()) };
        found.is_some_and(|found| found == ((&raw mut list).cast(), &raw mut plugin))
    }

    /// Show that the list is found as Slurm has it, and that nothing is taken for one that is not as expected.
    #[test]
    fn only_what_is_as_expected_is_a_list() {
        let mut other = Stack { context: REMOTE, plugins: null_mut() };
        assert!(is_found(|_, _, _| {}));
        assert!(!is_found(|handle, _, _| handle.magic = 0));
        assert!(!is_found(|handle, _, _| handle.stack = &raw mut other));
        assert!(!is_found(|_, plugin, _| plugin.arguments = null()));
        assert!(!is_found(|_, _, stack| stack.context = 1));
        assert!(!is_found(|_, _, stack| stack.plugins = null_mut()));
    }
}
