//! Builds a client: where its store is, what it starts tasks with, what the application gives along.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;

use stent_core::{Name, Payload, Store};
use stent_engine::{Engine, TokioRuntime};

use crate::client::{AppState, Durable, Parts};
use crate::database;
use crate::error::DurableError;
use crate::function::FunctionEntry;
use crate::options::{CancellationPolicy, Defaults, RetryStrategy, SpawnOptions};
use crate::registry::Registry;

/// Builds a [`Durable`]. Everything has a default: without an address the environment's `DURABLE_DATABASE_URL` is
/// taken, else `sqlite://stent.db`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), durable::DurableError> {
/// use std::time::Duration;
/// use durable::{CancellationPolicy, Durable, RetryStrategy};
///
/// struct Mailer; // reaches tasks by `ctx.app::<Mailer>()`
///
/// let day = Duration::from_secs(86_400);
/// let client = Durable::builder()
///     .database_url("sqlite::memory:") // or "sqlite://orders.db"
///     .queue_name("emails")
///     .default_retry_strategy(RetryStrategy::Fixed { delay: Duration::from_secs(10) })
///     .default_max_attempts(3)
///     .default_cancellation(CancellationPolicy { max_pending_time: Some(day), max_running_time: None })
///     .state(Mailer)
///     .build()
///     .await?;
/// assert_eq!(client.queue_name(), "emails");
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
#[must_use = "nothing is opened before `build`"]
pub struct DurableBuilder {
    database_url: Option<String>,
    store: Option<Arc<dyn Store>>,
    #[cfg(feature = "postgres")]
    postgres: Option<tokio_postgres::Config>,
    #[cfg(feature = "redis")]
    redis: Option<String>,
    queue_name: Option<String>,
    defaults: Defaults,
    app: AppState,
    functions: Option<Vec<FunctionEntry>>,
    make_default: bool,
}

impl DurableBuilder {
    /// Where the database is: `sqlite://FILE` (created if absent), `sqlite::memory:` (gone with the process), or
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE` (also `postgresql://`; the database must be there, the tables are
    /// made). What a PostgreSQL address leaves out comes from libpq's variables: `PGHOST`, `PGPORT`, `PGUSER`,
    /// `PGPASSWORD` and the like.
    ///
    /// After a `?` a PostgreSQL address takes libpq's parameters (`sslmode`, `sslrootcert`, `connect_timeout` in seconds,
    /// `target_session_attrs`, ..) and: `schema` (where the tables are; the first schema of the search path unless
    /// told otherwise), `min_size` and `max_size` (connections that read; two more write, one listens), `max_queries`
    /// (until a connection is renewed), `max_inactive_connection_lifetime` (seconds, 0 for ever).
    ///
    /// ```no_run
    /// # async fn open() -> Result<(), durable::DurableError> {
    /// use durable::Durable;
    ///
    /// let here = Durable::builder().database_url("sqlite://orders.db").build().await?;
    /// let local = Durable::builder().database_url("postgres://localhost/shop").build().await?;
    /// let far = "postgres://ann@db.example/shop?sslmode=verify-full&schema=stent&max_size=5&connect_timeout=10";
    /// let far = Durable::builder().database_url(far).build().await?;
    /// # drop((here, local, far));
    /// # Ok(())
    /// # }
    /// ```
    pub fn database_url(mut self, address: impl Into<String>) -> Self {
        self.database_url = Some(address.into());
        self
    }

    /// A PostgreSQL database as tokio-postgres names it, instead of an address: for a program that has its configuration
    /// already. It is taken as it is, and libpq's variables are not looked at. With a pool of deadpool-postgres its
    /// `Config::get_pg_config` gives it; for sqlx's `PgConnectOptions`, `to_url_lossy` is an address.
    ///
    /// The store opens connections of its own: ten at most that read, two that write, one that listens; TLS is rustls's.
    /// The tables are in the first schema of the search path, which `options` may name.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = stent_servers::Server::shared().database()?;
    /// # let url = database.url();
    /// use durable::{Durable, tokio_postgres};
    ///
    /// let config: tokio_postgres::Config = url.parse()?; // or one that the program has
    /// let client = Durable::builder().postgres_config(config).build().await?;
    /// # drop(client);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "postgres")]
    pub fn postgres_config(mut self, config: tokio_postgres::Config) -> Self {
        self.postgres = Some(config);
        self
    }

    /// A store of your own instead of an address.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use durable::{Durable, DurableError, Store};
    ///
    /// async fn on(store: Arc<dyn Store>) -> Result<Durable, DurableError> {
    ///     Durable::builder().store(store).build().await
    /// }
    /// ```
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// A bus of wake-ups over this Redis beside the store, whichever it is: processes that name the same Redis hear of
    /// each other's commits at once. It is worth having where the store's own notifications do not arrive, say on
    /// PostgreSQL behind a pooler in transaction mode. Needs the feature `redis`.
    ///
    /// Nothing is kept there and nothing depends on it: a Redis that is absent, slow or silent costs a wait the time
    /// until the store's own poll finds the change (a second at most), and no commit ever waits for it. It is tried
    /// again in the background with pauses of at most ten seconds, and one warning is logged. A start inside a
    /// transaction of your own is not told by it.
    ///
    /// An address is `redis://USER:PASSWORD@HOST:PORT/DB`, or `redis+unix:///PATH`; without TLS. After a `?`, `channel`
    /// names the channel, `stent` unless told otherwise; all who share a database must name the same.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), durable::DurableError> {
    /// use durable::Durable;
    ///
    /// let client = Durable::builder()
    ///     .database_url("sqlite::memory:") // or "postgres://pooler.example:6432/shop"
    ///     .redis("redis://localhost:6379?channel=shop")
    ///     .build()
    ///     .await?; // whether or not that Redis is there
    /// # drop(client);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "redis")]
    pub fn redis(mut self, address: impl Into<String>) -> Self {
        self.redis = Some(address.into());
        self
    }

