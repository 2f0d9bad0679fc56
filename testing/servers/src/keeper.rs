//! The thread that is the parent of all servers. The kernel binds "tell me when my parent dies" to the parent's thread,
//! not to its process: children of a test's thread would end with that test. This thread lives as long as the process.

use std::io;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;

type Order = (Command, Sender<io::Result<Child>>);

static KEEPER: OnceLock<Sender<Order>> = OnceLock::new();

/// Starts a process as a child of the keeper.
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    let keeper = KEEPER.get_or_init(|| {
        let (keeper, orders) = channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in orders {
                // Whoever asked waits for the answer, so somebody is there to hear it.
                drop(answer.send(command.spawn()));
            }
        });
        keeper
    });
    let (answer, answered) = channel();
    let gone = || io::Error::other("the thread that starts servers has ended");
    keeper.send((command, answer)).map_err(|_| gone())?;
    answered.recv().map_err(|_| gone())?
}
