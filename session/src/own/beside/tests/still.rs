//! What the user has done before, while root is at work alone.

use std::sync::mpsc::channel;

use super::*;

/// For what takes milliseconds.
const DEADLINE: Duration = Duration::from_secs(10);

/// In a thread of its own, which may wait for ever.
fn joined(node: &Node, first: First) -> io::Result<()> {
    let (roots, books) = (node.roots.clone(), Books::of(&node.roots, USER));
    let (sender, receiver) = channel();
    std::thread::spawn(move || sender.send(join(&roots, USER, &books, first)));
    receiver.recv_timeout(DEADLINE).expect("root waits for the user")
}

/// Show that root does not wait at a pipe that lies where a file of Podman's is.
#[test]
fn a_pipe_holds_nobody() {
    if is_done_apart("still::a_pipe_holds_nobody") {
        return;
    }
    let (_dir, node) = node();
    node.logs_in();
    joined(&node, First::RuntimeDirectory).unwrap();
    let alive = node.dir().join("libpod/tmp/linger");
    for name in ALIVE {
        let _ = fs::remove_file(alive.join(name));
        mkfifo(&alive.join(name), Mode::S_IRWXU).unwrap();
    }
    joined(&node, First::RuntimeDirectory).unwrap();
    node.logs_out();
}
