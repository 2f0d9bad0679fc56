//! What a function returned, as it is stored, and back. The expansion of the attribute asks a [`Probe`] of the return
//! type which kind it is: the kinds are traits of which method lookup takes the first that applies, so aliases of
//! `Result` are seen through without being named.
//!
//! Invariant: what comes back to a caller is what the function itself returned. Everything else that can end it is
//! handed on as a failure, for which only some return types have a place.

use std::fmt::Display;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use stent_core::{Failure, FailureKind, Payload, TaskId, Verdict};
use stent_engine::Delivery;

use crate::failure::as_json;
use crate::task_error::{TaskError, TaskResult};

/// How a call ended, for the kinds to read.
#[derive(Debug)]
pub struct Ended {
    outcome: Result<Payload, Box<Failure>>,
    name: String,
    /// The child it was, or the execution's root.
    task_id: TaskId,
}

impl Ended {
    pub(crate) fn new(name: &str, task_id: TaskId, outcome: Result<Payload, Box<Failure>>) -> Self {
        Self { outcome, name: name.to_owned(), task_id }
    }

    pub(crate) fn of_delivery(name: &str, task_id: TaskId, delivery: &Delivery) -> Self {
        let outcome = match delivery.verdict {
            Verdict::Ok => Ok(delivery.payload.clone()),
            Verdict::Failed => Err(Box::new(Failure::from_payload(&delivery.payload))),
            Verdict::TimedOut => Err(Box::new(Failure::new(FailureKind::Timeout, "the wait took longer than it may"))),
        };
        Self::new(name, task_id, outcome)
    }

    /// The stored result as a value; one that does not fit is a failure of its own.
    fn value<T: DeserializeOwned>(&self) -> Result<T, Box<Failure>> {
        match &self.outcome {
            Ok(payload) => payload.read().map_err(|error| {
                let words = format!("{}: {error}", self.name);
                Box::new(Failure { permanent: true, ..Failure::new(FailureKind::Payload, words) })
            }),
            Err(failure) => Err(failure.clone()),
        }
    }
}

/// Asks of what kind a return type is.
#[derive(Debug)]
pub struct Probe<R>(PhantomData<fn() -> R>);

impl<R> Probe<R> {
    #[must_use]
    #[allow(clippy::new_without_default, reason = "what the macro writes calls it by this name, and nobody else does")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// `Result<_, TaskError>`: every failure has a place in it.
pub trait TaskErrorKind {
    fn kind(&self) -> TaskErrors {
        TaskErrors
    }
}

/// `Result<_, E>` where `E` is made from a [`Failure`] too: the function's own errors, and every other failure.
pub trait EngineKind {
    fn kind(&self) -> OwnAndEngine {
        OwnAndEngine
    }
}

/// `Result<_, E>`: the function's own errors.
pub trait OwnKind {
    fn kind(&self) -> Own {
        Own
    }
}

/// Anything else: no failure has a place in it.
pub trait PlainKind {
    fn kind(&self) -> Plain {
        Plain
    }
}

impl<T> TaskErrorKind for &&&Probe<Result<T, TaskError>> {}
impl<T, E: From<Failure>> EngineKind for &&Probe<Result<T, E>> {}
impl<T, E> OwnKind for &Probe<Result<T, E>> {}
impl<R> PlainKind for Probe<R> {}

/// An error that can be stored. Implemented for every type that serde writes and that can be shown.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a durable function",
    label = "not an error that can be stored",
    note = "derive `serde::Serialize` and `serde::Deserialize` and implement `Display` (thiserror does), or return \
            `durable::TaskResult`, which any error turns into"
)]
pub trait StoredError: Serialize + Display + Send + 'static {}

impl<E: Serialize + Display + Send + 'static> StoredError for E {}

/// An error that can be read again.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a durable function",
    label = "not an error that can be read again",
    note = "derive `serde::Deserialize`, or return `durable::TaskResult`, which any error turns into"
)]
pub trait ReadError: DeserializeOwned + Display + Send + 'static {}

impl<E: DeserializeOwned + Display + Send + 'static> ReadError for E {}

/// A return type with an error in it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no `Result`, so there is no error in it",
    note = "`retry_for` and `try_all` are for functions that return a `Result`"
)]
pub trait Fallible {
    /// What is in `Ok`.
    type Value;
    /// What is in `Err`.
    type Error;

