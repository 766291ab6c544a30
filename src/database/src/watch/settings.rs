//! What the watcher must be told.

use crate::router::tls::{NodeSide, TlsError};
use evenkeel_config::Database;
use evenkeel_config::database::{Engine, Login, Node};
use evenkeel_policy::database::Rules;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What is watched, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who promotes.
    pub engine: Engine,
    /// The nodes, in configuration order.
    pub nodes: Vec<Node>,
    /// How to log in to them. The password file is read at each log-in, so a new password needs no
    /// reload.
    pub login: Login,
    /// How patiently they are judged.
    pub rules: Rules,
    /// A probe or log-in that takes longer has failed.
    pub timeout: Duration,
    /// TLS towards the nodes; none: plain TCP.
    pub tls: Option<Tls>,
    /// The folder in which the highest timeline is remembered; none: it is not.
    pub data_dir: Option<PathBuf>,
}

/// TLS towards the nodes.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Whom to trust.
    pub client: Arc<rustls::ClientConfig>,
    /// The server name expected in the certificate; none: the node's host.
    pub server_name: Option<String>,
}

impl Settings {
    /// From the topology file, whose paths are made absolute already.
    ///
    /// # Errors
    /// If the authorities for TLS cannot be used.
    pub fn new(database: &Database, data_dir: Option<PathBuf>) -> Result<Settings, TlsError> {
        let tls = match &database.node_tls {
            None => None,
            Some(config) => Some(Tls {
                client: NodeSide::load(config)?.client().clone(),
                server_name: config.server_name.clone(),
            }),
        };
        Ok(Settings {
            engine: database.engine,
            nodes: database.nodes.clone(),
            login: database.login.clone(),
            rules: rules(database),
            timeout: database.probe.timeout.to_duration(),
            tls,
            data_dir,
        })
    }
}

/// The rules for judging a database's nodes.
pub fn rules(database: &Database) -> Rules {
    let probe = &database.probe;
    Rules {
        unhealthy_threshold: probe.unhealthy_threshold,
        healthy_threshold: probe.healthy_threshold,
        interval: probe.interval,
        interval_without_writer: probe.interval_without_writer,
        max_replica_lag: database.max_replica_lag,
        max_replica_lag_bytes: database.max_replica_lag_bytes,
    }
}
