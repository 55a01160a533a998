//! Hostile input for all that reads a text of the kernel's or a state file.

use hostile_input::{OF_SESSION, run};

mod kernel;
mod state;

/// Show that no text makes a parser panic, hang, take much memory, or read what
/// is not there.
#[test]
fn no_input_is_too_hostile() {
    let parsers: Vec<_> = kernel::PARSERS.into_iter().chain(state::PARSERS).collect();
    run(&parsers, OF_SESSION);
}
