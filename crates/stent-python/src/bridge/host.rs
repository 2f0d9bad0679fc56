//! The functions of an executor, as the engine's worker sees them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use stent_core::function::FunctionOptions;
use stent_core::store::BoxFuture;
use stent_core::view::FunctionView;
use stent_core::{Name, Payload};
use stent_engine::{AttemptError, Context, Host};

use super::Bridge;
use super::code::Code;

/// How long stopped code may take: its tasks are cancelled, and their `finally` blocks run.
const UNWINDING: Duration = Duration::from_secs(4);

/// Functions by name.
#[derive(Default)]
pub(crate) struct Functions(RwLock<BTreeMap<Name, Arc<FunctionOptions>>>);

impl Functions {
    pub(crate) fn insert(&self, name: Name, options: FunctionOptions) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::new(options));
    }

    /// The options of a function; those of one that nothing is known of are the defaults.
    pub(crate) fn find(&self, name: &Name) -> Arc<FunctionOptions> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned().unwrap_or_default()
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
