//! A system bus on which a logind and a systemd do as the script says.
//!
//! `scripted-bus SCRIPT UID` listens where the system bus does, in a mount
//! namespace of the test's, and prints each call it gets. The scripts:
//!
//! - `works`: what is asked for happens.
//! - `promises`: logind does its part, systemd says yes and does nothing.
//! - `hangs`: the first start of the manager never ends, unless it is killed.
//! - `silent`: accepts connections and says nothing.
//! - `garbage`: answers what is no D-Bus.

use std::collections::HashMap;
use std::env;
use std::fs::{self, File};
use std::io;
use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use zbus::message::Type;
use zbus::names::OwnedInterfaceName;
use zbus::{Connection, Guid, Message, MessageStream, OwnedObjectPath, Variant};

const SOCKET: &str = "/run/dbus/system_bus_socket";

fn main() -> Result<()> {
    let arguments = env::args().skip(1).collect::<Vec<_>>();
    let [script, uid] = &arguments[..] else { bail!("usage: scripted-bus SCRIPT UID") };
    let mut machine = Machine::new(script, uid)?;
    let listener = UnixListener::bind(SOCKET).context(SOCKET)?;
    println!("listening");
    let mut silent = Vec::new();
    // One client at a time: the tests run one slurmstepd after another.
    for stream in listener.incoming() {
        let mut stream = stream?;
        match script.as_str() {
            "silent" => silent.push(stream),
            "garbage" => stream.write_all(b"\x00HTTP/1.1 400 Bad Request\r\n\r\n")?,
            // A client that hangs up in the middle is the client's affair.
            _ => zbus::block_on(serve(stream, &mut machine)).unwrap_or_default(),
        }
    }
    Ok(())
}

async fn serve(stream: UnixStream, machine: &mut Machine) -> Result<()> {
    let builder = zbus::connection::Builder::unix_stream(stream);
    let built = builder.server(Guid::generate()).p2p().build().await;
    let connection = built.context("handshake")?;
    let mut messages = MessageStream::from(connection.clone());
    while let Some(Ok(message)) = messages.next().await {
        if message.message_type() == Type::MethodCall {
            answer(&connection, machine, &message).await?;
        }
    }
    Ok(())
}

async fn answer(connection: &Connection, machine: &mut Machine, call: &Message) -> Result<()> {
    let header = call.header();
    let member = header.member().context("a call has a member")?.to_string();
    let body = call.body();
    match member.as_str() {
        "Hello" => return Ok(connection.reply(&header, &":1.1").await?),
        "AddMatch" | "RemoveMatch" => return Ok(connection.reply(&header, &()).await?),
        "SetUserLinger" => {
            let (uid, on, _): (u32, bool, bool) = body.deserialize()?;
            println!("SetUserLinger {uid} {on}");
            machine.set_linger(on)?;
            connection.reply(&header, &()).await?;
        }
        "ListUnitsByNames" => {
            println!("ListUnitsByNames");
            let names: Vec<String> = body.deserialize()?;
            connection.reply(&header, &machine.rows(names)?).await?;
        }
        "StartUnit" => {
            println!("StartUnit");
            machine.start()?;
            connection.reply(&header, &path("/org/freedesktop/systemd1/job/1")?).await?;
        }
        "KillUnit" => {
            println!("KillUnit");
            machine.kill();
            connection.reply(&header, &()).await?;
        }
        "Get" => {
            println!("Get");
            connection.reply(&header, &Variant::from(machine.user_state())).await?;
        }
        "GetAll" => {
            println!("GetAll");
            connection.reply(&header, &free_slice()).await?;
        }
        other => {
            println!("{other}");
            connection.reply(&header, &()).await?;
        }
    }
    machine.report(connection).await
}

/// The properties of a slice without limits.
fn free_slice() -> HashMap<&'static str, Variant<'static>> {
    let numbers = ["MemoryMax", "MemorySwapMax", "TasksMax"];
    let numbers = numbers.map(|name| (name, Variant::from(u64::MAX)));
    let others = [
        ("AllowedCPUs", Variant::from(Vec::<u8>::new())),
        ("DevicePolicy", Variant::from("auto")),
        ("DeviceAllow", Variant::from(Vec::<(String, String)>::new())),
    ];
    numbers.into_iter().chain(others).collect()
}

/// The node that the two daemons pretend to run.
struct Machine {
    script: String,
    uid: String,
    linger: String,
    state: &'static str,
    starts: u32,
    sockets: Vec<UnixListener>,
    finished_job: bool,
}

impl Machine {
    fn new(script: &str, uid: &str) -> Result<Self> {
        let passwd = fs::read_to_string("/etc/passwd")?;
        let user = passwd.lines().find(|line| line.split(':').nth(2) == Some(uid));
        let name = user.and_then(|line| line.split(':').next()).context("no such uid")?;
        Ok(Self {
            script: script.to_owned(),
            uid: uid.to_owned(),
            linger: format!("/var/lib/systemd/linger/{name}"),
            state: "inactive",
            starts: 0,
            sockets: Vec::new(),
            finished_job: false,
        })
    }

    fn set_linger(&mut self, on: bool) -> Result<()> {
        if on {
            File::create(&self.linger)?;
            return Ok(());
        }
        // logind turns it off a second time without a word.
        match fs::remove_file(&self.linger) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => removed?,
        }
        self.sockets.clear();
        self.state = "inactive";
        self.finished_job = true;
        Ok(())
    }

    fn start(&mut self) -> Result<()> {
        self.starts += 1;
        match self.script.as_str() {
            "promises" => return Ok(()),
            "hangs" if self.starts == 1 => {
                self.state = "activating";
                return Ok(());
            }
            _ => {}
        }
        let dir = format!("/run/user/{}", self.uid);
        fs::create_dir_all(format!("{dir}/systemd"))?;
        for socket in ["bus", "systemd/private"] {
            let socket = Path::new(&dir).join(socket);
            let _ = fs::remove_file(&socket);
            self.sockets.push(UnixListener::bind(socket)?);
        }
        self.state = "active";
        self.finished_job = true;
        Ok(())
    }

    fn kill(&mut self) {
        self.state = "failed";
        self.finished_job = true;
    }

    fn user_state(&self) -> &'static str {
        if self.state == "active" { "lingering" } else { "closing" }
    }

    fn rows(&self, names: Vec<String>) -> Result<Vec<Row>> {
        let job = u32::from(self.state == "activating");
        let row = |name: String| -> Result<Row> {
            let [load, state, none] = ["loaded", self.state, ""].map(str::to_owned);
            let (unit, job_path) = (path("/unit")?, path("/job")?);
            let kind = "start".to_owned();
            Ok((name, none.clone(), load, state.clone(), state, none, unit, job, kind, job_path))
        };
        names.into_iter().map(row).collect()
    }

    /// What systemd says of a job that is done.
    async fn report(&mut self, connection: &Connection) -> Result<()> {
        if !std::mem::take(&mut self.finished_job) {
            return Ok(());
        }
        let interface: OwnedInterfaceName = "org.freedesktop.systemd1.Manager".try_into()?;
        let job = path("/org/freedesktop/systemd1/job/1")?;
        let body = (1_u32, job, format!("user@{}.service", self.uid), "done");
        let none = None::<&str>;
        let systemd = "/org/freedesktop/systemd1";
        Ok(connection.emit_signal(none, systemd, interface, "JobRemoved", &body).await?)
    }
}

type Row =
    (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

fn path(path: &str) -> Result<OwnedObjectPath> {
    Ok(path.try_into()?)
}
