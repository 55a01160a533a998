//! A bus with a fault in front of it.
//!
//! `faulty-bus SOCKET BUS FAULT [NUMBER [MEMBER]]` listens on SOCKET, passes each connection
//! on to BUS, and prints each call that it passes. The faults:
//!
//! - `drop N`: the connection ends between the Nth call and its answer, once. Call
//!   0 is the handshake. With a MEMBER only calls of that name count.
//! - `late MS`: each answer and each signal comes so much later.
//! - `idle`: logind says yes to a change of linger and does nothing.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

fn main() -> Result<()> {
    let arguments = env::args().skip(1).collect::<Vec<_>>();
    let [socket, bus, fault, rest @ ..] = &arguments[..] else {
        bail!("usage: faulty-bus SOCKET BUS FAULT [NUMBER [MEMBER]]")
    };
    let number = rest.first().map_or(Ok(0), |number| number.parse())?;
    let (fault, counted) = (Fault::named(fault, number)?, rest.get(1).cloned());
    let listener = UnixListener::bind(socket).context("listen")?;
    println!("listening");
    let proxy = Proxy { fault, counted, ..Proxy::default() };
    // One client at a time: the tests run one slurmstepd after another.
    for client in listener.incoming() {
        proxy.serve(&client?, &UnixStream::connect(bus).context("connect to the bus")?)?;
    }
    Ok(())
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Fault {
    Drop {
        call: u32,
    },
    Late(Duration),
    #[default]
    Idle,
}

impl Fault {
    fn named(name: &str, number: u32) -> Result<Self> {
        Ok(match name {
            "drop" => Self::Drop { call: number },
            "late" => Self::Late(Duration::from_millis(number.into())),
            "idle" => Self::Idle,
            _ => bail!("no such fault: {name}"),
        })
    }
}

#[derive(Default)]
struct Proxy {
    fault: Fault,
    /// Which calls count, if not all.
    counted: Option<String>,
    /// Calls of all connections.
    calls: AtomicU32,
    /// The call is there whose answer is to be lost.
    has_come: AtomicBool,
    /// The next answer is that one.
    dropping: AtomicBool,
}

impl Proxy {
    /// Both directions until one of them ends, by whichever side.
    fn serve(&self, client: &UnixStream, bus: &UnixStream) -> Result<()> {
        self.expect_drop();
        thread::scope(|scope| {
            scope.spawn(|| {
                // Who hangs up in the middle is no concern of the other direction.
                let _ = self.pass_answers(bus, client);
                let _ = client.shutdown(Shutdown::Both);
            });
            let passed = self.pass_calls(client, bus);
            let _ = bus.shutdown(Shutdown::Both);
            passed.or_else(|error| if error.is::<io::Error>() { Ok(()) } else { Err(error) })
        })
    }

    /// Whether the answer to the call that was just counted is to be lost.
    fn expect_drop(&self) {
        let call = self.calls.load(Ordering::SeqCst);
        if self.fault == (Fault::Drop { call }) && !self.has_come.swap(true, Ordering::SeqCst) {
            self.dropping.store(true, Ordering::SeqCst);
        }
    }

    fn pass_calls(&self, client: &UnixStream, mut bus: &UnixStream) -> Result<()> {
        let mut reader = BufReader::new(client);
        while let Some(piece) = next_piece(&mut reader)? {
            if let Piece::Message(message) = &piece {
                let member = member(message)?;
                println!("{member}");
                if self.counted.as_deref().is_none_or(|counted| counted == member) {
                    self.calls.fetch_add(1, Ordering::SeqCst);
                    self.expect_drop();
                }
                if self.fault == Fault::Idle && member == "SetUserLinger" {
                    (&*client).write_all(&success(message)?)?;
                    continue;
                }
            }
            bus.write_all(piece.bytes())?;
        }
        Ok(())
    }

    fn pass_answers(&self, bus: &UnixStream, mut client: &UnixStream) -> Result<()> {
        let mut reader = BufReader::new(bus);
        while let Some(piece) = next_piece(&mut reader)? {
            if let Fault::Late(delay) = self.fault {
                thread::sleep(delay);
            }
            if piece.is_answer() && self.dropping.swap(false, Ordering::SeqCst) {
                println!("dropped");
                return Ok(());
            }
            client.write_all(piece.bytes())?;
        }
        Ok(())
    }
}

/// What is sent at a time (D-Bus Specification, "Authentication Protocol" and
/// "Message Format").
enum Piece {
    /// A line of the handshake.
    Line(Vec<u8>),
    Message(Vec<u8>),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Line(bytes) | Self::Message(bytes) => bytes,
        }
    }

    /// A reply, an error, or what the bus says in the handshake.
    fn is_answer(&self) -> bool {
        match self {
            Self::Line(_) => true,
            Self::Message(message) => matches!(message.get(1), Some(2 | 3)),
        }
    }
}

/// Begins a message in little-endian order; a line begins with a capital, the very
/// first one with NUL.
const LITTLE_ENDIAN: u8 = b'l';

/// What comes before the header fields of a message.
const FIXED: usize = 16;

fn next_piece(from: &mut impl BufRead) -> Result<Option<Piece>> {
    let mut piece = Vec::new();
    match from.fill_buf()?.first() {
        None => return Ok(None),
        Some(&LITTLE_ENDIAN) => {}
        Some(_) => {
            from.read_until(b'\n', &mut piece)?;
            return Ok(Some(Piece::Line(piece)));
        }
    }
    piece.resize(FIXED, 0);
    from.read_exact(&mut piece)?;
    let (body, fields) = (number_at(&piece, 4)?, number_at(&piece, 12)?);
    let rest = fields.next_multiple_of(8) + body;
    from.take(rest.into()).read_to_end(&mut piece)?;
    Ok(Some(Piece::Message(piece)))
}

fn number_at(message: &[u8], offset: usize) -> Result<u32> {
    let bytes = message.get(offset..).and_then(<[u8]>::first_chunk);
    Ok(u32::from_le_bytes(*bytes.context("a message that ends early")?))
}

/// Header field 3, a string.
fn member(message: &[u8]) -> Result<&str> {
    let fields = message.get(FIXED..).context("no header fields")?;
    let field = [3, 1, b's', 0];
    let begin = fields.windows(4).step_by(8).position(|at| at == field);
    let begin = FIXED + begin.context("a call has a member")? * 8 + field.len();
    let length = usize::try_from(number_at(message, begin)?)?;
    let name = message.get(begin + 4..).and_then(|name| name.get(..length));
    Ok(str::from_utf8(name.context("a member that ends early")?)?)
}

/// A reply to `call` with nothing in it: its only header field, 5, is the call's
/// serial number.
fn success(call: &[u8]) -> Result<Vec<u8>> {
    let serial = number_at(call, 8)?;
    ensure!(serial > 0, "a call without a serial number");
    let mut reply = vec![LITTLE_ENDIAN, 2, 1, 1];
    for number in [0, u32::MAX, 8, u32::from_le_bytes([5, 1, b'u', 0]), serial] {
        reply.extend(number.to_le_bytes());
    }
    Ok(reply)
}
