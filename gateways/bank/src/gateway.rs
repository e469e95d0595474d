//! The bank port over all configured links.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use guichet_engine::command::BankOutcome;
use guichet_engine::effect::BankOp;
use guichet_engine::event::Flow;
use guichet_engine::ids::AcquirerId;
use guichet_iso8583::{Dialect, PaymentFlow};
use guichet_ports::Later;
use guichet_ports::bank::{BankPort, BankRequest, BankWatch};
use guichet_ports::keys::KeyServer;
use guichet_ports::vault::VaultPort;
use jiff::tz::TimeZone;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use crate::config::{AcquirerConfig, BankConfig};
use crate::link::{self, Core, LinkHandle, LinkState};
use crate::{BankError, exchange, map};

/// All bank links of a center.
pub struct BankGateway {
    links: BTreeMap<AcquirerId, Arc<LinkHandle>>,
    runtime: Handle,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl BankGateway {
    /// Starts a link for each acquirer on a runtime; they connect and sign on by themselves.
    ///
    /// `vault` gives the card number for reversals and refunds; without it they go without DE 2.
    ///
    /// # Errors
    /// [`BankError`] for a dialect or zone that is not usable, or an acquirer given twice.
    pub fn start(
        config: BankConfig,
        keys: Arc<dyn KeyServer>,
        vault: Option<Arc<dyn VaultPort>>,
        watch: Arc<dyn BankWatch>,
        runtime: &Handle,
    ) -> Result<BankGateway, BankError> {
        let mut cores = BTreeMap::new();
        for acquirer in config.acquirers {
            let (dialect, zone) = check(&acquirer)?;
            let number = acquirer.acquirer;
            let core =
                Core::new(acquirer, dialect, zone, keys.clone(), vault.clone(), watch.clone());
            if cores.insert(AcquirerId(number), Arc::new(core)).is_some() {
                return Err(BankError::Twice(number));
            }
        }
        let (stop, stopped) = watch::channel(false);
        let _inside = runtime.enter();
        let mut links = BTreeMap::new();
        let mut tasks = Vec::new();
        for (acquirer, core) in cores {
            let (handle, task) = link::start(core, stopped.clone());
            links.insert(acquirer, Arc::new(handle));
            tasks.push(task);
        }
        Ok(BankGateway { links, runtime: runtime.clone(), stop, tasks: Mutex::new(tasks) })
    }

    /// Whether an acquirer's link is signed on.
    pub fn is_up(&self, acquirer: AcquirerId) -> bool {
        self.links
            .get(&acquirer)
            .is_some_and(|link| matches!(*link.state.borrow(), LinkState::Up(_)))
    }

    /// Waits until a link is signed on; false if it stays down so long.
    pub async fn wait_up(&self, acquirer: AcquirerId, patience: Duration) -> bool {
        match self.links.get(&acquirer) {
            Some(link) => link.wait_up(patience).await.is_some(),
            None => false,
        }
    }

    /// Signs off and closes every link.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        for task in self.tasks.lock().await.drain(..) {
            // A link that panicked is as closed as one that ended.
            let _ = task.await;
        }
    }
}

fn check(config: &AcquirerConfig) -> Result<(Dialect, TimeZone), BankError> {
    let dialect = Dialect::named(&config.dialect).map_err(|source| BankError::Dialect {
        acquirer: config.acquirer,
        name: config.dialect.clone(),
        source,
    })?;
    let zone = TimeZone::get(&config.zone).map_err(|source| BankError::Zone {
        acquirer: config.acquirer,
        name: config.zone.clone(),
        source,
    })?;
    for kind in map::KINDS {
        if dialect.transaction(kind).is_none() {
            return Err(BankError::NoTransaction { dialect: config.dialect.clone(), kind });
        }
    }
    Ok((dialect, zone))
}

impl BankPort for BankGateway {
    fn flow(&self, acquirer: AcquirerId) -> Flow {
        match self.links.get(&acquirer).map(|link| link.core.dialect.payment_flow()) {
            Some(PaymentFlow::OneStep) => Flow::OneStep,
            Some(PaymentFlow::TwoStep) | None => Flow::TwoStep,
        }
    }

    fn exchange(&self, request: BankRequest) -> Later<BankOutcome> {
        let once = matches!(request.intent.op, BankOp::Authorize { .. } | BankOp::Complete { .. });
        let Some(link) = self.links.get(&request.intent.acquirer).cloned() else {
            tracing::error!(acquirer = request.intent.acquirer.0, "no link to this acquirer");
            let outcome = if once { BankOutcome::NotSent } else { BankOutcome::InDoubt };
            return futures_util::future::ready(outcome).boxed();
        };
        // A task of its own: a caller that goes away does not break off what was begun.
        let task = self.runtime.spawn(exchange::run(link, request));
        async move { task.await.unwrap_or(BankOutcome::InDoubt) }.boxed()
    }
}
