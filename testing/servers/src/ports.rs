//! TCP ports that stay free for a server that comes and goes. They lie below those the kernel gives to outgoing
//! connections: one of these could take the port while its server is down, and even connect to itself.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::Context;

/// Below the first port of outgoing connections on Linux (32768) and above those of well-known services.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// How many ports are tried.
const TRIES: usize = 200;

/// A listener on a port that was free, on this machine alone.
pub(crate) fn listener() -> anyhow::Result<TcpListener> {
    let span = u64::from(PORTS.end - PORTS.start);
    let listener = (0..TRIES).find_map(|_| {
        let offset = u16::try_from(random() % span).unwrap_or_default();
        TcpListener::bind((Ipv4Addr::LOCALHOST, PORTS.start + offset)).ok()
    });
    listener.with_context(|| format!("no free TCP port in {TRIES} tries"))
}

/// A port that was free a moment ago. Somebody may take it meanwhile: whoever cannot bind it asks again.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(listener()?.local_addr().context("a listener without an address")?.port())
}

/// The address of a port on this machine.
pub(crate) fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Another number each time, in each process: hashers are keyed at random.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}
