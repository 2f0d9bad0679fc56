//! From PostgreSQL's errors to the store's: each gets the kind a caller may decide on and a hint for the person. Also
//! the ways in which a single command ends early: refused, or failed below. No message ever holds a password: what is
//! shown comes from the server or from the operating system, never from the address.

use std::error::Error as _;

use stent_core::command::Refusal;
use stent_core::{StoreError, StoreErrorKind};
use tokio_postgres::Error;

/// Why a command stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Its own refusal.
    Refused(Refusal),
    /// An error of the server's or of the connection.
    Failed(Error),
    /// The same over a connection of the user's own, in the store's words: each library has errors of its own.
    Theirs(StoreError),
    /// A stored value is not of the kind it should be.
    Broken(&'static str),
    /// What a trusting batch went by has changed: it is to be rolled back and run with care.
    Stale,
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Theirs(error)
    }
}

/// What a stored value that is none of ours stops with.
pub(crate) const fn broken(what: &'static str) -> Stop {
    Stop::Broken(what)
}

/// What carrying out a command, or a part of it, comes to.
pub(crate) type Step<T> = Result<T, Stop>;

/// Where an error without an SQLSTATE arose. The library keeps its own kinds to itself; their words are all there is to
/// tell them apart by, and the test below holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// On our side, before anything was sent: a value that does not fit its parameter.
    Given,
    /// On our side, in reading an answer: a column that is not what it should be.
    Answered,
    /// While proving who we are.
    Authentication,
    /// While TLS was agreed on.
    Tls,
    /// On the way, or the way ended: what was under way may have happened or not.
    Way,
}

fn side(error: &Error) -> Side {
    let words = error.to_string();
    let starts_with_any = |starts: &[&str]| starts.iter().any(|s| words.starts_with(s));
    if starts_with_any(&["error serializing parameter", "error encoding message", "expected "]) {
        Side::Given
    } else if starts_with_any(&["error deserializing", "invalid column", "query returned an unexpected"]) {
        Side::Answered
    } else if starts_with_any(&["authentication error", "invalid co"]) {
        Side::Authentication
    } else if starts_with_any(&["error performing TLS"]) {
        Side::Tls
    } else {
        Side::Way
    }
}

/// Whether the error lies in the data of one command and not in the server, the connection or the batch.
pub(crate) fn is_of_the_data(error: &Error) -> bool {
    match error.code() {
        Some(code) => matches!(class(code.code()), "22" | "23" | "54" | "0A"),
        None => side(error) == Side::Given,
    }
}

/// Whether the same batch may succeed when it is simply carried out again: it lost against another one.
pub(crate) fn is_repeatable(error: &Error) -> bool {
    error.code().is_some_and(|code| matches!(code.code(), "40001" | "40P01" | "55P03"))
}

/// Whether the connection is of no use any more; what was under way may have been committed or not.
pub(crate) fn is_lost(error: &Error) -> bool {
    match error.code() {
        // The server (or a pooler) ended the session: it shuts down, crashed, starts up, dropped the database, or found
        // the session idle for too long; 08 is what poolers say of a server that left them.
        Some(code) => {
            let code = code.code();
            class(code) == "08" || matches!(code, "57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "25P03" | "25P04")
        }
        None => matches!(side(error), Side::Way | Side::Tls),
    }
}

/// The first two characters of an SQLSTATE.
fn class(code: &str) -> &str {
    code.get(..2).unwrap_or_default()
}

/// The store's error for one of PostgreSQL's; `doing` says what was tried ("commit to the database").
pub(crate) fn store_error(doing: &str, error: Error) -> StoreError {
    let (kind, hint) = match error.code() {
        Some(code) => of_code(code.code()),
        None => of_side(side(&error)),
    };
    StoreError::new(kind, format!("could not {doing}: {}", words(&error))).with_hint(hint).with_source(error)
}

/// What the error says: the server's own words and the SQLSTATE to look up, or each error down to the system's.
pub(crate) fn words(error: &Error) -> String {
    if let Some(from_server) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", from_server.message(), from_server.code().code());
    }
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(below) = source {
        words.push_str(": ");
        words.push_str(&below.to_string());
        source = below.source();
    }
    words
}

