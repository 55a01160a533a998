//! systemd and logind over the system bus.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::time::Instant;

use futures_core::Stream;
use zbus::address::transport::{Transport, Unix, UnixSocket};
use zbus::message::Type;
use zbus::{Address, Connection, Message, MessageStream};
use zruntime::SharedRuntime;

use crate::budget::Budget;
use crate::crash;
use crate::error::{Error, Problem, Result, bus_cause};
use crate::live::{self, NotLive, Viewpoint};
use crate::roots::Roots;
use crate::slice::{Properties, Property};
use crate::systemd::{Systemd, Units};

mod body;
mod slice;
mod units;
use body::{Arguments, property};
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

/// D-Bus Specification, "Standard Interfaces".
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// What we are doing, kept where a timeout can read it.
type Doing = RefCell<String>;

/// The system bus, connected to when it is first needed.
pub(crate) struct Bus<'a> {
    roots: &'a Roots,
    connection: Option<Connection>,
    doing: &'a Doing,
    messages: Option<MessageStream>,
    watched: Option<u32>,
}

/// Runs `work` on this thread and within the budget: no version of zbus bounds
/// the connect and the handshake, and a bus that accepts and stays silent must
/// not hang a node.
///
/// # Errors
/// Those of `work`, or [`Problem::Late`] naming what it was at.
pub(crate) fn within(
    budget: Budget,
    roots: &Roots,
    work: impl AsyncFnOnce(&mut Bus<'_>) -> Result<()>,
) -> Result<()> {
    let doing = Doing::default();
    let all = Box::pin(async { work(&mut Bus::new(roots, &doing)).await });
    let done = drive(all, budget.deadline())?;
    done.unwrap_or_else(|| Err(Problem::Late { doing: doing.take(), total: budget.total() }.into()))
}

/// One event loop for every kind of work: a copy for each would be code of its
/// own. What is left of the work is dropped while the loop runs: a connection
/// that ends outside leaves a thread.
fn drive(
    work: Pin<Box<dyn Future<Output = Result<()>> + '_>>,
    until: Instant,
) -> Result<Option<Result<()>>> {
    zbus::block_on(async { Ok(runtime()?.timeout_at(until, work).await.ok()) })
}

fn runtime() -> Result<SharedRuntime> {
    SharedRuntime::current().map_err(|error| Error::bus("start the event loop")(error.into()))
}

impl<'a> Bus<'a> {
    fn new(roots: &'a Roots, doing: &'a Doing) -> Self {
        Self { roots, connection: None, doing, messages: None, watched: None }
    }

    async fn connection(&mut self) -> Result<&Connection> {
        let connection = match self.connection.take() {
            Some(connected) => connected,
            None => self.connect().await?,
        };
        Ok(self.connection.insert(connection))
    }

    /// The address is fixed: DBUS_SYSTEM_BUS_ADDRESS in a job's environment must
    /// not decide whom root talks to.
    async fn connect(&self) -> Result<Connection> {
        let doing = "connect to the system bus";
        self.doing.replace(doing.into());
        let socket = UnixSocket::File(self.roots.system_bus.clone());
        let address = Address::new(Transport::Unix(Unix::new(socket)));
        zbus::connection::Builder::address(address).build().await.map_err(Error::bus(doing))
    }

    async fn call(
        &mut self,
        doing: String,
        object: &Object<'_>,
        method: &str,
        arguments: Arguments<'_>,
    ) -> Result<Message> {
        self.send(&doing, object, method, arguments).await?.map_err(Error::bus(doing))
    }

    /// The answer as it is, for a caller to whom an error is one.
    async fn send(
        &mut self,
        doing: &str,
        object: &Object<'_>,
        method: &str,
        arguments: Arguments<'_>,
    ) -> Result<zbus::Result<Message>> {
        let connection = self.connection().await?.clone();
        self.doing.replace(doing.to_owned());
        let Object { service, path, interface } = *object;
        crash::point();
        let reply =
            connection.call_method(Some(service), path, Some(interface), method, &arguments);
        Ok(reply.await)
    }

    /// The sender is checked by the bus daemon, which knows who owns a name.
    ///
    /// Not by zbus's own match rule: dropping such a stream leaves a task that
    /// takes the rule back, and with it a thread, after the callback (zbus 6.2).
    async fn watch_jobs(&mut self, unit: &str) -> Result<()> {
        let Object { service, path, interface } = SYSTEMD;
        let rule = format!(
            "type='signal',sender='{service}',path='{path}',interface='{interface}',\
             member='JobRemoved',arg2='{unit}'"
        );
        self.call(format!("watch {unit}"), &DAEMON, "AddMatch", (rule,).into()).await?;
        Ok(())
    }
}

impl Systemd for Bus<'_> {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn look(&mut self, dir: &Path, uid: u32) -> Result<(), NotLive> {
        live::check(dir, uid, Viewpoint::Root)
    }

    fn has_manager(&self, uid: u32) -> bool {
        live::check_manager(&self.roots.slice(uid), uid).is_ok()
    }

    async fn set_linger(&mut self, uid: u32, on: bool) -> Result<()> {
        let doing = format!("turn linger {} for uid {uid}", if on { "on" } else { "off" });
        match self.send(&doing, &LOGIND, "SetUserLinger", (uid, on, false).into()).await? {
            Err(error) if is_refusal(&error) => {
                Err(Problem::Refused { doing, cause: bus_cause(&error) }.into())
            }
            reply => reply.map(drop).map_err(Error::bus(doing)),
        }
    }

    async fn units(&mut self, uid: u32) -> Result<Units> {
        units::of(self, uid).await
    }

    async fn start_manager(&mut self, uid: u32) -> Result<()> {
        let unit = manager_name(uid);
        self.call(format!("start {unit}"), &SYSTEMD, "StartUnit", (unit, "replace").into()).await?;
        Ok(())
    }

    async fn stop_manager(&mut self, uid: u32) -> Result<()> {
        let unit = manager_name(uid);
        let doing = format!("stop {unit}");
        match self.send(&doing, &SYSTEMD, "StopUnit", (unit, "replace").into()).await? {
            Err(error) if is_error(&error, "org.freedesktop.systemd1.NoSuchUnit") => Ok(()),
            reply => reply.map(drop).map_err(Error::bus(doing)),
        }
    }

    async fn kill_manager(&mut self, uid: u32) -> Result<()> {
        let unit = manager_name(uid);
        let (doing, sigkill) = (format!("kill {unit}"), 9_i32);
        match self.send(&doing, &SYSTEMD, "KillUnit", (unit, "all", sigkill).into()).await? {
            Err(error) if is_error(&error, "org.freedesktop.systemd1.NoSuchUnit") => Ok(()),
            reply => reply.map(drop).map_err(Error::bus(doing)),
        }
    }

    async fn forget_failure(&mut self, uid: u32) -> Result<()> {
        let unit = manager_name(uid);
        let doing = format!("forget that {unit} failed");
        // It has not, or systemd has forgotten it already.
        let _ = self.send(&doing, &SYSTEMD, "ResetFailedUnit", (unit,).into()).await?;
        Ok(())
    }

    async fn slice(&mut self, uid: u32) -> Result<Properties> {
        slice::get(self, uid).await
    }

    async fn set_slice(&mut self, uid: u32, properties: Vec<Property>) -> Result<()> {
        slice::set(self, uid, properties).await
    }

    async fn removes_ipc(&mut self) -> Result<bool> {
        let doing = "ask logind for RemoveIPC";
        let manager = Object { interface: PROPERTIES, ..LOGIND };
        let asked = (LOGIND.interface, "RemoveIPC").into();
        let reply = self.call(doing.into(), &manager, "Get", asked).await?;
        property(&reply).map_err(Error::bus(doing))
    }

    async fn is_logged_in(&mut self, uid: u32) -> Result<bool> {
        let doing = format!("ask logind for uid {uid}");
        let user = Object {
            service: LOGIND.service,
            path: &format!("/org/freedesktop/login1/user/_{uid}"),
            interface: PROPERTIES,
        };
        let state = ("org.freedesktop.login1.User", "State");
        let reply = match self.send(&doing, &user, "Get", state.into()).await? {
            Err(error) if is_no_such_user(&error) => return Ok(false),
            reply => reply.map_err(Error::bus(&*doing))?,
        };
        let state: String = property(&reply).map_err(Error::bus(doing))?;
        // sd_uid_get_state(3); the others are offline, opening, lingering, closing.
        Ok(matches!(state.as_str(), "online" | "active"))
    }

    async fn watch(&mut self, uid: u32) -> Result<()> {
        if self.messages.is_none() {
            self.messages = Some(self.connection().await?.clone().into());
            self.call("subscribe to systemd".into(), &SYSTEMD, "Subscribe", Arguments::NONE)
                .await?;
        }
        if self.watched != Some(uid) {
            self.watch_jobs(&manager_name(uid)).await?;
            self.watch_jobs(&runtime_dir_name(uid)).await?;
            self.watched = Some(uid);
        }
        Ok(())
    }

    async fn changed(&mut self, what: &str, until: Instant) -> Result<bool> {
        self.doing.replace(what.to_owned());
        let Some(messages) = &mut self.messages else { return Ok(false) };
        match runtime()?.timeout_at(until, next_signal(messages)).await {
            Err(_late) => Ok(false),
            Ok(Ok(())) => Ok(true),
            Ok(Err(error)) => Err(Error::bus("wait for systemd")(error)),
        }
    }
}

