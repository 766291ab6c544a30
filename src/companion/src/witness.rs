//! `evenkeel run --witness`: a voter in a third place, and nothing else.
//!
//! It probes what the companions probe and tells its votes. It has no region, so no readiness, no edges,
//! no database, no DNS, and takes no orders.

use crate::daemon::{Ended, bind};
use crate::files::Files;
use crate::oracle::{Oracle, Setup};
use crate::settings::{Secrets, socket};
use crate::signals::Signals;
use crate::{metrics, public, serve};
use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use evenkeel_config::Plan;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// The topology file as a witness needs it.
#[derive(Debug)]
pub struct Settings {
    service: String,
    listen: SocketAddr,
    setup: Setup,
    hash: String,
    files: Vec<PathBuf>,
    warnings: Vec<String>,
}

impl Settings {
    /// Reads the topology file and what of the files it names matters here.
    ///
    /// # Errors
    /// One line for each fault, with the field, the value and the remedy.
    pub fn load(path: &Path) -> Result<Settings, String> {
        let plan = Plan::load_anywhere(path).map_err(|problems| problems.to_string())?;
        let Some(witness) = &plan.file.quorum.witness else {
            return Err(
                "quorum.witness: is missing, and evenkeel run --witness is what it describes: give at least quorum.witness.address"
                    .to_owned(),
            );
        };
        let listen = match &witness.listen {
            Some(listen) => socket("quorum.witness.listen", listen)?,
            None => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), witness.address.port()),
        };
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut files = vec![path.to_owned()];
        if let Some(secret) = plan.file.hop.as_ref().and_then(|hop| hop.secret_file.as_ref()) {
            files.push(folder.join(secret));
        }
        let mut secrets = Secrets { folder, files: &mut files };
        let setup = Setup::read(&plan, None, &mut secrets)?.ok_or_else(|| {
            "dns: is missing, and a witness votes on what DNS answers: give at least dns.zone, dns.nameservers and dns.records"
                .to_owned()
        })?;
        Ok(Settings {
            service: plan.file.service,
            listen,
            setup,
            hash: plan.hash,
            files,
            warnings: plan.warnings,
        })
    }
}

#[derive(Debug)]
struct Witness {
    oracle: Arc<Oracle>,
    hash: Mutex<String>,
}

/// Serves until a signal ends it.
pub(crate) async fn serve(file: &Path, settings: Settings) -> Result<Ended> {
    let listener = bind("quorum.witness.listen", settings.listen)?;
    let mut signals = Signals::new()?;
    let mut files = Files::watch(&settings.files);
    let Settings { service, listen, setup, hash, warnings, .. } = settings;
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(version, service, %listen, checks = setup.checks.len(), config = hash, "witness started");
    warn(&warnings);
    let witness = Arc::new(Witness { oracle: Oracle::new(setup), hash: Mutex::new(hash) });
    witness.oracle.start();
    let (stop, stopped) = watch::channel(false);
    let server = tokio::spawn(serve::serve(listener, router(witness.clone()), stopped));
    let signal = signals.reload_until_end(&mut files, || witness.reload(file, listen)).await;
    tracing::info!(signal, "shutting down");
    stop.send_replace(true);
    let _ = server.await;
    witness.oracle.stop();
    tracing::info!("stopped");
    Ok(Ended::Calmly)
}

impl Witness {
    /// Reads the topology file again; a bad one changes nothing. The files that were read.
    fn reload(&self, file: &Path, listen: SocketAddr) -> Option<Vec<PathBuf>> {
        let next = match Settings::load(file) {
            Ok(next) => next,
            Err(faults) => {
                for fault in faults.lines() {
                    let file = file.display();
                    tracing::error!(%file, fault, "configuration not taken: the one before stays in force");
                }
                return None;
            }
        };
        if next.listen != listen {
            let field = format!("quorum.witness.listen ({listen} to {})", next.listen);
            tracing::warn!(field, "changed in the file, and in force only after a restart");
        }
        tracing::info!(file = %file.display(), hash = next.hash, "configuration reloaded");
        warn(&next.warnings);
        self.hash.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&next.hash);
        self.oracle.reload(next.setup);
        Some(next.files)
    }
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        tracing::warn!(warning, "configuration");
    }
}

fn router(witness: Arc<Witness>) -> Router {
    Router::new()
        .route("/actuator/health/liveness", get(public::liveness))
        .route("/v1/votes", get(votes))
        .route("/metrics", get(scrape))
        .with_state(witness)
}

async fn votes(State(witness): State<Arc<Witness>>) -> Response {
    public::told(&witness.oracle)
}

async fn scrape(State(witness): State<Arc<Witness>>) -> Response {
    let hash = witness.hash.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match metrics::of_witness(&witness.oracle, &hash) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
