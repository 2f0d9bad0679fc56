//! What a face implements: which functions it knows, and how to run one attempt. The engine polls the future that
//! comes back and decides when it goes on.

use std::time::Duration;

use stent_core::store::BoxFuture;
use stent_core::view::FunctionView;
use stent_core::{Failure, Payload};

use crate::activation::Context;
use crate::error::Interrupt;

/// The functions of a face.
pub trait Host: Send + Sync + 'static {
    /// Every function it can run now. Functions may be added while a worker runs; they never go away.
    fn functions(&self) -> Vec<FunctionView>;

    /// How many they are: asked at each claim, where the list itself is only wanted when it has grown. Provided.
    fn functions_known(&self) -> usize {
        self.functions().len()
    }

    /// How long stopped code may take to end before its task is put aside or given back: for faces whose code runs where
    /// dropping a future does not end it. The future resolves once the code has ended. Provided: no time at all.
    fn unwinding(&self) -> Duration {
        Duration::ZERO
    }

    /// Runs one attempt at the task that `context` holds. A panic inside the future is a failure of the attempt.
    fn run(&self, context: Context) -> BoxFuture<'static, Result<Payload, AttemptError>>;
}

/// Why an attempt came to no result.
#[derive(Debug, Clone, PartialEq)]
pub enum AttemptError {
    /// The engine told it to stop; nothing of it is recorded.
    Interrupted(Interrupt),
    /// The user's code failed.
    Failed(Failure),
}

impl From<Interrupt> for AttemptError {
    fn from(interrupt: Interrupt) -> Self {
        Self::Interrupted(interrupt)
    }
}