/// Kind and hint of an SQLSTATE: the codes that a person can do something about, then their classes.
pub(crate) fn of_code(code: &str) -> (StoreErrorKind, &'static str) {
    use StoreErrorKind as Kind;
    match (class(code), code) {
        (_, "53100") => (Kind::Full, "the server's disk is full: nothing was written, free some space there"),
        (_, "53300") => (
            Kind::Unavailable,
            "the server takes no more connections: lower max_size in the address, raise max_connections, or put a \
             pooler between",
        ),
        (_, "57P01" | "57P02" | "57P03") => (Kind::Unavailable, "the server is starting, stopping or restarting"),
        (_, "57014") => (Kind::Unavailable, "a statement_timeout or a person cancelled it"),
        (_, "55P03") => (Kind::Unavailable, "another transaction holds the lock; is one of your own open around this?"),
        (_, "25006") => (Kind::ReadOnly, "this is a standby or a read-only database: name the primary in the address"),
        (_, "25P01") => (Kind::Misuse, "no transaction is open on the connection: BEGIN one first"),
        (_, "25P03") => (Kind::Unavailable, "the process did not run for seconds in the middle of a transaction"),
        (_, "42501") => (
            Kind::Unusable,
            "the role lacks a privilege: GRANT USAGE ON SCHEMA and GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN \
             SCHEMA of Stent's schema to it",
        ),
        (_, "3D000") => (Kind::Unusable, "create it first: CREATE DATABASE, or createdb"),
        (_, "26000" | "42P05") => (
            Kind::Unavailable,
            "a pooler that hands out other connections in between seems to be there: add pooler=true to the address",
        ),
        ("28", _) => (Kind::Unusable, "check user and password in the address, and pg_hba.conf on the server"),
        ("08", _) => (Kind::Unavailable, "the connection to the server, or from a pooler to it, is gone"),
        ("40", _) => (Kind::Unavailable, "it lost against another transaction and may succeed when tried again"),
        ("53" | "57" | "58", _) => (Kind::Unavailable, "the server or the system below failed: its log may say more"),
        (_, "XX001" | "XX002") => {
            (Kind::Corrupt, "the server found its own files damaged: restore a backup, or fail over to a replica")
        }
        ("22" | "23" | "54" | "0A", _) => (Kind::Misuse, "a value does not fit the database"),
        ("3F" | "42", _) => (Kind::Unusable, "the tables are not as Stent made them: was one changed or dropped?"),
        _ => (Kind::Unavailable, ""),
    }
}

