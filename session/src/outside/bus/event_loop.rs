//! What zbus runs on: one event loop for each connection, driven by whoever asks.
//!
//! The one that zbus brings has a thread run what is left between two questions.

use std::future::{Future, ready};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::process::{Command, ExitStatus, Stdio};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use zbus::runtime::{Interest, IoSource, traits};
use zruntime::{Shared, SharedRuntime};

use crate::outside::runtime_dir::connect_to;

/// Until a full backlog is looked at again.
const BACKLOG: Duration = Duration::from_millis(20);

#[derive(Clone)]
pub(super) struct EventLoop(SharedRuntime);

impl EventLoop {
    pub(super) fn new() -> io::Result<Self> {
        SharedRuntime::new().map(Self)
    }

    /// Runs `work` on this thread, with all that the connection has to do meanwhile.
    /// None if it is not done at `until`.
    pub(super) fn run_until<T>(&self, until: Instant, work: impl Future<Output = T>) -> Option<T> {
        self.0.block_on(self.0.timeout_at(until, work)).ok()
    }
}

impl traits::Runtime for EventLoop {
    type RegisteredIoSource = Registration;
    type Sleep = zruntime::Sleep<Shared>;
    type Task<T>
        = Task<T>
    where
        T: Send + 'static;

    fn register_io_source(&self, source: IoSource) -> io::Result<Registration> {
        self.0.register(source).map(Registration)
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn spawn<T>(&self, name: &str, future: impl Future<Output = T> + Send + 'static) -> Task<T>
    where
        T: Send + 'static,
    {
        Task(self.0.spawn(name.to_owned(), future))
    }

    fn connect_tcp(
        &self,
        _address: SocketAddr,
    ) -> impl Future<Output = io::Result<IoSource>> + Send {
        ready(Err(io::ErrorKind::Unsupported.into()))
    }

    async fn connect_unix(&self, path: &Path) -> io::Result<IoSource> {
        loop {
            match connect_to(path) {
                Err(Errno::EAGAIN) => self.0.sleep(BACKLOG).await,
                connected => return Ok(connected?.into()),
            }
        }
    }

    fn spawn_process(
        &self,
        _command: Command,
        _stdin: Stdio,
        _stdout: Stdio,
        _stderr: Stdio,
    ) -> io::Result<Pin<Box<dyn Future<Output = io::Result<ExitStatus>> + Send + 'static>>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// At once: nothing that we ask for takes long enough for a thread.
    fn spawn_blocking<T>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Pin<Box<dyn Future<Output = T> + Send + 'static>>
    where
        T: Send + 'static,
    {
        Box::pin(ready(work()))
    }
}

pub(super) struct Registration(zruntime::Registration<Shared>);

impl traits::PollIo for Registration {
    fn poll_io<T>(
        &self,
        context: &mut Context<'_>,
        interest: Interest,
        operation: impl FnMut() -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let interest = match interest {
            Interest::Writable => zruntime::Interest::Writable,
            _ => zruntime::Interest::Readable,
        };
        self.0.poll_io(context, interest, operation)
    }
}

pub(super) struct Task<T>(zruntime::Task<T, Shared>);

impl<T> Future for Task<T> {
    type Output = io::Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<T: Send + 'static> traits::TaskHandle<T> for Task<T> {
    fn detach(self) {
        self.0.detach();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outside::runtime_dir::tests::full_backlog;

    use zbus::runtime::traits::Runtime;

    /// Show that a bus whose backlog is full is waited for, until it has room or the time
    /// is over.
    #[test]
    fn a_full_backlog_is_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("bus");
        let (listener, clients) = full_backlog(&path);
        let event_loop = EventLoop::new().unwrap();
        let connect =
            |time| event_loop.run_until(Instant::now() + time, event_loop.connect_unix(&path));
        assert!(connect(Duration::from_millis(100)).is_none());
        listener.accept().unwrap();
        assert!(connect(Duration::from_secs(60)).is_some_and(|connected| connected.is_ok()));
        drop((listener, clients));
        assert!(connect(Duration::from_secs(60)).is_some_and(|refused| refused.is_err()));
    }
}