    /// The queue that tasks join unless told otherwise, that this client's workers serve and its events go to.
    /// `default` unless told otherwise.
    pub fn queue_name(mut self, name: impl Into<String>) -> Self {
        self.queue_name = Some(name.into());
        self
    }

    /// How long between the attempts at a task that says nothing about it.
    pub fn default_retry_strategy(mut self, strategy: RetryStrategy) -> Self {
        self.defaults.retry_strategy = Some(strategy);
        self
    }

    /// How many attempts at a task that says nothing about it, the first counted. 5 unless told otherwise.
    pub fn default_max_attempts(mut self, attempts: u32) -> Self {
        self.defaults.max_attempts = Some(attempts);
        self
    }

    /// When a task that says nothing about it is cancelled by itself. Never unless told otherwise.
    pub fn default_cancellation(mut self, policy: CancellationPolicy) -> Self {
        self.defaults.cancellation = policy;
        self
    }

    /// Something of the application's that tasks reach by [`TaskContext::app`](crate::TaskContext::app): one value of
    /// each type; a later one replaces an earlier.
    pub fn state<S: Send + Sync + 'static>(mut self, state: S) -> Self {
        let state: Arc<dyn Any + Send + Sync> = Arc::new(state);
        self.app.insert(TypeId::of::<S>(), state);
        self
    }

    /// Only these functions, instead of every annotated one that is linked into the program: a registry of the
    /// client's own, for a test, a tenant, or plugins.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), durable::DurableError> {
    /// use durable::Durable;
    ///
    /// #[durable::function]
    /// async fn double(n: u64) -> u64 {
    ///     2 * n
    /// }
    ///
    /// let only = Durable::builder().database_url("sqlite::memory:").functions(durable::functions![double]).build().await?;
    /// # drop(only);
    /// # Ok(())
    /// # }
    /// ```
    pub fn functions(mut self, functions: impl IntoIterator<Item = FunctionEntry>) -> Self {
        self.functions.get_or_insert_default().extend(functions);
        self
    }

    /// Makes the client the process's default: see [`Durable::default_client`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), durable::DurableError> {
    /// use durable::Durable;
    /// Durable::builder().database_url("sqlite::memory:").make_default().build().await?;
    /// assert!(Durable::default_client().is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub fn make_default(mut self) -> Self {
        self.make_default = true;
        self
    }

    /// Opens the store and gives the client.
    ///
    /// # Errors
    /// [`DurableError::Address`]; [`DurableError::Store`] when the database cannot be opened, with what to do about
    /// it; [`DurableError::Option`] and [`DurableError::Name`] for defaults that break a rule;
    /// [`DurableError::NameTaken`] when two functions share a name; [`DurableError::NoRuntime`].
    pub async fn build(mut self) -> Result<Durable, DurableError> {
        let runtime = Arc::new(TokioRuntime::current().map_err(|_| DurableError::NoRuntime)?);
        let store = match self.store.take() {
            Some(store) => store,
            None => self.open().await?,
        };
        #[cfg(feature = "redis")]
        let store = match self.redis.take() {
            Some(address) => stent_redis::accompany(store, &address)?,
            None => store,
        };
        let make_default = self.make_default;
        let client = Durable::new(Engine::new(store, runtime), self.parts()?, None);
        if make_default {
            client.make_default();
        }
        Ok(client)
    }

    async fn open(&mut self) -> Result<Arc<dyn Store>, DurableError> {
        #[cfg(feature = "postgres")]
        if let Some(config) = self.postgres.take() {
            return database::open_postgres_by(config).await;
        }
        database::open(self.database_url.take()).await
    }

    /// All but the store. Defaults that break a rule are refused here, not at the first start.
    pub(crate) fn parts(self) -> Result<Parts, DurableError> {
        let mut defaults = self.defaults;
        if let Some(name) = &self.queue_name {
            defaults.queue = Name::new("queue", name)?;
        }
        SpawnOptions::default().spec(defaults.queue.clone(), Payload::null(), &defaults)?;
        SpawnOptions::default().deadline(&defaults)?;
        let registry = match self.functions {
            Some(functions) => {
                let registry = Registry::default();
                registry.add_functions(functions)?;
                registry
            }
            None => Registry::linked()?,
        };
        Ok(Parts { registry: Arc::new(registry), defaults, app: Arc::new(self.app) })
    }
}

impl fmt::Debug for DurableBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may hold a password.
        f.debug_struct("DurableBuilder").field("queue_name", &self.queue_name).finish_non_exhaustive()
    }
}
