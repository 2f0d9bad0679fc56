//! The list of a program's durable functions: each annotated one is entered where it is linked in, so a worker knows
//! it without being told. A linker may drop an object file of a library that nothing refers to; functions in such
//! places are named with [`functions!`](crate::functions).

use std::any::TypeId;
use std::fmt;

use stent_core::Payload;
use stent_core::store::BoxFuture;
use stent_engine::AttemptError;

use super::meta::FunctionMeta;
use super::{Arguments, Function};
use crate::context::TaskContext;
use crate::registry::run_function;
use crate::task_error::{TaskError, TaskResult};

/// One durable function, ready to be registered: see [`functions!`](crate::functions).
///
/// ```
/// #[durable::function]
/// async fn charge(cents: u64) -> String {
///     format!("receipt over {cents}")
/// }
///
/// let entry = durable::FunctionEntry::of::<charge>();
/// assert!(entry.meta().name().ends_with(":charge"));
/// ```
#[derive(Clone, Copy)]
pub struct FunctionEntry {
    pub(crate) meta: fn() -> &'static FunctionMeta,
    pub(crate) run: fn(TaskContext, Payload) -> BoxFuture<'static, Result<Payload, AttemptError>>,
    /// The code as written, without a task.
    pub(crate) as_written: fn(Payload) -> BoxFuture<'static, TaskResult<Payload>>,
    pub(crate) what: fn() -> TypeId,
}

inventory::collect!(FunctionEntry);

impl FunctionEntry {
    /// The entry of a function.
    #[must_use]
    pub const fn of<F: Function>() -> Self {
        Self { meta: F::meta, run: run_function::<F>, as_written: as_written::<F>, what: TypeId::of::<F> }
    }

    /// Its name and options.
    #[must_use]
    pub fn meta(&self) -> &'static FunctionMeta {
        (self.meta)()
    }

    /// Every annotated function that is linked into the program.
    pub(crate) fn linked() -> impl Iterator<Item = Self> {
        inventory::iter::<Self>.into_iter().copied()
    }
}

fn as_written<F: Function>(args: Payload) -> BoxFuture<'static, TaskResult<Payload>> {
    Box::pin(async move {
        let args = F::Args::read(&args, F::meta().parameters());
        let args = args.map_err(|error| TaskError::unreadable("the arguments", error))?;
        F::settle(F::run(args).await)
    })
}

impl fmt::Debug for FunctionEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FunctionEntry").field(&self.meta().name()).finish()
    }
}

/// A list of durable functions, for [`Durable::register_functions`](crate::Durable::register_functions) and
/// [`DurableBuilder::functions`](crate::DurableBuilder::functions). Annotated functions that are linked into the program
/// are known without it; it is for those of a library that nothing else refers to, and for clients that shall know only
/// some.
///
/// ```
/// #[durable::function]
/// async fn charge(cents: u64) -> String {
///     format!("receipt over {cents}")
/// }
///
/// #[durable::function]
/// async fn ship(parcel: String) -> String {
///     parcel
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), durable::DurableError> {
/// # let client = durable::Durable::builder().database_url("sqlite::memory:").build().await?;
/// client.register_functions(durable::functions![charge, ship])?;
/// # Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! functions {
    ($($function:path),* $(,)?) => {
        [$($crate::FunctionEntry::of::<$function>()),*]
    };
}
