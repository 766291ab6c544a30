//! The topology file as one region's companion needs it: resolved, and with its secrets read.

use crate::oracle;
use evenkeel_config::companion::{Companion, Components, WebhookFormat};
use evenkeel_config::database::{Database, Listener, Node};
use evenkeel_config::{HostPort, Plan};
pub use evenkeel_database::router::credentials::Secret;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The fewest characters of a token: fewer could be guessed.
const SHORTEST_TOKEN: usize = 16;

/// What one region's companion works by.
#[derive(Debug)]
pub struct Settings {
    /// The whole topology.
    pub plan: Plan,
    /// The folder that relative paths begin at.
    pub folder: PathBuf,
    /// The region this companion stands in.
    pub region: String,
    /// Where readiness and the edges' states are served.
    pub listen: SocketAddr,
    /// Where the status page, metrics and orders are served.
    pub admin: SocketAddr,
    /// What orders need; none, and they are refused.
    pub token: Option<Secret>,
    /// `companion`.
    pub companion: Companion,
    /// What is remembered over a restart lies here.
    pub data_dir: PathBuf,
    /// What readiness depends on here.
    pub components: Components,
    /// Redis' password.
    pub redis_password: Option<Secret>,
    /// `database`, its paths beginning at the topology file's folder.
    pub database: Option<Database>,
    /// Where PostgreSQL clients connect here.
    pub listeners: Vec<Listener>,
    /// Where alerts go.
    pub webhooks: Vec<Target>,
    /// The other regions' companions.
    pub peers: Vec<(String, HostPort)>,
    /// What this companion votes on, and with whom; none where there is no `dns`.
    pub oracle: Option<oracle::Setup>,
    /// What DNS answers here; none where there is no `dns`.
    pub dns: Option<evenkeel_dns::Settings>,
    /// Every file that was read, for reload.
    pub files: Vec<PathBuf>,
}

/// A webhook whose address was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name in logs and metrics.
    pub name: String,
    /// Its address, which is a secret.
    pub url: Secret,
    /// The body's form.
    pub format: WebhookFormat,
}

impl Settings {
    /// Every database node, in configuration order; none where there is no database.
    pub fn nodes(&self) -> &[Node] {
        self.plan.file.database.as_ref().map_or(&[], |database| &database.nodes)
    }

    /// Reads the topology file and the files it names for region `region`, or for its `local_region`.
    ///
    /// # Errors
    /// One line for each fault, with the field, the value and the remedy.
    pub fn load(path: &Path, region: Option<&str>) -> Result<Settings, String> {
        let plan = Plan::load(path, region).map_err(|problems| problems.to_string())?;
        let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
        let mut files = vec![path.to_owned()];
        let file = &plan.file;
        let Some(companion) = file.companion.clone() else {
            return Err(
                "companion: is missing, and evenkeel run is what it describes: give at least companion.address"
                    .to_owned(),
            );
        };
        let Some(name) = file.local_region.clone() else {
            let names: Vec<&str> = file.regions.iter().map(|region| region.name.as_str()).collect();
            return Err(format!("local_region: is missing: say --region NAME, one of: {}", names.join(", ")));
        };
        let own =
            file.regions.iter().find(|region| region.name == name).map(|region| region.companion.clone());
        let own = own.unwrap_or_default();
        let listen = own.listen.or_else(|| companion.listen.clone());
        let listen = match listen {
            Some(listen) => socket("companion.listen", &listen)?,
            None => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), companion.address.port()),
        };
        let admin = socket("companion.admin", own.admin.as_ref().unwrap_or(&companion.admin))?;
        let components = own.components.unwrap_or_else(|| file.components.clone());
        let database = file.database.as_ref();
        let listeners =
            own.listeners.unwrap_or_else(|| database.map(|d| d.listeners.clone()).unwrap_or_default());

        let mut secrets = Secrets { folder: &folder, files: &mut files };
        let token = secrets.read("companion.token_file", companion.token_file.as_deref())?;
        if token.as_ref().is_some_and(|token| token.reveal().len() < SHORTEST_TOKEN) {
            return Err(format!(
                "companion.token_file: the token is short: use at least {SHORTEST_TOKEN} characters"
            ));
        }
        let redis = components.redis.as_ref().and_then(|redis| redis.password_file.as_deref());
        let redis_password = secrets.read("components.redis.password_file", redis)?;
        let mut webhooks = Vec::new();
        for (index, webhook) in file.alerts.webhooks.iter().enumerate() {
            let field = format!("alerts.webhooks[{index}].url_file");
            let url = match &webhook.url {
                Some(url) => Secret::new(url),
                None => secrets.read(&field, webhook.url_file.as_deref())?.unwrap_or_else(|| Secret::new("")),
            };
            let uri = url.reveal().parse::<http::Uri>();
            if !uri
                .is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
            {
                return Err(format!("{field}: holds no address: write https://… into it"));
            }
            webhooks.push(Target { name: webhook.name.clone(), url, format: webhook.format });
        }
        let oracle = oracle::Setup::read(&plan, Some(&name), &mut secrets)?;
        let dns = responder(&plan, own.dns_listen.as_deref(), &folder, &mut files)?;
        let database = database.map(|database| absolute(database.clone(), &folder, &mut files));
        if let Some(secret) = file.hop.as_ref().and_then(|hop| hop.secret_file.as_ref()) {
            files.push(folder.join(secret));
        }
        let peer = |region: &evenkeel_config::Region| {
            let address = region.companion.address.clone().filter(|_| region.name != name)?;
            Some((region.name.clone(), address))
        };
        let peers = file.regions.iter().filter_map(peer).collect();
        let data_dir = folder.join(own.data_dir.as_ref().unwrap_or(&companion.data_dir));
        Ok(Settings {
            folder,
            region: name,
            listen,
            admin,
            token,
            data_dir,
            components,
            redis_password,
            database,
            listeners,
            webhooks,
            peers,
            oracle,
            dns,
            files,
            companion,
            plan,
        })
    }

    /// The places in the configuration of this region's database nodes.
    pub fn local_nodes(&self) -> Vec<usize> {
        let nodes = self.nodes();
        nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.region == self.region)
            .map(|(index, _)| index)
            .collect()
    }

    /// What differs from `running` and takes a restart.
    pub fn needs_restart(&self, running: &Settings) -> Vec<String> {
        let mut fields = Vec::new();
        let mut compare = |field: &str, from: &dyn fmt::Display, to: &dyn fmt::Display| {
            if from.to_string() != to.to_string() {
                fields.push(format!("{field} ({from} to {to})"));
            }
        };
        compare("companion.listen", &running.listen, &self.listen);
        compare("companion.admin", &running.admin, &self.admin);
        compare("companion.data_dir", &running.data_dir.display(), &self.data_dir.display());
        compare("local_region", &running.region, &self.region);
        let dns = |settings: &Settings| if settings.oracle.is_some() { "one" } else { "none" };
        compare("dns", &dns(running), &dns(self));
        fields
    }
}

