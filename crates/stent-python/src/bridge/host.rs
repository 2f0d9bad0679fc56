//! The functions of an executor, as the engine's worker sees them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use stent_core::function::FunctionOptions;
use stent_core::store::BoxFuture;
use stent_core::view::FunctionView;
use stent_core::{Name, Payload};
use stent_engine::{AttemptError, Context, Host};

use super::Bridge;
use super::code::Code;
use crate::runtime::runtime;

/// How long stopped code may take: its tasks are cancelled, and their `finally` blocks run.
const UNWINDING: Duration = Duration::from_secs(4);

/// How long what was read of the published functions counts.
const PUBLISHED_FOR: Duration = Duration::from_secs(1);

/// Functions by name.
#[derive(Default)]
pub(crate) struct Functions(RwLock<BTreeMap<Name, Arc<FunctionOptions>>>);

impl Functions {
    pub(crate) fn insert(&self, name: Name, options: FunctionOptions) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::new(options));
    }

    fn find(&self, name: &Name) -> Option<Arc<FunctionOptions>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

/// What the workers of others have published, as it was read last.
#[derive(Default)]
pub(crate) struct Published {
    read_at: tokio::sync::Mutex<Option<Instant>>,
    known: Functions,
}

impl Bridge {
    /// The options of a function: its own executor's, else what its owner's workers have published, else the defaults.
    pub(super) async fn options(&self, name: &Name) -> Arc<FunctionOptions> {
        if let Some(known) = self.functions.find(name) {
            return known;
        }
        self.read_published().await;
        self.published.known.find(name).unwrap_or_default()
    }

    /// The same for a call in hand, which cannot wait. The store is read on the calling thread when the function is new
    /// here or was read long ago; it is the event loop's, and a read takes a moment.
    pub(super) fn options_now(&self, name: &Name) -> Arc<FunctionOptions> {
        if let Some(known) = self.functions.find(name) {
            return known;
        }
        if let Ok(runtime) = runtime() {
            runtime.block_on(self.read_published());
        }
        self.published.known.find(name).unwrap_or_default()
    }

    /// Reads what is published, unless that was done just now. What cannot be read is as it was.
    async fn read_published(&self) {
        let mut read_at = self.published.read_at.lock().await;
        if read_at.is_some_and(|at| at.elapsed() < PUBLISHED_FOR) {
            return;
        }
        match self.engine.store().functions().await {
            Ok(functions) => {
                for function in functions {
                    if let Ok(options) = serde_json::from_value(function.options) {
                        self.published.known.insert(function.name, options);
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "the published functions could not be read"),
        }
        *read_at = Some(Instant::now());
    }
}

/// A bridge as a worker's host.
pub(super) struct BridgeHost(pub(super) Arc<Bridge>);

impl Host for BridgeHost {
    fn functions(&self) -> Vec<FunctionView> {
        let functions = self.0.functions.0.read().unwrap_or_else(PoisonError::into_inner);
        let view = |(name, options): (&Name, &Arc<FunctionOptions>)| FunctionView {
            options: serde_json::to_value(&**options).unwrap_or_default(),
            max_concurrent: options.max_concurrent,
            ..FunctionView::new(name.clone())
        };
        functions.iter().map(view).collect()
    }

    fn functions_known(&self) -> usize {
        self.0.functions.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn unwinding(&self) -> Duration {
        UNWINDING
    }

    fn run(&self, context: Context) -> BoxFuture<'static, Result<Payload, AttemptError>> {
        Box::pin(Code::begin(&self.0, context))
    }
}
