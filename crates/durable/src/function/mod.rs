//! Durable functions: ordinary async functions under an attribute, called like any other. Over the same engine as
//! [`Task`](crate::Task), with names for types: a function's name stands for it, its arguments are a tuple.
//!
//! - `meta`: name and options; - `spec`: what becomes of them; - `arguments`, `outcome`: values as they are stored;
//! - `here`: where code runs; - `call`, `fan_out`: calling; - `free`, `context`: what a function's code calls;
//! - `dispatch`: starting one from outside; - `entry`: which there are; - `plain`: without an engine.

mod arguments;
mod branch;
mod call;
mod call_error;
mod context;
mod dispatch;
mod entry;
mod fan_out;
mod free;
mod here;
mod meta;
#[doc(hidden)]
mod outcome;
mod plain;
mod spans;
pub(crate) mod spec;

use stent_core::store::BoxFuture;
use stent_core::{Failure, Payload};

use crate::task_error::TaskResult;

pub use arguments::{Arguments, IntoArguments};
pub use branch::{Branch, spawn};
pub use call::{Callable, FunctionCall};
pub use call_error::CallError;
pub use context::{Context, Counter, StateValue, context};
pub use dispatch::{Dispatch, Execution};
pub use entry::FunctionEntry;
pub use fan_out::FunctionMap;
pub use free::{call, emit, now, random, signal, sleep, sleep_until, step, uuid, wait_for_event, wait_for_signal};
pub(crate) use here::{Here, WorkersRuntime};
pub use meta::FunctionMeta;
pub use spans::{IntoSpan, IntoTimeout};

/// What the expansion of the attribute refers to.
#[doc(hidden)]
pub(crate) mod expansion {
    pub use super::arguments::argument;
    pub use super::meta::{Retry, duration};
    pub use super::outcome::{
        Ended, EngineKind, Fallible, Own, OwnAndEngine, OwnKind, Plain, PlainKind, Probe, ReadError, StoredError,
        TaskErrorKind, TaskErrors,
    };
}

/// A durable function, as the attribute [`#[durable::function]`](macro@crate::function) makes it: its name is a value
/// and a type that stand for it. Nothing but the attribute implements it.
///
/// ```
/// use durable::Function;
///
/// #[durable::function(name = "payments:pay")]
/// async fn charge(cents: u64) -> String {
///     format!("receipt over {cents}")
/// }
///
/// fn name_of<F: Function>(_: F) -> &'static str {
///     F::meta().name()
/// }
/// assert_eq!(name_of(charge), "payments:pay");
///
/// fn arguments<F: Function>(_: F, args: F::Args) -> F::Args {
///     args
/// }
/// assert_eq!(arguments(charge, (250,)), (250,));
/// ```
pub trait Function: Copy + Send + Sync + 'static {
    /// Its arguments, as a tuple.
    type Args: Arguments;
    /// What it returns.
    type Output: Send + 'static;

    /// Whether it has a key function.
    #[doc(hidden)]
    const HAS_KEY_FUNCTION: bool = false;

    /// Its name and options.
    fn meta() -> &'static FunctionMeta;

    /// The code as it was written.
    #[doc(hidden)]
    fn run(args: Self::Args) -> BoxFuture<'static, Self::Output>;

    /// What is stored of what it returned.
    #[doc(hidden)]
    fn settle(output: Self::Output) -> TaskResult<Payload>;

    /// What a caller gets; the failure when the return type has no place for it.
    #[doc(hidden)]
    fn read(ended: expansion::Ended) -> Result<Self::Output, Box<Failure>>;

    /// The key function's answer, if there is one.
    #[doc(hidden)]
    fn key(_args: &Self::Args) -> Option<String> {
        None
    }
}