/// The `dns` section as the responder needs it; the geography database is reloaded when it changes.
fn responder(
    plan: &Plan,
    listen: Option<&[HostPort]>,
    folder: &Path,
    files: &mut Vec<PathBuf>,
) -> Result<Option<evenkeel_dns::Settings>, String> {
    let (Some(zone), Some(dns)) = (&plan.zone, &plan.file.dns) else { return Ok(None) };
    let listen = listen.unwrap_or(&dns.listen).iter().map(|address| socket("dns.listen", address));
    let geoip = dns.geoip.as_ref().map(|geoip| folder.join(&geoip.database));
    files.extend(geoip.clone());
    Ok(Some(evenkeel_dns::Settings {
        zone: zone.clone(),
        dns: dns.clone(),
        regions: plan.file.regions.iter().map(|region| region.name.clone()).collect(),
        listen: listen.collect::<Result<_, _>>()?,
        geoip,
    }))
}

/// The section with its paths beginning at `folder`; what they lead to is reloaded when it changes.
fn absolute(mut database: Database, folder: &Path, files: &mut Vec<PathBuf>) -> Database {
    let tls = database.server_tls.as_mut();
    let (certificate, key) = tls.map(|tls| (&mut tls.certificate, &mut tls.key)).unzip();
    let named = [
        database.credentials.as_mut(),
        database.login.password_file.as_mut(),
        certificate,
        key,
        database.node_tls.as_mut().and_then(|tls| tls.ca.as_mut()),
    ];
    for path in named.into_iter().flatten() {
        *path = folder.join(&*path);
        files.push(path.clone());
    }
    database
}

/// The checks have seen to it that this is an IP address.
pub(crate) fn socket(field: &str, address: &HostPort) -> Result<SocketAddr, String> {
    let ip = address.ip().ok_or_else(|| format!("{field}: {address}: listen on an IP address"))?;
    Ok(SocketAddr::new(ip, address.port()))
}

/// Reads the files that the topology file names, and notes them.
pub(crate) struct Secrets<'a> {
    /// Where relative paths begin.
    pub folder: &'a Path,
    /// What was read, for reload.
    pub files: &'a mut Vec<PathBuf>,
}

impl Secrets<'_> {
    /// The secret in the file, if one is named.
    pub fn read(&mut self, field: &str, path: Option<&Path>) -> Result<Option<Secret>, String> {
        let Some(path) = path else { return Ok(None) };
        let path = self.folder.join(path);
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("{field}: {}: cannot be read: {error}", path.display()))?;
        let secret = Secret::new(text.trim());
        if secret.reveal().is_empty() {
            return Err(format!("{field}: {}: is empty", path.display()));
        }
        self.files.push(path);
        Ok(Some(secret))
    }
}
