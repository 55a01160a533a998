//! systemd and logind over the system bus.

use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::thread::sleep;
use std::time::{Duration, Instant};

use futures_core::Stream;
use zbus::address::transport::{Transport, Unix, UnixSocket};
use zbus::message::Type;
use zbus::{Address, Connection, Message, MessageStream};

use crate::outside::properties::{Properties, Property};
use crate::outside::runtime_dir::{self, Viewpoint};
use crate::outside::systemd::{Awaited, Systemd, Units};
use crate::outside::{crash, freezer};
use crate::terms::budget::Budget;
use crate::terms::error::{Error, NotLive, Result};
use crate::terms::roots::Roots;

mod body;
mod event_loop;
mod keep;
mod slice;
mod units;
mod user;
use body::Arguments;
use event_loop::EventLoop;
use units::{manager_name, runtime_dir_name};

/// A D-Bus interface on its object.
struct Object<'a> {
    service: &'a str,
    path: &'a str,
    interface: &'a str,
}

const SYSTEMD: Object<'_> = Object {
    service: "org.freedesktop.systemd1",
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
};

const LOGIND: Object<'_> = Object {
    service: "org.freedesktop.login1",
    path: "/org/freedesktop/login1",
    interface: "org.freedesktop.login1.Manager",
};

const DAEMON: Object<'_> = Object {
    service: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
};

/// The first thing that is tried.
pub(crate) const CONNECT: &str = "connect to the system bus";

/// D-Bus Specification, "Standard Interfaces".
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// The system bus, connected to when it is first needed, until the budget is used
/// up: no version of zbus bounds the connect and the handshake, and a bus that
/// accepts and stays silent must not hang a node.
pub(crate) struct Bus<'a> {
    roots: &'a Roots,
    budget: Budget,
    messages: Option<MessageStream>,
    watched: Vec<String>,
    link: Option<Link>,
}

#[derive(Clone)]
struct Link {
    connection: Connection,
    event_loop: EventLoop,
}

impl<'a> Bus<'a> {
    pub(crate) fn new(roots: &'a Roots, budget: Budget) -> Self {
        Self { roots, budget, messages: None, watched: Vec::new(), link: None }
    }

    fn link(&mut self) -> Result<Link> {
        let link = match self.link.take() {
            Some(link) => link,
            None => self.connect()?,
        };
        Ok(self.link.insert(link).clone())
    }

    /// The address is fixed: DBUS_SYSTEM_BUS_ADDRESS in a job's environment must
    /// not decide whom root talks to.
    fn connect(&self) -> Result<Link> {
        let doing = CONNECT;
        let socket = UnixSocket::File(self.roots.system_bus.clone());
        let address = Address::new(Transport::Unix(Unix::new(socket)));
        let event_loop = EventLoop::new().map_err(|error| Error::bus(doing)(error.into()))?;
        let builder = zbus::connection::Builder::address(address).runtime(event_loop.clone());
        let built = self.in_time(&event_loop, doing, builder.build())?;
        Ok(Link { connection: built.map_err(Error::bus(doing))?, event_loop })
    }

    fn in_time<T>(
        &self,
        event_loop: &EventLoop,
        doing: &str,
        work: impl Future<Output = T>,
    ) -> Result<T> {
        let done = event_loop.run_until(self.budget.deadline(), work);
        done.ok_or_else(|| self.late(doing))
    }

    fn late(&self, doing: &str) -> Error {
        self.budget.late(doing, Instant::now())
    }

    fn call(
        &mut self,
        doing: String,
        object: &Object<'_>,
        method: &str,
        arguments: (&str, &str),
    ) -> Result<Message> {
        self.send(&doing, object, method, arguments)?.map_err(Error::bus(doing))
    }

    /// The answer as it is, for a caller to whom an error is one. The arguments are
    /// their signature and words: [`Arguments::of`].
    fn send(
        &mut self,
        doing: &str,
        object: &Object<'_>,
        method: &str,
        (signature, words): (&str, &str),
    ) -> Result<zbus::Result<Message>> {
        let arguments = Arguments::of(signature, words).map_err(Error::bus(doing))?;
        let Link { connection, event_loop } = self.link()?;
        let Object { service, path, interface } = *object;
        crash::point();
        let reply =
            connection.call_method(Some(service), path, Some(interface), method, &arguments);
        self.in_time(&event_loop, doing, reply)
    }