/// Replies are in the stream as well; whoever asked has them already.
async fn next_signal(messages: &mut MessageStream) -> zbus::Result<()> {
    loop {
        let next = poll_fn(|context| Pin::new(&mut *messages).poll_next(context)).await;
        let hung_up = || zbus::Error::from(io::Error::from(io::ErrorKind::ConnectionReset));
        if next.ok_or_else(hung_up)??.message_type() == Type::Signal {
            return Ok(());
        }
    }
}

/// The object of a user whom logind does not know does not exist; which error
/// says so changed with the release.
fn is_no_such_user(error: &zbus::Error) -> bool {
    let is_unknown = match error {
        zbus::Error::FDO(error) => matches!(**error, zbus::fdo::Error::UnknownObject(_)),
        _ => is_error(error, "org.freedesktop.DBus.Error.UnknownObject"),
    };
    is_unknown || is_error(error, "org.freedesktop.login1.NoSuchUser")
}

/// Whether somebody has answered: who leaves the bus without an answer may have done
/// it (D-Bus Specification, org.freedesktop.DBus.Error.NoReply). zbus has the bus's own
/// errors in a type of theirs.
fn is_refusal(error: &zbus::Error) -> bool {
    use zbus::fdo::Error::{NoReply, ZBus};
    match error {
        zbus::Error::MethodError(..) => true,
        zbus::Error::FDO(standard) => !matches!(**standard, NoReply(_) | ZBus(_)),
        _ => false,
    }
}

fn is_error(error: &zbus::Error, expected: &str) -> bool {
    matches!(error, zbus::Error::MethodError(name, ..) if name.as_str() == expected)
}
