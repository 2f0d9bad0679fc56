//! The address of a store: what a `postgres://` URL and libpq's environment variables mean, each part with its default.
//! It opens nothing (that is `connect`). A password goes in and never comes out in a message: neither `Debug` nor
//! `Display` shows it, and errors repeat no part of a URL that may hold one.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use stent_core::{StoreError, StoreErrorKind};
use tokio_postgres::Config;
use tokio_postgres::config::ChannelBinding;

mod config;
mod passfile;
mod url;

use url::Parts;

const DEFAULT_PORT: u16 = 5432;

/// How long a host may take to let us in before the next one is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections of a pool when the address says nothing: libpq-like clients in Python open as many.
const DEFAULT_MAX_SIZE: usize = 10;

/// More connections than any server takes.
const LARGEST_MAX_SIZE: usize = 10_000;

/// A connection is replaced after this many queries, so that what a server keeps for a session never grows for good.
const DEFAULT_MAX_QUERIES: u64 = 50_000;

/// An idle connection is closed after this long.
const DEFAULT_IDLE: Duration = Duration::from_secs(300);

/// What the server keeps of a name.
const LONGEST_IDENTIFIER_BYTES: usize = 63;

/// A transaction of ours that stands still this long is ended by the server: below `worker_timeout`, so that a frozen
/// process cannot hold the rows that say who may write.
const STANDSTILL: &str = "5s";

/// Where servers of the usual builds put their sockets.
const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// Where one server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// A name or a number, over TCP.
    Tcp(String, u16),
    /// A directory with a socket, and the port that is in the socket's name.
    Socket(PathBuf, u16),
}

impl fmt::Display for Host {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(name, port) if name.contains(':') => write!(to, "[{name}]:{port}"),
            Self::Tcp(name, port) => write!(to, "{name}:{port}"),
            Self::Socket(folder, port) => write!(to, "{}/.s.PGSQL.{port}", folder.display()),
        }
    }
}

/// How much TLS, as libpq names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SslMode {
    /// None.
    Disable,
    /// Only where the server refuses to go without.
    Allow,
    /// Where the server offers it.
    Prefer,
    /// Always, with whoever answers.
    Require,
    /// Always, with a certificate that a trusted root signed.
    VerifyCa,
    /// Always, with a certificate for this very host.
    VerifyFull,
}

/// What TLS goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tls {
    pub(crate) mode: SslMode,
    /// A file of trusted roots; `None`: those of the system.
    pub(crate) roots: Option<PathBuf>,
    /// The certificate and the key that we show, where the server wants one.
    pub(crate) ours: Option<(PathBuf, PathBuf)>,
}

/// How connections are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PoolSize {
    pub(crate) min: usize,
    pub(crate) max: usize,
    /// A connection is replaced after so many queries.
    pub(crate) max_queries: u64,
    /// An idle connection is closed after this; `None`: never.
    pub(crate) max_idle: Option<Duration>,
}

/// Kept out of everything that is shown.
#[derive(Clone)]
struct Password(String);

/// Where a store is and how it is to be reached.
#[derive(Clone)]
pub(crate) struct Address {
    /// In the order in which they are tried; none: the usual places.
    hosts: Vec<Host>,
    /// For the usual places.
    port: u16,
    pub(crate) user: String,
    password: Option<Password>,
    passfile: Option<PathBuf>,
    pub(crate) database: String,
    pub(crate) options: Option<String>,
    pub(crate) application_name: String,
    pub(crate) connect_timeout: Duration,
    /// Whether a server that only reads is passed over for the next host.
    pub(crate) must_write: bool,
    pub(crate) channel_binding: ChannelBinding,
    pub(crate) tls: Tls,
    /// Made at the first connect that needs it and kept: roots are read once, and TLS sessions are resumed.
    pub(crate) connector: crate::connect::Connector,
    /// The schema that was asked for, or that was found when the store was opened.
    pub(crate) schema: Option<String>,
    /// Whether a pooler stands between, where the person says so.
    pub(crate) pooler: Option<bool>,
    pub(crate) pool: PoolSize,
}