/// Kind and hint of an error that the server did not send.
fn of_side(side: Side) -> (StoreErrorKind, &'static str) {
    use StoreErrorKind as Kind;
    match side {
        Side::Given => (Kind::Misuse, "a value does not fit the database"),
        Side::Answered => (Kind::Corrupt, "a stored value is not of the kind it should be"),
        Side::Authentication => {
            (Kind::Unusable, "give the password in the address, in PGPASSWORD or in ~/.pgpass, and check the user")
        }
        Side::Tls => (Kind::Unusable, "check sslmode and sslrootcert in the address, and the server's certificate"),
        Side::Way => {
            (Kind::Unavailable, "the connection to the server is gone: is it running, and reachable from here?")
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_postgres::types::Type;
    use tokio_postgres::{Config, NoTls};

    use super::*;

    /// What the library makes of an answer to its greeting.
    fn after_greeting(answer: &[u8]) -> Error {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (ours, mut theirs) = tokio::io::duplex(4096);
            theirs.write_all(answer).await.unwrap();
            // The greeting is read, so that it is the end of the answers that is noticed.
            let server = async {
                let mut greeting = [0; 512];
                let _ = theirs.read(&mut greeting).await;
                drop(theirs);
            };
            let mut config = Config::new();
            config.user("stent").ssl_mode(tokio_postgres::config::SslMode::Disable);
            let client = config.connect_raw(ours, NoTls);
            let (outcome, ()) = tokio::join!(client, server);
            outcome.map(|_| ()).unwrap_err()
        })
    }

    fn with_code(code: &str) -> Error {
        let mut fields = Vec::new();
        for (field, value) in [(b'S', "ERROR"), (b'V', "ERROR"), (b'C', code), (b'M', "it is so")] {
            fields.push(field);
            fields.extend_from_slice(value.as_bytes());
            fields.push(0);
        }
        fields.push(0);
        let mut message = vec![b'E'];
        message.extend_from_slice(&u32::try_from(fields.len() + 4).unwrap().to_be_bytes());
        message.extend_from_slice(&fields);
        after_greeting(&message)
    }

    #[test]
    fn each_sqlstate_gets_its_kind_and_a_hint() {
        use StoreErrorKind as Kind;
        let table = [
            ("53100", Kind::Full, "free some space"),
            ("53300", Kind::Unavailable, "max_connections"),
            ("53200", Kind::Unavailable, "log"),
            ("57P03", Kind::Unavailable, "starting"),
            ("57014", Kind::Unavailable, "statement_timeout"),
            ("58030", Kind::Unavailable, "log"),
            ("08006", Kind::Unavailable, "pooler"),
            ("40001", Kind::Unavailable, "again"),
            ("55P03", Kind::Unavailable, "lock"),
            ("25006", Kind::ReadOnly, "primary"),
            ("25P01", Kind::Misuse, "BEGIN"),
            ("42501", Kind::Unusable, "GRANT"),
            ("42P01", Kind::Unusable, "dropped"),
            ("28P01", Kind::Unusable, "password"),
            ("28000", Kind::Unusable, "pg_hba.conf"),
            ("3D000", Kind::Unusable, "CREATE DATABASE"),
            ("XX001", Kind::Corrupt, "backup"),
            ("XX002", Kind::Corrupt, "backup"),
            ("22001", Kind::Misuse, "fit"),
            ("23505", Kind::Misuse, "fit"),
            ("26000", Kind::Unavailable, "pooler=true"),
            ("XX000", Kind::Unavailable, ""),
        ];
        for (code, kind, hint) in table {
            let error = store_error("commit", with_code(code));
            assert_eq!(error.kind(), kind, "{code}");
            assert!(error.hint().contains(hint), "{code}: {error}");
            let shown = error.to_string();
            assert!(shown.starts_with(&format!("could not commit: it is so (SQLSTATE {code})")), "{shown}");
        }
    }

    #[test]
    fn what_lies_in_the_data_what_may_be_repeated_and_what_is_lost_are_apart() {
        for code in ["22001", "22021", "23505", "54000", "0A000"] {
            let error = with_code(code);
            assert!(is_of_the_data(&error) && !is_repeatable(&error) && !is_lost(&error), "{code}");
        }
        for code in ["40001", "40P01", "55P03"] {
            let error = with_code(code);
            assert!(is_repeatable(&error) && !is_of_the_data(&error) && !is_lost(&error), "{code}");
        }
        for code in ["57P01", "57P02", "57P03", "08000", "08006", "08P01", "25P03"] {
            let error = with_code(code);
            assert!(is_lost(&error) && !is_of_the_data(&error) && !is_repeatable(&error), "{code}");
        }
        for code in ["53100", "53300", "57014", "58030", "25006", "42501", "XX000", "XX001"] {
            let error = with_code(code);
            assert!(!is_lost(&error) && !is_of_the_data(&error) && !is_repeatable(&error), "{code}");
        }
    }

    #[test]
    fn an_end_of_the_connection_is_lost() {
        let error = after_greeting(b"");
        assert!(is_lost(&error) && !is_of_the_data(&error), "{error:?}");
        assert_eq!(store_error("commit", error).kind(), StoreErrorKind::Unavailable);
    }

    #[test]
    fn a_message_that_is_no_answer_is_lost() {
        let error = after_greeting(b"Z\0\0\0\x05I");
        assert!(is_lost(&error) && !is_of_the_data(&error), "{error:?}");
    }

    #[test]
    fn a_password_that_is_asked_for_and_not_there_is_named() {
        // 3 is a password in clear text.
        let error = store_error("connect", after_greeting(b"R\0\0\0\x08\0\0\0\x03"));
        assert_eq!(error.kind(), StoreErrorKind::Unusable);
        assert!(error.hint().contains("PGPASSWORD"), "{error}");
    }

    #[test]
    fn a_value_that_does_not_fit_its_parameter_is_of_the_data_and_nothing_is_lost() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let error = runtime.block_on(async {
            let (ours, mut theirs) = tokio::io::duplex(4096);
            // Welcome, and ready for a query.
            theirs.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").await.unwrap();
            let mut config = Config::new();
            config.user("stent").ssl_mode(tokio_postgres::config::SslMode::Disable);
            let (client, _connection) = config.connect_raw(ours, NoTls).await.unwrap();
            client.execute_typed("SELECT $1", &[(&"text", Type::INT4)]).await.unwrap_err()
        });
        assert!(is_of_the_data(&error) && !is_lost(&error), "{error:?}");
        assert_eq!(store_error("commit", error).kind(), StoreErrorKind::Misuse);
    }
}
