//! `companion`, `components` and `alerts`: what one region's companion does besides the database.

use crate::HostPort;
use evenkeel_policy::time::Millis;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;

/// The companion of each region.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Companion {
    /// Where this region's edge reaches it, as `host:port`.
    pub address: HostPort,
    /// Its Envoy cluster. Default: `companion`.
    #[serde(default = "name")]
    pub cluster: String,
    /// The `:authority` of the posts. Default: `companion`.
    #[serde(default = "name")]
    pub authority: String,
    /// Where it listens for readiness, liveness, `/primary`, `/replica` and the edges' states, as
    /// `ip:port`. Default: every address, at the port of `address`.
    #[serde(default)]
    pub listen: Option<HostPort>,
    /// Where its status page, metrics and orders listen, as `ip:port`. Default: `127.0.0.1:9903`.
    #[serde(default = "admin")]
    pub admin: HostPort,
    /// A file with the token that orders need, at least 16 characters; white space around it does
    /// not count. Relative to the topology file. Default: none, and orders are refused.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// Where it remembers what must outlive it (the highest timeline, orders). Relative to the
    /// topology file. Default: `/var/lib/evenkeel`.
    #[serde(default = "data_dir")]
    pub data_dir: PathBuf,
    /// Shutdown waits this long for sessions to come to rest. Default: 30s.
    #[serde(default = "drain_timeout")]
    pub drain_timeout: Millis,
}

/// What differs in one region's companion.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RegionCompanion {
    /// Where the other regions' companions reach this one's `listen`, as `host:port`. Default: none,
    /// and nobody notices when it falls silent.
    pub address: Option<HostPort>,
    /// In place of `companion.listen`.
    pub listen: Option<HostPort>,
    /// In place of `companion.admin`.
    pub admin: Option<HostPort>,
    /// In place of `companion.data_dir`.
    pub data_dir: Option<PathBuf>,
    /// In place of `database.listeners`.
    pub listeners: Option<Vec<crate::database::Listener>>,
    /// In place of `dns.listen`.
    pub dns_listen: Option<Vec<HostPort>>,
    /// In place of `components`.
    pub components: Option<Components>,
}

/// What a region's readiness depends on. A component that is not named is not checked.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Components {
    /// The application itself.
    pub application: Option<Application>,
    /// The region's own database nodes; checked where `database` is given. Default: required,
    /// time-out 1s.
    pub database: DatabaseComponent,
    /// Redis: a key is set with an expiry and read back.
    pub redis: Option<Redis>,
    /// Kafka: a record is produced and acknowledged.
    pub kafka: Option<Kafka>,
    /// How long a result answers for the next probes too, at most 1s. Default: 1s.
    pub cache_for: Millis,
}

impl Default for Components {
    fn default() -> Self {
        Components {
            application: None,
            database: DatabaseComponent::default(),
            redis: None,
            kafka: None,
            cache_for: Millis::from_secs(1),
        }
    }
}

/// The application.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// What is asked for, as `http://host:port/path`; 2xx is up.
    pub url: String,
    /// False: shown, but never the reason for a 503. Default: true.
    #[serde(default = "yes")]
    pub required: bool,
    /// To connect. Default: 2s.
    #[serde(default = "two_seconds")]
    pub connect_timeout: Millis,
    /// From then to the end of the answer. Default: 3s.
    #[serde(default = "three_seconds")]
    pub read_timeout: Millis,
}

/// The region's own database nodes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseComponent {
    /// False: shown, but never the reason for a 503. Default: true.
    pub required: bool,
    /// A node that was not heard of for this long does not count. Default: 1s.
    pub timeout: Millis,
}

impl Default for DatabaseComponent {
    fn default() -> Self {
        DatabaseComponent { required: true, timeout: Millis::from_secs(1) }
    }
}

/// Redis.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// Where it is, as `redis://host:port/db`; a password belongs in `password_file`.
    pub url: String,
    /// A file with the password; white space around it does not count. Relative to the topology
    /// file. Default: none.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// False: shown, but never the reason for a 503. Default: true.
    #[serde(default = "yes")]
    pub required: bool,
    /// For the whole check. Default: 1s.
    #[serde(default = "one_second")]
    pub timeout: Millis,
}

/// Kafka, or a broker that speaks its protocol.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    /// The first brokers to ask, as `host:port`. At least one.
    pub brokers: Vec<HostPort>,
    /// The topic that gets one small record per check. Default: `evenkeel-health-check`.
    #[serde(default = "topic")]
    pub topic: String,
    /// False: shown, but never the reason for a 503. Default: true.
    #[serde(default = "yes")]
    pub required: bool,
    /// From sending the record to its acknowledgement. Default: 1s.
    #[serde(default = "one_second")]
    pub timeout: Millis,
}

/// Who is told when something happens. Default: nobody.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// Where alerts are posted.
    pub webhooks: Vec<Webhook>,
    /// The same alert is not repeated within this time. Default: 10m.
    pub repeat_after: Millis,
    /// Alerts per webhook and minute; more are gathered into one. Default: 10.
    pub max_per_minute: u32,
    /// When replication lag is an alert.
    pub replication_lag: LagAlert,
}

impl Default for Alerts {
    fn default() -> Self {
        Alerts {
            webhooks: Vec::new(),
            repeat_after: Millis::from_secs(600),
            max_per_minute: 10,
            replication_lag: LagAlert::default(),
        }
    }
}

/// When replication lag is an alert.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LagAlert {
    /// Lag above this. Default: 5s.
    pub above: Millis,
    /// … in so many periods in a row. Default: 3.
    pub periods: u32,
    /// The length of a period. Default: 1m.
    pub period: Millis,
}

impl Default for LagAlert {
    fn default() -> Self {
        LagAlert { above: Millis::from_secs(5), periods: 3, period: Millis::from_secs(60) }
    }
}

/// One webhook. Its URL is a secret: it is shown nowhere.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Its name in logs and metrics.
    pub name: String,
    /// The address, `https://…` or `http://…`. Either this or `url_file`.
    #[serde(default)]
    pub url: Option<String>,
    /// A file with the address. Relative to the topology file.
    #[serde(default)]
    pub url_file: Option<PathBuf>,
    /// The body's form. Default: `json`.
    #[serde(default)]
    pub format: WebhookFormat,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Webhook {{ name: {:?}, url: …, format: {:?} }}", self.name, self.format)
    }
}

/// The form of an alert's body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebhookFormat {
    /// Every field by its name.
    #[default]
    Json,
    /// Slack's incoming webhooks, and all that speak their form.
    Slack,
}

fn name() -> String {
    "companion".to_owned()
}
fn admin() -> HostPort {
    HostPort::known("127.0.0.1", 9903)
}
fn data_dir() -> PathBuf {
    PathBuf::from("/var/lib/evenkeel")
}
fn drain_timeout() -> Millis {
    Millis::from_secs(30)
}
fn topic() -> String {
    "evenkeel-health-check".to_owned()
}
fn yes() -> bool {
    true
}
fn one_second() -> Millis {
    Millis::from_secs(1)
}
fn two_seconds() -> Millis {
    Millis::from_secs(2)
}
fn three_seconds() -> Millis {
    Millis::from_secs(3)
}