impl Address {
    /// Reads a URL and the process's environment.
    pub(crate) fn of_url(url: &str) -> Result<Self, StoreError> {
        Self::parse(url, &|name| std::env::var(name).ok())
    }

    /// Reads a URL, and what it leaves out from `environment`.
    pub(crate) fn parse(url: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, StoreError> {
        Self::of_parts(&Parts::of(url, environment)?, environment)
    }

    /// Reads a configuration of tokio-postgres's, and nothing else: it is whole as it is given.
    pub(crate) fn of_config(config: &Config) -> Result<Self, StoreError> {
        Self::of_parts(&config::parts(config)?, &|_| None)
    }

    fn of_parts(parts: &Parts, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, StoreError> {
        let (hosts, port) = hosts(parts)?;
        let user = match parts.get("user") {
            Some(user) => user.to_owned(),
            None => whoami::username().map_err(|_| unusable("no user is named, and the system does not name one"))?,
        };
        let passfile = parts
            .get("passfile")
            .map(PathBuf::from)
            .or_else(|| environment("HOME").map(|home| PathBuf::from(home).join(".pgpass")));
        let schema = parts.get("schema").map(str::to_owned);
        if let Some(name) = &schema {
            check_schema(name)?;
        }
        Ok(Self {
            must_write: must_write(parts, hosts.len())?,
            hosts,
            port,
            password: parts.get("password").map(|password| Password(password.to_owned())),
            passfile,
            database: parts.get("dbname").unwrap_or(&user).to_owned(),
            user,
            options: parts.get("options").map(str::to_owned),
            application_name: parts.get("application_name").unwrap_or("stent").to_owned(),
            connect_timeout: match seconds(parts, "connect_timeout")? {
                None => CONNECT_TIMEOUT,
                // As libpq has it: no limit of our own.
                Some(Duration::ZERO) => Duration::MAX,
                Some(given) => given,
            },
            channel_binding: one_of(
                parts,
                "channel_binding",
                &[
                    ("prefer", ChannelBinding::Prefer),
                    ("disable", ChannelBinding::Disable),
                    ("require", ChannelBinding::Require),
                ],
            )?,
            tls: tls(parts)?,
            connector: crate::connect::Connector::default(),
            schema,
            pooler: one_of(parts, "pooler", &[("", None), ("true", Some(true)), ("false", Some(false))])?,
            pool: pool(parts)?,
        })
    }

    /// The hosts to try, in order. Without any in the address: the socket of a server beside us, else `localhost`; looked
    /// up at each connect, since a socket comes and goes with its server.
    pub(crate) fn hosts(&self) -> Vec<Host> {
        if !self.hosts.is_empty() {
            return self.hosts.clone();
        }
        let socket = SOCKET_FOLDERS
            .iter()
            .map(PathBuf::from)
            .find(|folder| cfg!(unix) && folder.join(format!(".s.PGSQL.{}", self.port)).exists());
        vec![match socket {
            Some(folder) => Host::Socket(folder, self.port),
            None => Host::Tcp("localhost".to_owned(), self.port),
        }]
    }

    /// The password for a host: the one that was given, else the one in the password file.
    pub(crate) fn password(&self, host: &Host) -> Option<String> {
        if let Some(Password(password)) = &self.password {
            return Some(password.clone());
        }
        let folder;
        let (hosts, port) = match host {
            Host::Tcp(name, port) => (vec![name.as_str()], *port),
            Host::Socket(path, port) => {
                folder = path.display().to_string();
                (vec![folder.as_str(), "localhost"], *port)
            }
        };
        let wanted = passfile::Wanted { hosts: &hosts, port, database: &self.database, user: &self.user };
        passfile::password(self.passfile.as_deref()?, &wanted)
    }

    /// What a transaction must begin with on a connection that is not direct: a pooler hands out another connection at
    /// each transaction, so nothing may be set for longer.
    pub(crate) fn prelude(&self) -> String {
        self.settings("SET LOCAL").join("; ")
    }

    /// What is set once on a direct connection.
    pub(crate) fn session(&self) -> String {
        let mut settings = self.settings("SET");
        // Each transaction counts on seeing what was committed while it waited for a lock.
        settings.push("SET default_transaction_isolation TO 'read committed'".to_owned());
        settings.push("SET client_min_messages TO warning".to_owned());
        settings.join("; ")
    }

    fn settings(&self, set: &str) -> Vec<String> {
        let mut settings = vec![
            format!("{set} idle_in_transaction_session_timeout TO '{STANDSTILL}'"),
            // Our statements are short: compiling one costs a hundred times what it saves.
            format!("{set} jit TO off"),
        ];
        if let Some(schema) = &self.schema {
            settings.push(format!("{set} search_path TO {}", quoted(schema)));
        }
        settings
    }

    /// The address for messages: without the password.
    pub(crate) fn shown(&self) -> String {
        let hosts = self.hosts().into_iter().map(|host| match host {
            Host::Socket(folder, port) => format!("{}:{port}", folder.display().to_string().replace('/', "%2F")),
            host @ Host::Tcp(..) => host.to_string(),
        });
        let hosts: Vec<_> = hosts.collect();
        let schema = self.schema.as_ref().map(|schema| format!("?schema={schema}")).unwrap_or_default();
        format!("postgres://{}@{}/{}{schema}", self.user, hosts.join(","), self.database)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.shown())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Address({self})")
    }
}

/// A name as SQL has it between double quotes: whatever it holds, it is a name and nothing more.
pub(crate) fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

fn unusable(message: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Unusable, message).with_hint(
        "write postgres://user:password@host:5432/database; what is left out comes from PGHOST, PGUSER and the like",
    )
}

