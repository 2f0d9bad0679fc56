//! From SQLite's errors to the store's: each gets the kind a caller may decide on and a hint for the person. Also the
//! two ways in which a single command ends early: refused, or failed below.

use rusqlite::ErrorCode;
use stent_core::command::Refusal;
use stent_core::{StoreError, StoreErrorKind};

/// Why a command stopped: its own refusal, or an error of SQLite's.
#[derive(Debug)]
pub(crate) enum Stop {
    Refused(Refusal),
    Failed(rusqlite::Error),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error)
    }
}

/// What carrying out a command, or a part of it, comes to.
pub(crate) type Step<T> = Result<T, Stop>;

/// The hint for a lock that stays held.
const LOCKED_HINT: &str = "another connection holds the write lock; a transaction of your own may be open around this \
     call: end it first, or give its connection to the call (the outbox)";

/// Whether the error lies in the data of one command and not in the file, the disk or the memory below.
pub(crate) fn is_of_the_data(error: &rusqlite::Error) -> bool {
    !matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::OutOfMemory
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::OperationInterrupted
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::SchemaChanged
                | ErrorCode::Unknown
        )
    )
}

/// The store's error for one of SQLite's; `doing` says what was tried ("commit to the database").
pub(crate) fn store_error(doing: &str, error: rusqlite::Error) -> StoreError {
    use StoreErrorKind as Kind;
    let (kind, hint) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (Kind::Unavailable, LOCKED_HINT),
        Some(ErrorCode::DiskFull) => {
            (Kind::Full, "the disk (or the size limit) is full: nothing was written, free some space")
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            (Kind::ReadOnly, "the file and its directory must be writable by this user")
        }
        Some(ErrorCode::CannotOpen) => {
            (Kind::Unusable, "check that the directory exists and that this user may create files in it")
        }
        Some(ErrorCode::NotADatabase) => (Kind::Unusable, "the file is something else, or encrypted: name another one"),
        Some(ErrorCode::DatabaseCorrupt) => {
            (Kind::Corrupt, "restore a backup, or salvage what is readable with the sqlite3 shell's .recover")
        }
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig) => {
            (Kind::Misuse, "a value does not fit the database")
        }
        Some(ErrorCode::OutOfMemory | ErrorCode::SystemIoFailure | ErrorCode::OperationInterrupted) => {
            (Kind::Unavailable, "the system below failed: its log may say more")
        }
        Some(_) => (Kind::Unavailable, ""),
        None => (Kind::Corrupt, "a stored value is not of the kind it should be"),
    };
    StoreError::new(kind, format!("could not {doing}: {error}")).with_hint(hint).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_of_sqlite_gets_its_kind_and_a_hint() {
        let table = [
            (rusqlite::ffi::SQLITE_BUSY, StoreErrorKind::Unavailable, "transaction of your own"),
            (rusqlite::ffi::SQLITE_FULL, StoreErrorKind::Full, "free some space"),
            (rusqlite::ffi::SQLITE_READONLY, StoreErrorKind::ReadOnly, "writable"),
            (rusqlite::ffi::SQLITE_NOTADB, StoreErrorKind::Unusable, "another one"),
            (rusqlite::ffi::SQLITE_CORRUPT, StoreErrorKind::Corrupt, "backup"),
            (rusqlite::ffi::SQLITE_CANTOPEN, StoreErrorKind::Unusable, "directory exists"),
            (rusqlite::ffi::SQLITE_IOERR, StoreErrorKind::Unavailable, "system below"),
        ];
        for (code, kind, hint) in table {
            let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            assert!(!is_of_the_data(&error), "{error}");
            let error = store_error("commit", error);
            assert_eq!(error.kind(), kind);
            assert!(error.hint().contains(hint), "{error}");
        }
    }

    #[test]
    fn a_constraint_is_of_the_data() {
        let code = rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY;
        assert!(is_of_the_data(&rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None)));
        assert!(is_of_the_data(&rusqlite::Error::InvalidQuery));
    }
}
