//! What every request needs: the store, the secrets, the settings, the clock, the limits.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use alcove_crypto::ids::AccountId;
use tokio::sync::{Notify, Semaphore};

use crate::clock::Clock;
use crate::config::Config;
use crate::devices::Devices;
use crate::limiter::{AddressKey, Limiter, Rate};
use crate::metrics::Metrics;
use crate::secrets::Secrets;
use crate::store::Store;
use crate::tokens::{NoRandomness, Tokens};

/// The server without its listener. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// The parts of an [`App`].
pub struct Parts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) secrets: Secrets,
    pub(crate) tokens: Tokens,
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
    pub(crate) devices: Devices,
    /// Bytes of bodies that are read at once, in KiB.
    pub(crate) body_memory: Arc<Semaphore>,
    /// The same for bodies of whom nobody knows yet: they cannot take what those who signed in need.
    pub(crate) strangers_memory: Arc<Semaphore>,
    /// Wakes the sweeper, when an account was deleted.
    pub(crate) sweep: Notify,
}

/// The limits that live in memory. Guesses under a name are counted in the database, for all nodes.
pub(crate) struct Limits {
    pub(crate) requests: Limiter<AddressKey>,
    pub(crate) logins: Limiter<AddressKey>,
    pub(crate) accounts: Limiter<AccountId>,
}

impl App {
    /// Puts a server together.
    ///
    /// # Errors
    /// When the secrets' keys cannot be used.
    pub fn new(
        store: Arc<dyn Store>,
        secrets: Secrets,
        config: Config,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<Self, NoRandomness> {
        let per_minute = |count| Rate { count, per: Duration::from_mins(1) };
        let limits = Limits {
            requests: Limiter::new(per_minute(config.limits.requests_per_minute)),
            logins: Limiter::new(per_minute(config.limits.logins_per_minute)),
            accounts: Limiter::new(per_minute(config.limits.account_requests_per_minute)),
        };
        let body_memory = Arc::new(Semaphore::new(config.server.body_memory_mib as usize * 1024));
        let strangers_memory = Arc::new(Semaphore::new(config.server.body_memory_mib as usize * 1024 / 4));
        let tokens = Tokens::new(&secrets)?;
        let sweep = Notify::new();
        let devices = Devices::new(store.is_alone());
        Ok(Self(Arc::new(Parts {
            store,
            secrets,
            tokens,
            config,
            clock,
            metrics,
            limits,
            devices,
            body_memory,
            strangers_memory,
            sweep,
        })))
    }

    /// Where people sign up and log in, guessing is slowed for each address.
    pub(crate) fn limit_logins(&self, address: IpAddr) -> Result<(), crate::api::ApiError> {
        let now = Duration::from_millis(self.clock.now_ms());
        self.limits.logins.check(AddressKey::of(address), now).map_err(|wait| {
            self.metrics.rate_limited();
            crate::api::ApiError::login_limited(wait)
        })
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Parts {
    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}
