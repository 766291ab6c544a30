//! A link between two places, in user space: every byte takes half a round trip, and the whole can be
//! cut, healed, slowed and made lossy while it runs.
//!
//! It owns its listeners and the bytes under way. It must never know what they mean.

mod control;
mod pipe;

use anyhow::{Context, Result};
use evenkeel_config::HostPort;
use evenkeel_policy::time::Millis;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A connection to the far side that takes longer fails.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// The link's file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Where its state is read and changed, as `ip:port`.
    pub admin: HostPort,
    /// How it is to begin with.
    #[serde(default)]
    pub condition: Condition,
    /// What it carries. At least one.
    pub routes: Vec<Route>,
}

/// One port that is carried.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Where this side connects, as `ip:port`.
    pub listen: HostPort,
    /// Where that leads on the other side, as `host:port`.
    pub to: HostPort,
}

/// How the link is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Condition {
    /// From sending to the answer's arrival, without what the other side takes. Default: 35ms.
    pub round_trip: Millis,
    /// What is lost, in per cent: TCP sends it again after 200 ms, so that is what it costs. Default: 0.
    pub loss_percent: f64,
    /// Nothing passes: what is under way waits, and whoever connects hears nothing. Default: false.
    pub cut: bool,
}

impl Default for Condition {
    fn default() -> Self {
        Condition { round_trip: Millis::new(35), loss_percent: 0.0, cut: false }
    }
}

impl Condition {
    /// # Errors
    /// The field that cannot be, with the remedy.
    pub fn check(&self) -> Result<(), String> {
        if !(0.0..=100.0).contains(&self.loss_percent) {
            return Err(format!("loss_percent: {}: use 0 to 100", self.loss_percent));
        }
        if self.round_trip > Millis::from_secs(60) {
            return Err(format!("round_trip: {}: at most 60s", self.round_trip));
        }
        Ok(())
    }
}

/// Reads the file.
///
/// # Errors
/// What is wrong with it.
pub fn load(path: &Path) -> Result<File> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    let file: File = serde_saphyr::from_str(&text).with_context(|| path.display().to_string())?;
    file.condition.check().map_err(|fault| anyhow::anyhow!("{}: {fault}", path.display()))?;
    anyhow::ensure!(!file.routes.is_empty(), "{}: routes: give at least one", path.display());
    Ok(file)
}

/// A link that runs.
#[derive(Clone, Debug)]
pub struct Link(Arc<watch::Sender<Condition>>);

impl Link {
    /// How it is.
    pub fn condition(&self) -> Condition {
        *self.0.borrow()
    }

    /// Makes it so, for what is under way too.
    pub fn set(&self, condition: Condition) {
        self.0.send_replace(condition);
    }
}

/// Carries until it is dropped with its runtime. The first value is for changing it.
///
/// # Errors
/// If it cannot listen.
pub async fn start(file: &File) -> Result<Link> {
    let link = Link(Arc::new(watch::Sender::new(file.condition)));
    for Route { listen, to } in &file.routes {
        let listener = bind(listen).await?;
        let (link, to) = (link.clone(), to.to_string());
        tokio::spawn(async move { accept(listener, to, link).await });
    }
    let admin = bind(&file.admin).await?;
    let router = control::router(link.clone());
    tokio::spawn(async move { axum::serve(admin, router).await });
    Ok(link)
}

async fn bind(address: &HostPort) -> Result<TcpListener> {
    let listener = TcpListener::bind(address.to_string()).await;
    listener
        .with_context(|| format!("{address}: cannot listen: stop what listens there, or choose another port"))
}

async fn accept(listener: TcpListener, to: String, link: Link) {
    loop {
        match listener.accept().await {
            Ok((near, _)) => {
                let (to, link) = (to.clone(), link.clone());
                tokio::spawn(async move { carry(near, &to, link).await });
            }
            // Out of file descriptors: a moment helps.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// One connection, both ways.
async fn carry(near: TcpStream, to: &str, link: Link) {
    let conditions = link.0.subscribe();
    // The handshake's own round trip; while the link is cut it waits like everything else.
    pipe::pass(&mut conditions.clone(), 2).await;
    let Ok(Ok(far)) = tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(to)).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::join!(pipe::run(near_in, far_out, conditions.clone()), pipe::run(far_in, near_out, conditions),);
}
