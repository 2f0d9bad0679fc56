//! What the scenarios are written with: a world (one database that many processes open), functions made of closures,
//! gates that hold code where a crash is to fall, and a ledger of what really ran.

pub(crate) mod code;
pub(crate) mod hands;
pub(crate) mod ledger;
pub(crate) mod process;
pub(crate) mod wire;
pub(crate) mod world;

pub(crate) use code::{Functions, Run, Text, failure, race};
pub(crate) use hands::Hands;

pub(crate) use ledger::{Gates, Ledger};
pub(crate) use world::{World, eventually, name, own_lateness_us, payload, request, spec};

/// How long a scenario may take before it counts as hanging.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(90);

/// Makes a test of each scenario for the store it is about, in a module of this name.
macro_rules! on {
    ($module:ident, $store:ident: $($scenario:ident),* $(,)?) => {
        mod $module {
            use crate::kit::{PATIENCE, World};
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $scenario() {
                    let scenario = super::$scenario(World::$store());
                    tokio::time::timeout(PATIENCE, scenario).await.expect("the scenario came to no end");
                }
            )*
        }
    };
}

macro_rules! on_all_stores {
    ($($scenario:ident),* $(,)?) => {
        on!(model, model: $($scenario),*);
        on!(sqlite, sqlite: $($scenario),*);
        on!(postgres, postgres: $($scenario),*);
    };
}

/// For what is about real processes. The model lives inside one, so it has no such scenarios.
macro_rules! on_all_databases {
    ($($scenario:ident),* $(,)?) => {
        on!(sqlite_processes, sqlite_processes: $($scenario),*);
        on!(postgres_processes, postgres: $($scenario),*);
    };
}
