//! What experiments run against: where clients go, what can be struck and how, where one can look.
//!
//! It owns the target file's form and what is wrong with one. It must never know an experiment.

mod load;

use evenkeel_config::HostPort;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A whole target file. Paths in it count from its own folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Target {
    /// What it is called in reports, like `compose` or `local`.
    pub name: String,
    /// The topology file of the platform.
    pub topology: PathBuf,
    /// What the platform promises, which criteria may differ by: `rpo0` or `rpo1s`. None: it has no database.
    #[serde(default)]
    pub profile: Option<String>,
    /// Where the platform that runs says which profile it has, which counts more than `profile`.
    #[serde(default)]
    pub profile_from: Option<Variable>,
    /// Where clients send their requests: one for each region that has any.
    pub clients: Vec<Client>,
    /// The name that clients resolve when they follow DNS. Default: the topology's first record with a
    /// policy.
    #[serde(default)]
    pub dns_name: Option<String>,
    /// The response header in which the application says whose region it stands in. Default:
    /// `x-demo-region`.
    #[serde(default = "region_header")]
    pub region_header: String,
    /// The paths that orders are placed at and read below. Default: `/orders`.
    #[serde(default = "orders_path")]
    pub orders_path: String,
    /// Admin pages of Envoys, for shares and breakers.
    #[serde(default)]
    pub edges: Vec<Place>,
    /// Admin pages of companions, for the database, votes and orders.
    #[serde(default)]
    pub companions: Vec<Place>,
    /// The token of the companions' admin pages.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// A Prometheus, which is asked by plain HTTP what alerts are pending and firing. Default: whether an alert
    /// fired is not measured.
    #[serde(default)]
    pub alerts: Option<HostPort>,
    /// DNS responders, UDP.
    #[serde(default)]
    pub dns: Vec<Place>,
    /// Links between regions (`evenkeel link`).
    #[serde(default)]
    pub links: Vec<Link>,
    /// The Compose project of parts that are containers.
    #[serde(default)]
    pub compose_project: Option<String>,
    /// All that can be struck.
    pub parts: Vec<Part>,
    /// The database nodes that orders are looked up in afterwards.
    #[serde(default)]
    pub audit: Vec<AuditNode>,
}

fn region_header() -> String {
    "x-demo-region".to_owned()
}

fn orders_path() -> String {
    "/orders".to_owned()
}

/// A variable in a container's environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// The container of this Compose service.
    pub container: String,
    /// The variable's name.
    pub variable: String,
}

/// The clients of one region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Whose they are.
    pub region: String,
    /// The edge that they use.
    pub edge: HostPort,
    /// What they send as `x-country-code`.
    pub country: String,
    /// The address that DNS gives for this edge, which stands for `edge` when clients follow DNS.
    #[serde(default)]
    pub dns_address: Option<String>,
}

/// Something of a region that answers at an address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Whose it is.
    pub region: String,
    /// Where it answers.
    pub address: HostPort,
}

/// A link between regions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// What experiments call it.
    pub name: String,
    /// Its admin address.
    pub address: HostPort,
}

/// Something that can be struck.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// What experiments call it.
    pub name: String,
    /// Whose it is. None: it is outside all regions.
    #[serde(default)]
    pub region: Option<String>,
    /// What it does there.
    pub role: Role,
    /// The database node that it is, as the topology calls it.
    #[serde(default)]
    pub node: Option<String>,
    /// What it really is.
    #[serde(flatten)]
    pub body: Body,
}

/// What a part does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The ingress.
    Edge,
    /// Evenkeel's companion.
    Companion,
    /// The application.
    Application,
    /// Its cache.
    Cache,
    /// Its message broker.
    Broker,
    /// A database node.
    Database,
    /// A member of the store that the database's promotion is decided by.
    Consensus,
    /// Evenkeel's witness.
    Witness,
}

/// What a part really is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// The container of this Compose service.
    Container(String),
    /// A process of this machine.
    Process(Process),
}

/// A process of this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Process {
    /// Where its number stands.
    pub pid_file: PathBuf,
    /// How it is started again: program and arguments. Its number is written to `pid_file` then.
    pub start: Vec<String>,
    /// What it says is added here when it is started again. Default: nowhere.
    #[serde(default)]
    pub log: Option<PathBuf>,
}

/// A database node that orders are looked up in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditNode {
    /// As the topology calls it.
    pub node: String,
    /// The program runs in the container of this Compose service: `docker exec -i` and the container are put
    /// before it when a run begins. Default: it runs here.
    #[serde(default)]
    pub container: Option<String>,
    /// A program that reads SQL from standard input and prints rows as psql does with `-XAtq`
    /// (`docker exec -i … psql …`), so that nothing of Evenkeel stands between the ledger and the data.
    pub psql: Vec<String>,
}
