//! What keeps a session between two jobs over the bus (org.freedesktop.systemd1(5)).

use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::units::{self, NO_SUCH_UNIT};
use super::{Bus, SYSTEMD, is_error};
use crate::terms::error::{Error, Result};

/// The arguments of StartTransientUnit.
const BEGIN: &str = "ssa(sv)a(sa(sv))";
const UNIT_EXISTS: &str = "org.freedesktop.systemd1.UnitExists";

/// What systemd takes to start units that wait, or to forget those of an earlier keep.
const PROMPTLY: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Returns when the session is guarded: systemd answers before it has begun.
pub(super) fn guard(bus: &mut Bus<'_>, uid: u32, keep: Duration, command: &Path) -> Result<()> {
    let name = format!("spank-linger-keep-{uid}-{}s", keep.as_secs());
    let doing = format!("start {name}.timer");
    let begun = transient(&name, uid, keep, command).replace(' ', "\n");
    let until = Instant::now() + PROMPTLY;
    let mut is_asked = false;
    while !is_asked || !waits(bus, &name)? {
        if Instant::now() >= until {
            return Err(Error::bus(doing)(io::Error::from(io::ErrorKind::TimedOut).into()));
        }
        is_asked = is_asked || ask(bus, &doing, &name, &begun)?;
        sleep(LOOK_AGAIN);
    }
    Ok(())
}

/// The timer of an earlier keep begins anew. Its name tells its time, so that
/// another `keep=` has a timer of its own. Answers with false while something of an
/// earlier one is there without its timer: it is on its way out.
fn ask(bus: &mut Bus<'_>, doing: &str, name: &str, begun: &str) -> Result<bool> {
    let again = format!("{name}.timer\nreplace");
    let asked = [("RestartUnit", ("ss", &*again)), ("StartTransientUnit", (BEGIN, begun))];
    for (method, arguments) in asked {
        match bus.send(doing, &SYSTEMD, method, arguments)? {
            Err(error) if is_error(&error, NO_SUCH_UNIT) || is_error(&error, UNIT_EXISTS) => {}
            reply => return reply.map(|_| true).map_err(Error::bus(doing)),
        }
    }
    Ok(false)
}

/// Whether the timer and the path are on their guard.
fn waits(bus: &mut Bus<'_>, name: &str) -> Result<bool> {
    let [timer, path] = units::both(bus, &[format!("{name}.timer"), format!("{name}.path")])?;
    Ok(timer.is_up() && path.is_up())
}

/// The timer, and what it needs: the service that it starts, as does a login; and
/// one that runs nothing until a shutdown stops it, before what it keeps. All of them
/// are forgotten when they have ended, also badly. A keep may begin more often than
/// systemd starts a unit by default (5 times in 10 s), and what cannot be closed now
/// is tried again.
fn transient(name: &str, uid: u32, keep: Duration, command: &Path) -> String {
    let (usec, command) = (micros(keep), command.display());
    let forget = "CollectMode s inactive-or-failed StartLimitIntervalUSec t 0";
    let exec = |option| format!("a(sasb) 1 {command} 4 spank-linger sweep --{option} {uid} false");
    let (now, last) = (exec("kept"), exec("kept-at-shutdown"));
    format!(
        "{name}.timer replace 6 {forget} TimersMonotonic a(st) 1 OnActiveSec {usec} \
         AccuracyUSec t 1000000 RemainAfterElapse b false \
         Wants as 2 {name}.path {name}-last.service \
         3 {name}.service 5 {forget} ExecStart {now} Restart s on-failure RestartUSec t 30000000 \
         {name}.path 5 {forget} Paths a(ss) 1 PathChanged /run/systemd/users/{uid} \
         BindsTo as 1 {name}.timer After as 1 {name}.timer \
         {name}-last.service 6 {forget} Type s oneshot RemainAfterExit b true ExecStop {last} \
         After as 3 user@{uid}.service dbus.service systemd-logind.service"
    )
}

/// The standard library counts them in 128 bits.
fn micros(time: Duration) -> u64 {
    time.as_secs() * 1_000_000 + u64::from(time.subsec_micros())
}

#[cfg(test)]
mod tests {
    use super::super::body::Arguments;
    use super::*;

    /// Show that what systemd is to make has the arguments of the call.
    #[test]
    fn the_units_have_their_signature() {
        let keep = Duration::from_secs(30);
        let words = transient("k", 1001, keep, Path::new("/usr/bin/spank-linger"));
        assert!(words.contains("OnActiveSec 30000000 ") && words.contains("--kept 1001 false"));
        Arguments::of(BEGIN, &words.replace(' ', "\n")).unwrap();
    }
}