/// Refuses what cannot be the name of a schema of ours.
pub(crate) fn check_schema(name: &str) -> Result<(), StoreError> {
    if name.is_empty() || name.len() > LONGEST_IDENTIFIER_BYTES || name.contains('\0') {
        return Err(unusable(format!(
            "the schema's name {name:?} must have 1 to {LONGEST_IDENTIFIER_BYTES} bytes, and no NUL"
        )));
    }
    if name.starts_with("pg_") || name == "information_schema" {
        return Err(unusable(format!("the schema \"{name}\" is the server's own: name another")));
    }
    Ok(())
}

fn hosts(parts: &Parts) -> Result<(Vec<Host>, u16), StoreError> {
    let ports = parts.get("port").unwrap_or_default().split(',').map(|port| match port {
        "" => Ok(DEFAULT_PORT),
        port => port.parse().ok().filter(|port| *port != 0).ok_or(()),
    });
    let ports = ports.collect::<Result<Vec<_>, _>>().map_err(|()| unusable("a port is a number from 1 to 65535"))?;
    let first = ports.first().copied().unwrap_or(DEFAULT_PORT);
    let Some(hosts) = parts.get("host") else { return Ok((Vec::new(), first)) };
    let hosts: Vec<_> = hosts.split(',').collect();
    if ports.len() != 1 && ports.len() != hosts.len() {
        return Err(unusable(format!("there are {} hosts and {} ports", hosts.len(), ports.len())));
    }
    let placed = hosts.iter().enumerate().map(|(at, host)| {
        let port = ports.get(at).copied().unwrap_or(first);
        match *host {
            "" => Host::Tcp("localhost".to_owned(), port),
            folder if folder.starts_with('/') => Host::Socket(PathBuf::from(folder), port),
            name => Host::Tcp(name.to_owned(), port),
        }
    });
    Ok((placed.collect(), first))
}

fn must_write(parts: &Parts, hosts: usize) -> Result<bool, StoreError> {
    match parts.get("target_session_attrs") {
        // Of several hosts one is the primary, and a store writes.
        None => Ok(hosts > 1),
        Some("any") => Ok(false),
        Some("read-write" | "primary") => Ok(true),
        Some(given) => Err(unusable(format!(
            "target_session_attrs is one of any, read-write, primary, and not {given:?}: a store needs a server that writes"
        ))),
    }
}

