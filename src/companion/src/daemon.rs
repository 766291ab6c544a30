//! `evenkeel run`: start, reload, shutdown.

use crate::files::Files;
use crate::settings::Settings;
use crate::signals::Signals;
use crate::world::World;
use crate::{admin, database, descriptors, dns, log, monitor, public, serve, witness};
use anyhow::{Context, Result, anyhow};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;

/// How long the last alerts may take to leave.
const LAST_ALERTS: Duration = Duration::from_secs(2);

/// What is asked of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The topology file.
    pub file: PathBuf,
    /// The region, in place of the file's `local_region`.
    pub region: Option<String>,
    /// It is the witness, which stands in no region.
    pub witness: bool,
    /// How log lines look.
    pub format: log::Format,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything came to rest.
    Calmly,
    /// A second signal cut it short.
    Forced,
}

/// Runs until a signal ends it.
///
/// # Errors
/// Why it cannot begin: a line for each fault, with the field and the remedy.
pub fn run(options: &Options) -> Result<Ended> {
    log::begin(options.format)?;
    let faulty = |faults: String| {
        let lines: Vec<String> =
            faults.lines().map(|line| format!("{}: {line}", options.file.display())).collect();
        anyhow!(lines.join("\n"))
    };
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime");
    let (runtime, ended) = if options.witness {
        let settings = witness::Settings::load(&options.file).map_err(faulty)?;
        let runtime = runtime()?;
        let ended = runtime.block_on(witness::serve(&options.file, settings));
        (runtime, ended)
    } else {
        let settings = Settings::load(&options.file, options.region.as_deref()).map_err(faulty)?;
        let runtime = runtime()?;
        let ended = runtime.block_on(serve(options, settings));
        (runtime, ended)
    };
    // What still runs holds nothing that must be kept.
    runtime.shutdown_background();
    ended
}

async fn serve(options: &Options, settings: Settings) -> Result<Ended> {
    let (listen, admin) = (settings.listen, settings.admin);
    let public = bind("companion.listen", listen)?;
    let operators = bind("companion.admin", admin)?;
    let mut signals = Signals::new()?;
    descriptors::prepare(&settings);
    let database = database::start(&settings).await.map_err(|error| anyhow!(error))?;
    let dns = dns::start(&settings).await.map_err(|error| anyhow!(error))?;
    let mut files = Files::watch(&settings.files);
    summary(&settings);
    let world = Arc::new(World::new(&options.file, settings, database, dns).map_err(|error| anyhow!(error))?);

    let (stop, stopped) = watch::channel(false);
    let (rounds, checked) = watch::channel(None);
    let servers = [
        tokio::spawn(serve::serve(public, public::router(world.clone()), stopped.clone())),
        tokio::spawn(serve::serve(operators, admin::router(world.clone()), stopped)),
    ];
    tokio::spawn(monitor::ask_peers(world.clone()));
    tokio::spawn(monitor::check(world.clone(), rounds));
    tokio::spawn(monitor::watch(world.clone(), checked));
    if let Some(oracle) = &world.oracle {
        tokio::spawn(monitor::vote(world.clone(), oracle.clone()));
        tokio::spawn(dns::follow(world.clone(), oracle.clone()));
    }

    let reload = || world.reload().then(|| world.settings().files.clone());
    let signal = signals.reload_until_end(&mut files, reload).await;
    tracing::info!(signal, "shutting down: readiness says OUT_OF_SERVICE from now on");
    world.stop();
    let within = world.settings().companion.drain_timeout.to_duration();
    let draining = async {
        if let Some(database) = &world.database {
            database.stop(within).await;
        }
        world.alerts.flush(LAST_ALERTS).await;
        // Last: as long as it answers, clients learn where else to go.
        if let Some(dns) = &world.dns {
            dns.stop().await;
        }
    };
    let ended = tokio::select! {
        () = draining => Ended::Calmly,
        name = signals.end() => {
            tracing::warn!(signal = name, "ended at once by a second signal");
            Ended::Forced
        }
    };
    stop.send_replace(true);
    for server in servers {
        let _ = server.await;
    }
    tracing::info!("stopped");
    Ok(ended)
}

/// Listens, or says what to do.
pub(crate) fn bind(field: &str, address: SocketAddr) -> Result<TcpListener> {
    let listening = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // The port of a companion that was just stopped is free at once.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(1024)
    };
    listening().map_err(|error: std::io::Error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::AddrInUse => "stop what listens there, or choose another port",
            std::io::ErrorKind::AddrNotAvailable => "this machine has no such address: choose one of its own",
            std::io::ErrorKind::PermissionDenied => {
                "choose a port above 1023, or give this program the right to it"
            }
            _ => "choose another address",
        };
        anyhow!("{field}: {address}: cannot listen: {error}: {remedy}")
    })
}

/// One line that says what listens where.
fn summary(settings: &Settings) {
    let database = settings.plan.file.database.as_ref();
    let sessions: Vec<String> = settings
        .listeners
        .iter()
        .map(|listener| format!("{}={}", listener.name(), listener.listen))
        .collect();
    let answering: Vec<String> =
        settings.dns.iter().flat_map(|dns| &dns.listen).map(ToString::to_string).collect();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        service = settings.plan.file.service,
        region = settings.region,
        readiness = %settings.listen,
        admin = %settings.admin,
        database_nodes = database.map_or(0, |database| database.nodes.len()),
        database_listeners = if sessions.is_empty() { "none".to_owned() } else { sessions.join(" ") },
        dns = if answering.is_empty() { "none".to_owned() } else { answering.join(" ") },
        webhooks = settings.webhooks.len(),
        config = settings.plan.hash,
        "companion started"
    );
    for warning in &settings.plan.warnings {
        tracing::warn!(warning, "configuration");
    }
}