    /// The sender is checked by the bus daemon, which knows who owns a name.
    ///
    /// Not by zbus's own match rule: dropping such a stream leaves a task behind
    /// that takes the rule back (zbus 6.2).
    fn watch_jobs(&mut self, unit: String) -> Result<()> {
        if self.watched.contains(&unit) {
            return Ok(());
        }
        let Object { service, path, interface } = SYSTEMD;
        let rule = format!(
            "type='signal',sender='{service}',path='{path}',interface='{interface}',\
             member='JobRemoved',arg2='{unit}'"
        );
        self.call(format!("watch {unit}"), &DAEMON, "AddMatch", ("s", &rule))?;
        self.watched.push(unit);
        Ok(())
    }
}

impl Systemd for Bus<'_> {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn look(&mut self, dir: &Path, uid: u32) -> Result<(), NotLive> {
        runtime_dir::check(dir, uid, Viewpoint::Root)
    }

    fn manager(&self, uid: u32) -> Option<u64> {
        runtime_dir::manager(&self.roots.slice(uid), uid)
    }

    fn set_linger(&mut self, uid: u32, on: bool) -> Result<()> {
        user::set_linger(self, uid, on)
    }

    fn units(&mut self, uid: u32) -> Result<Units> {
        units::of(self, uid)
    }

    fn start_manager(&mut self, uid: u32) -> Result<()> {
        units::start(self, uid)
    }

    fn stop_manager(&mut self, uid: u32) -> Result<()> {
        units::stop(self, uid)
    }

    fn kill_manager(&mut self, uid: u32) -> Result<()> {
        units::kill(self, uid)
    }

    fn forget_failure(&mut self, uid: u32) -> Result<()> {
        units::forget_failure(self, uid)
    }

    fn freeze(&mut self, uid: u32) -> Result<()> {
        freezer::freeze(&self.roots.slice(uid), uid)
    }

    fn thaw(&mut self, uid: u32) -> Result<()> {
        freezer::thaw(&self.roots.slice(uid), uid)
    }

    fn guard(&mut self, uid: u32, keep: Duration, command: &Path) -> Result<()> {
        keep::guard(self, uid, keep, command)
    }

    fn slice(&mut self, uid: u32) -> Result<Properties> {
        slice::get(self, uid)
    }

    fn set_slice(&mut self, uid: u32, properties: Vec<Property>) -> Result<()> {
        slice::set(self, uid, &properties)
    }

    fn removes_ipc(&mut self) -> Result<bool> {
        user::removes_ipc(self)
    }

    fn is_logged_in(&mut self, uid: u32) -> Result<bool> {
        user::is_logged_in(self, uid)
    }

    fn watch(&mut self, uid: u32, awaited: Awaited) -> Result<()> {
        if self.messages.is_none() {
            self.messages = Some(self.link()?.connection.into());
            self.call("subscribe to systemd".into(), &SYSTEMD, "Subscribe", ("", ""))?;
        }
        self.watch_jobs(manager_name(uid))?;
        match awaited {
            Awaited::Start => Ok(()),
            Awaited::End => self.watch_jobs(runtime_dir_name(uid)),
        }
    }

    fn changed(&mut self, what: &str, until: Instant) -> Result<bool> {
        let last = self.budget.deadline();
        let (Some(messages), Some(link)) = (&mut self.messages, &self.link) else {
            sleep(until.min(last).saturating_duration_since(Instant::now()));
            return if until > last { Err(self.late(what)) } else { Ok(false) };
        };
        match link.event_loop.run_until(until.min(last), next_signal(messages)) {
            None if until > last => Err(self.late(what)),
            None => Ok(false),
            Some(Ok(())) => Ok(true),
            Some(Err(error)) => Err(Error::bus("wait for systemd")(error)),
        }
    }
}

/// Replies are in the stream as well; whoever asked has them already. So is what the
/// bus itself tells, as that we have a name on it.
async fn next_signal(messages: &mut MessageStream) -> zbus::Result<()> {
    loop {
        let next = poll_fn(|context| Pin::new(&mut *messages).poll_next(context)).await;
        let hung_up = || zbus::Error::from(io::Error::from(io::ErrorKind::ConnectionReset));
        let message = next.ok_or_else(hung_up)??;
        let is_job = message.header().member().is_some_and(|member| *member == "JobRemoved");
        if is_job && message.message_type() == Type::Signal {
            return Ok(());
        }
    }
}

fn is_error(error: &zbus::Error, expected: &str) -> bool {
    matches!(error, zbus::Error::MethodError(name, ..) if name.as_str() == expected)
}