    /// The same as a `Result`.
    fn into_result(self) -> Result<Self::Value, Self::Error>;
}

impl<T, E> Fallible for Result<T, E> {
    type Value = T;
    type Error = E;

    fn into_result(self) -> Self {
        self
    }
}

#[derive(Clone, Copy, Debug)]
pub struct TaskErrors;
#[derive(Clone, Copy, Debug)]
pub struct OwnAndEngine;
#[derive(Clone, Copy, Debug)]
pub struct Own;
#[derive(Clone, Copy, Debug)]
pub struct Plain;

fn stored<T: Serialize>(value: &T) -> TaskResult<Payload> {
    Payload::json(value).map_err(TaskError::invalid)
}

/// A function's own error as it is stored: its words, its JSON, and whether it is worth another attempt.
fn own_failure<E: StoredError>(error: &E, may_retry: bool) -> TaskError {
    let failure = Failure {
        details: as_json(error),
        permanent: !may_retry,
        ..Failure::new(FailureKind::Error, error.to_string())
    };
    TaskError::User(Box::new(failure))
}

/// The function's own error, if it is what ended it.
fn own_error<E: ReadError>(failure: &Failure) -> Option<E> {
    if failure.kind != FailureKind::Error {
        return None;
    }
    let error: E = serde_json::from_value(failure.details.clone()).ok()?;
    // An error without data of its own is told from a failure without any by its words.
    (!failure.details.is_null() || error.to_string() == failure.message).then_some(error)
}

impl TaskErrors {
    pub fn settle<T: Serialize>(self, output: TaskResult<T>) -> TaskResult<Payload> {
        stored(&output?)
    }

    pub fn settle_judged<T: Serialize>(
        self,
        output: TaskResult<T>,
        retry_for: impl FnOnce(&TaskError) -> bool,
    ) -> TaskResult<Payload> {
        match output {
            Err(error) if !error.is_control() && !retry_for(&error) => Err(error.permanent()),
            output => self.settle(output),
        }
    }

    pub fn read<T: DeserializeOwned>(self, ended: Ended) -> Result<TaskResult<T>, Box<Failure>> {
        let value = ended.value();
        let Ended { name, task_id, .. } = ended;
        Ok(value.map_err(|failure| match failure.kind {
            FailureKind::Payload => TaskError::Payload { name, failure },
            _ => TaskError::Child { name, task_id, failure },
        }))
    }
}

impl Own {
    pub fn settle<T: Serialize, E: StoredError>(self, output: Result<T, E>) -> TaskResult<Payload> {
        self.settle_judged(output, |_| true)
    }

    pub fn settle_judged<T: Serialize, E: StoredError>(
        self,
        output: Result<T, E>,
        retry_for: impl FnOnce(&E) -> bool,
    ) -> TaskResult<Payload> {
        match output {
            Ok(value) => stored(&value),
            Err(error) => Err(own_failure(&error, retry_for(&error))),
        }
    }

    pub fn read<T: DeserializeOwned, E: ReadError>(self, ended: Ended) -> Result<Result<T, E>, Box<Failure>> {
        match ended.value() {
            Ok(value) => Ok(Ok(value)),
            Err(failure) => own_error(&failure).map(Err).ok_or(failure),
        }
    }
}

impl OwnAndEngine {
    pub fn settle<T: Serialize, E: StoredError>(self, output: Result<T, E>) -> TaskResult<Payload> {
        Own.settle(output)
    }

    pub fn settle_judged<T: Serialize, E: StoredError>(
        self,
        output: Result<T, E>,
        retry_for: impl FnOnce(&E) -> bool,
    ) -> TaskResult<Payload> {
        Own.settle_judged(output, retry_for)
    }

    pub fn read<T: DeserializeOwned, E: ReadError + From<Failure>>(
        self,
        ended: Ended,
    ) -> Result<Result<T, E>, Box<Failure>> {
        Ok(Own.read(ended).unwrap_or_else(|failure| Err(E::from(*failure))))
    }
}

impl Plain {
    pub fn settle<T: Serialize>(self, output: T) -> TaskResult<Payload> {
        stored(&output)
    }

    pub fn settle_judged<T: Serialize + Fallible, J>(self, output: T, _: J) -> TaskResult<Payload> {
        self.settle(output)
    }

    pub fn read<T: DeserializeOwned>(self, ended: Ended) -> Result<T, Box<Failure>> {
        ended.value()
    }
}
