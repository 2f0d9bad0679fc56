//! The syntax of an address: a URL taken apart into parameters by name, missing ones from libpq's environment. What they
//! mean is the address's. No error repeats a part that could be a password, which is any part of a URL that is not well
//! formed.

use std::collections::BTreeMap;

use stent_core::StoreError;

use super::unusable;

/// Every parameter, and the variable of libpq's that stands in for it.
const PARAMETERS: &[(&str, Option<&str>)] = &[
    ("host", Some("PGHOST")),
    ("port", Some("PGPORT")),
    ("dbname", Some("PGDATABASE")),
    ("user", Some("PGUSER")),
    ("password", Some("PGPASSWORD")),
    ("passfile", Some("PGPASSFILE")),
    ("application_name", Some("PGAPPNAME")),
    ("options", Some("PGOPTIONS")),
    ("connect_timeout", Some("PGCONNECT_TIMEOUT")),
    ("target_session_attrs", Some("PGTARGETSESSIONATTRS")),
    ("channel_binding", Some("PGCHANNELBINDING")),
    ("sslmode", Some("PGSSLMODE")),
    ("sslrootcert", Some("PGSSLROOTCERT")),
    ("sslcert", Some("PGSSLCERT")),
    ("sslkey", Some("PGSSLKEY")),
    ("schema", None),
    ("pooler", None),
    ("min_size", None),
    ("max_size", None),
    ("max_queries", None),
    ("max_inactive_connection_lifetime", None),
];

/// The parameters that were given, by name; an empty one counts as not given, as libpq has it.
#[derive(Default)]
pub(super) struct Parts(BTreeMap<&'static str, String>);

impl Parts {
    /// Takes a URL apart and adds what the environment has of what it lacks.
    pub(super) fn of(url: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, StoreError> {
        let Some(rest) = ["postgres://", "postgresql://"].iter().find_map(|scheme| url.strip_prefix(scheme)) else {
            let scheme = url.split(':').next().unwrap_or_default();
            let scheme = if scheme.len() < url.len() { scheme } else { "" };
            return Err(unusable(format!("\"{scheme}:\" is not an address of the PostgreSQL store")));
        };
        let mut parts = Self::default();
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        if database.contains('@') || query.split('=').next().is_some_and(|first| first.contains('@')) {
            return Err(unusable("the user or the password has a / or a ? that is not written as %2F or %3F"));
        }
        let hosts = match authority.rsplit_once('@') {
            Some((credentials, hosts)) => {
                let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
                parts.put("user", decoded("the user", user)?);
                parts.put("password", decoded("the password", password)?);
                hosts
            }
            None => authority,
        };
        parts.put_hosts(hosts)?;
        parts.put("dbname", decoded("the database", database)?);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some((known, _)) = PARAMETERS.iter().find(|(known, _)| *known == name) else {
                let all: Vec<_> = PARAMETERS.iter().map(|(known, _)| *known).collect();
                return Err(unusable(format!("the parameter \"{name}\" is not known"))
                    .with_hint(format!("the parameters are {}", all.join(", "))));
            };
            parts.put(known, decoded(known, value)?);
        }
        for (name, variable) in PARAMETERS {
            if let (false, Some(variable)) = (parts.0.contains_key(name), variable) {
                parts.put(name, environment(variable).unwrap_or_default());
            }
        }
        Ok(parts)
    }

    pub(super) fn get(&self, name: &'static str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn put(&mut self, name: &'static str, value: String) {
        if !value.is_empty() {
            self.0.insert(name, value);
        }
    }

    /// `host`, `host:port`, `[::1]:port`, `%2Frun%2Fpostgresql`, several of them after commas.
    fn put_hosts(&mut self, text: &str) -> Result<(), StoreError> {
        let (mut hosts, mut ports) = (Vec::new(), Vec::new());
        for one in text.split(',') {
            let (host, port) = match one.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                Some((host, "")) => (host, ""),
                Some((host, rest)) => {
                    let port = rest.strip_prefix(':');
                    (host, port.ok_or_else(|| unusable("after a host in brackets comes nothing or a port"))?)
                }
                None => one.split_once(':').unwrap_or((one, "")),
            };
            hosts.push(decoded("a host", host)?);
            ports.push(decoded("a port", port)?);
        }
        if hosts.iter().any(|host| !host.is_empty()) {
            self.put("host", hosts.join(","));
        }
        if ports.iter().any(|port| !port.is_empty()) {
            self.put("port", ports.join(","));
        }
        Ok(())
    }
}

/// Text with its `%XX` taken back; `what` names it in errors.
fn decoded(what: &str, text: &str) -> Result<String, StoreError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit =
                    || rest.next().and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
                match (digit(), digit()) {
                    (Some(high), Some(low)) => high * 16 + low,
                    _ => return Err(unusable(format!("{what} has a % that is not written as %25"))),
                }
            }
            other => other,
        });
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(unusable(format!("{what} is not UTF-8 text, or has a NUL"))),
    }
}
