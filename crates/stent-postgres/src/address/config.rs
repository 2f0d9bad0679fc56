//! A configuration of tokio-postgres's as an address: its parts by the names that they have in a URL. What it says that
//! a store cannot go by is refused, never passed over.

use stent_core::StoreError;
use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, Host, SslMode, SslNegotiation, TargetSessionAttrs};

use super::unusable;
use super::url::Parts;

/// The parts of a configuration.
pub(super) fn parts(config: &Config) -> Result<Parts, StoreError> {
    let mut parts = Parts::default();
    let text = |name: &'static str, given: Option<&str>, parts: &mut Parts| {
        let given = given.unwrap_or_default();
        if given.contains('\0') {
            return Err(refused(&format!("{name} has a NUL")));
        }
        parts.put(name, given.to_owned());
        Ok(())
    };
    text("user", config.get_user(), &mut parts)?;
    text("dbname", config.get_dbname(), &mut parts)?;
    text("options", config.get_options(), &mut parts)?;
    text("application_name", config.get_application_name(), &mut parts)?;
    let password = config.get_password().map(std::str::from_utf8).transpose();
    text("password", password.map_err(|_| refused("the password is not UTF-8 text"))?, &mut parts)?;
    parts.put("host", hosts(config)?.join(","));
    parts.put("port", config.get_ports().iter().map(u16::to_string).collect::<Vec<_>>().join(","));
    if let Some(timeout) = config.get_connect_timeout() {
        parts.put("connect_timeout", timeout.as_secs_f64().to_string());
    }
    let mode = match config.get_ssl_mode() {
        SslMode::Disable => "disable",
        SslMode::Prefer => "prefer",
        SslMode::Require => "require",
        _ => return Err(refused("its ssl_mode is not known here")),
    };
    parts.put("sslmode", mode.to_owned());
    if config.get_ssl_negotiation() != SslNegotiation::Postgres {
        return Err(refused("TLS without asking the server first is not offered"));
    }
    let binding = match config.get_channel_binding() {
        ChannelBinding::Disable => "disable",
        ChannelBinding::Prefer => "prefer",
        ChannelBinding::Require => "require",
        _ => return Err(refused("its channel_binding is not known here")),
    };
    parts.put("channel_binding", binding.to_owned());
    match config.get_target_session_attrs() {
        // Its own default, so it may have been left out: then of several hosts the one that writes is wanted.
        TargetSessionAttrs::Any => {}
        TargetSessionAttrs::ReadWrite => parts.put("target_session_attrs", "read-write".to_owned()),
        _ => return Err(refused("a store needs a server that writes")),
    }
    Ok(parts)
}

/// The hosts by their names, or by their numbers where these are given: then nothing is looked up.
fn hosts(config: &Config) -> Result<Vec<String>, StoreError> {
    let numbers = config.get_hostaddrs();
    if !numbers.is_empty() {
        return Ok(numbers.iter().map(ToString::to_string).collect());
    }
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => Ok(name.clone()),
        #[cfg(unix)]
        Host::Unix(folder) => {
            folder.to_str().map(str::to_owned).ok_or_else(|| refused("a socket's folder is not UTF-8 text"))
        }
    });
    let hosts = hosts.collect::<Result<Vec<_>, _>>()?;
    match hosts.iter().any(|host| host.contains([',', '\0'])) {
        true => Err(refused("a host has a comma or a NUL")),
        false => Ok(hosts),
    }
}

fn refused(problem: &str) -> StoreError {
    unusable(format!("the configuration of tokio-postgres does not serve a store: {problem}"))
}