fn tls(parts: &Parts) -> Result<Tls, StoreError> {
    let roots = parts.get("sslrootcert");
    let mode = one_of(
        parts,
        "sslmode",
        &[
            ("prefer", SslMode::Prefer),
            ("disable", SslMode::Disable),
            ("allow", SslMode::Allow),
            ("require", SslMode::Require),
            ("verify-ca", SslMode::VerifyCa),
            ("verify-full", SslMode::VerifyFull),
        ],
    )?;
    // Both as libpq has it: whoever names roots wants them used, and the system's vouch for a host, not for anyone.
    let mode = match (mode, roots) {
        (SslMode::VerifyFull, Some("system")) => mode,
        (_, Some("system")) if parts.get("sslmode").is_none() => SslMode::VerifyFull,
        (_, Some("system")) => return Err(unusable("sslrootcert=system goes with sslmode=verify-full only")),
        (SslMode::Require, Some(_)) => SslMode::VerifyCa,
        _ => mode,
    };
    let ours = match (parts.get("sslcert"), parts.get("sslkey")) {
        (Some(certificate), Some(key)) => Some((PathBuf::from(certificate), PathBuf::from(key))),
        (None, None) => None,
        _ => return Err(unusable("sslcert and sslkey come together")),
    };
    Ok(Tls { mode, roots: roots.filter(|roots| *roots != "system").map(PathBuf::from), ours })
}

fn pool(parts: &Parts) -> Result<PoolSize, StoreError> {
    let min = number(parts, "min_size", 0..=LARGEST_MAX_SIZE)?;
    let max = number(parts, "max_size", 1..=LARGEST_MAX_SIZE)?;
    let max = max.unwrap_or(DEFAULT_MAX_SIZE.max(min.unwrap_or_default()));
    if min.is_some_and(|min| min > max) {
        return Err(unusable(format!("min_size is larger than max_size, which is {max}")));
    }
    let max_idle = seconds(parts, "max_inactive_connection_lifetime")?.unwrap_or(DEFAULT_IDLE);
    Ok(PoolSize {
        min: min.unwrap_or(1),
        max,
        max_queries: number(parts, "max_queries", 1..=u64::MAX)?.unwrap_or(DEFAULT_MAX_QUERIES),
        max_idle: Some(max_idle).filter(|idle| !idle.is_zero()),
    })
}

/// A parameter that has one of a few values; the first is what holds when it is not given.
fn one_of<T: Copy>(parts: &Parts, name: &'static str, values: &[(&str, T)]) -> Result<T, StoreError> {
    let given = parts.get(name);
    let found = values.iter().find(|(value, _)| given.is_none_or(|given| given == *value));
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let all: Vec<_> = values.iter().map(|(value, _)| *value).filter(|value| !value.is_empty()).collect();
        unusable(format!("{name} is one of {}, and not {:?}", all.join(", "), given.unwrap_or_default()))
    })
}

fn number<T: FromStr + PartialOrd + fmt::Display>(
    parts: &Parts,
    name: &'static str,
    range: std::ops::RangeInclusive<T>,
) -> Result<Option<T>, StoreError> {
    let Some(given) = parts.get(name) else { return Ok(None) };
    let parsed = given.parse().ok().filter(|number| range.contains(number));
    parsed.map(Some).ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        unusable(format!("{name} is a whole number from {least} to {most}, and not {given:?}"))
    })
}

fn seconds(parts: &Parts, name: &'static str) -> Result<Option<Duration>, StoreError> {
    let Some(given) = parts.get(name) else { return Ok(None) };
    let parsed = given.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    parsed.map(Some).ok_or_else(|| unusable(format!("{name} is a number of seconds, 0 or more, and not {given:?}")))
}

#[cfg(test)]
mod tests;
