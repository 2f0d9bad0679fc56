//! The bell: the kernel tells when anybody writes to the log, so that an idle store sleeps instead of looking fifty
//! times a second. It says only that something may have changed; where it cannot be hung, the watch looks by itself.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

/// Rings whenever the log is written to.
pub(crate) struct Bell(OwnedFd);

impl Bell {
    /// Hangs it on the log of an open database.
    pub(crate) fn hang(log: &Path) -> Option<Self> {
        let hung = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)
            .and_then(|bell| inotify::add_watch(&bell, log, WatchFlags::MODIFY).map(|_| bell));
        match hung {
            Ok(bell) => Some(Self(bell)),
            Err(error) => {
                tracing::debug!(%error, "the log cannot be watched; it is looked at instead");
                None
            }
        }
    }

    /// Waits until it rings, at most this long, and stills it. Whether it rang.
    pub(crate) fn wait(&self, at_most: Duration) -> bool {
        let span = Timespec::try_from(at_most).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let rang = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&span)).is_ok_and(|ready| ready > 0);
        if rang {
            let mut rings = [MaybeUninit::<u8>::uninit(); 4_096];
            // Whatever is read or left says the same; at worst it rings once more.
            while rustix::io::read(&self.0, &mut rings).is_ok_and(|(read, _)| !read.is_empty()) {}
        }
        rang
    }
}
