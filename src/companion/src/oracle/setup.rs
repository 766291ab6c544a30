//! What the topology file means for one voter: what it asks, who votes, how votes are exchanged.

use super::etcd::Access;
use super::http::Endpoint;
use super::probe::{Get, Limits, Measured, Question};
use super::tls::{self, SYSTEM_AUTHORITIES, Tls};
use crate::clock;
use crate::settings::Secrets;
use evenkeel_config::dns::NamedCheck;
use evenkeel_config::zone::CheckKind;
use evenkeel_config::{File, HostPort, Plan, Region, Zone};
use evenkeel_policy::dns::CheckId;
use evenkeel_policy::region::RegionId;
use evenkeel_policy::settings::{HealthCheck, Settings as PluginSettings};
use evenkeel_policy::time::Millis;
use evenkeel_policy::topology::Topology;
use http::{HeaderMap, HeaderValue};
use rustls::ClientConfig;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The witness' name among the voters.
pub const WITNESS: &str = "witness";

/// etcd's name among the voters.
pub const ETCD: &str = "etcd";

/// To connect to what is asked for a connection alone (R24).
const TCP_WITHIN: Millis = Millis::from_secs(10);

/// To connect to everything else (R24).
const CONNECT_WITHIN: Millis = Millis::from_secs(4);

/// What one voter works by.
#[derive(Clone, Debug)]
pub struct Setup {
    /// This voter's name: its region's, or [`WITNESS`].
    pub voter: String,
    /// Its region; the witness has none.
    pub region: Option<RegionId>,
    /// The checks, by [`CheckId`].
    pub checks: Vec<Check>,
    /// Who votes by the configuration, this voter included; etcd's own vote not.
    pub voters: Vec<Voter>,
    /// etcd has a vote of its own on regions.
    pub etcd_votes: bool,
    /// How votes are exchanged.
    pub exchange: Exchange,
    /// Who is asked whether this voter is cut off itself.
    pub anchors: Vec<HostPort>,
    /// The regions, whose standing follows the edges' rules.
    pub topology: Topology,
    /// How long a failover is fresh.
    pub fresh_for: Millis,
}

/// One voter.
#[derive(Clone, Debug, PartialEq)]
pub struct Voter {
    /// Its name.
    pub name: String,
    /// Where it is asked for its votes.
    pub address: Option<HostPort>,
}

/// How votes are exchanged.
#[derive(Clone, Debug, PartialEq)]
pub enum Exchange {
    /// The voters ask each other.
    Direct,
    /// By leases in etcd.
    Etcd(Access),
}

impl Exchange {
    /// The word.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Exchange::Direct => "direct",
            Exchange::Etcd(_) => "etcd",
        }
    }
}

/// One check.
#[derive(Clone, Debug)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
}

/// What a check is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A region's readiness.
    Region(RegionId, Asked),
    /// Something else that is asked.
    Named(Asked),
    /// Made from others.
    Calculated {
        /// Those.
        of: Vec<CheckId>,
        /// How many must be healthy.
        at_least: usize,
    },
}

impl Check {
    /// How it is asked, if it is.
    pub fn asked(&self) -> Option<&Asked> {
        match &self.kind {
            Kind::Region(_, asked) | Kind::Named(asked) => Some(asked),
            Kind::Calculated { .. } => None,
        }
    }

    /// The region it is about.
    pub fn region(&self) -> Option<RegionId> {
        match self.kind {
            Kind::Region(region, _) => Some(region),
            Kind::Named(_) | Kind::Calculated { .. } => None,
        }
    }
}

/// How something is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The question; none where there is no address to ask.
    pub question: Option<Question>,
    /// What the answers mean.
    pub rules: Rules,
    /// Healthy counts as unhealthy and the other way round.
    pub inverted: bool,
    /// It is not asked.
    pub disabled: bool,
}

/// What answers mean.
#[derive(Clone, Debug, PartialEq)]
pub enum Rules {
    /// The edges' rules.
    Fast(HealthCheck),
    /// Route 53's.
    Steady {
        /// Between an answer and the next question.
        interval: Millis,
        /// Results in a row.
        threshold: u32,
    },
}

impl Rules {
    /// Time between two questions.
    pub fn interval(&self) -> Millis {
        match self {
            Rules::Fast(settings) => settings.interval,
            Rules::Steady { interval, .. } => *interval,
        }
    }

    /// Notes an answer that came too late for the edges' rules as a failure.
    pub(super) fn judge_latency(&self, measured: &mut Measured) {
        let Rules::Fast(settings) = self else { return };
        let took = clock::millis(measured.latency());
        if measured.error.is_none() && took >= settings.max_latency {
            let most = settings.max_latency;
            measured.error = Some(format!("answered after {took}, and health_check.max_latency is {most}"));
        }
    }
}

impl Setup {
    /// What the plan means for the voter of `region`, or for the witness; none where there is no `dns`.
    ///
    /// # Errors
    /// One line that names the field, the value and the remedy.
    pub(crate) fn read(
        plan: &Plan,
        region: Option<&str>,
        secrets: &mut Secrets<'_>,
    ) -> Result<Option<Setup>, String> {
        let (Some(zone), Some(dns)) = (&plan.zone, &plan.file.dns) else { return Ok(None) };
        // Without what differs between the regions: the rules for their standing are the same everywhere.
        let mut everywhere = PluginSettings { local_region: None, hop: None, ..plan.settings.clone() };
        // A region's own edge is none to itself.
        everywhere.regions.iter_mut().for_each(|region| region.edge = false);
        let topology = Topology::from_settings(everywhere).map_err(|errors| errors.to_string())?;
        let file = &plan.file;
        let exchange = match &file.quorum.etcd {
            Some(etcd) => Exchange::Etcd(Access::read(etcd, &file.service, secrets)?),
            None => Exchange::Direct,
        };
        let checks = Questions { plan, zone, region, known: HashMap::new(), secrets }.checks()?;
        Ok(Some(Setup {
            voter: region.unwrap_or(WITNESS).to_owned(),
            region: region.and_then(|name| topology.region_id(name)),
            checks,
            voters: voters(file, region),
            etcd_votes: file.quorum.etcd.is_some() && file.quorum.witness.is_none(),
            exchange,
            anchors: file.quorum.anchors.clone(),
            topology,
            fresh_for: dns.failover_fresh_for,
        }))
    }

    /// Names the configuration that all voters should share.
    pub fn config(&self) -> &str {
        &self.topology.hash
    }

    /// How many votes there are on the check by the configuration.
    pub fn configured(&self, check: &Check) -> usize {
        self.voters.len() + usize::from(self.etcd_votes && check.region().is_some())
    }

    /// The check of this name.
    pub fn check(&self, name: &str) -> Option<usize> {
        self.checks.iter().position(|check| check.name == name)
    }
}

/// Whoever can be heard: a region whose companion has no address can be heard through etcd alone.
fn voters(file: &File, own: Option<&str>) -> Vec<Voter> {
    let region = |region: &Region| {
        let address = region.companion.address.clone();
        let heard = address.is_some() || file.quorum.etcd.is_some() || own == Some(region.name.as_str());
        heard.then(|| Voter { name: region.name.clone(), address })
    };
    let mut voters: Vec<Voter> = file.regions.iter().filter_map(region).collect();
    if let Some(witness) = &file.quorum.witness {
        voters.push(Voter { name: WITNESS.to_owned(), address: Some(witness.address.clone()) });
    }
    voters
}

struct Questions<'a, 'b> {
    plan: &'a Plan,
    zone: &'a Zone,
    region: Option<&'a str>,
    /// Trusted authorities that were read already.
    known: HashMap<PathBuf, Arc<ClientConfig>>,
    secrets: &'a mut Secrets<'b>,
}

impl Questions<'_, '_> {
    fn checks(&mut self) -> Result<Vec<Check>, String> {
        let zone = self.zone;
        let anyone = tls::unverified()?;
        let mut checks = Vec::with_capacity(zone.checks.len());
        for check in &zone.checks {
            let kind = match &check.kind {
                CheckKind::Region(id) => Kind::Region(*id, self.region_asked(*id)?),
                CheckKind::Asked(named) => Kind::Named(named_asked(named, &anyone)?),
                CheckKind::Calculated { of, at_least } => {
                    Kind::Calculated { of: of.clone(), at_least: *at_least }
                }
            };
            checks.push(Check { name: check.name.clone(), kind });
        }
        Ok(checks)
    }

    fn region_asked(&mut self, id: RegionId) -> Result<Asked, String> {
        let plan = self.plan;
        let (rules, limits) = match plan.file.dns.as_ref().and_then(|dns| dns.health_check.as_ref()) {
            None => {
                let settings = plan.settings.health_check.clone();
                let limits = Limits::Whole(settings.timeout.to_duration());
                (Rules::Fast(settings), limits)
            }
            Some(check) => (
                Rules::Steady { interval: check.interval, threshold: check.threshold },
                Limits::Stages(check.connect_timeout.to_duration(), check.response_timeout.to_duration()),
            ),
        };
        let question = match plan.file.regions.get(id.index()) {
            Some(region) => self.region_question(id, region, limits)?,
            None => None,
        };
        Ok(Asked { question, rules, inverted: false, disabled: false })
    }

    /// Where and how the region's readiness is asked: as an edge that stands here would.
    fn region_question(
        &mut self,
        id: RegionId,
        region: &Region,
        limits: Limits,
    ) -> Result<Option<Question>, String> {
        let local = self.region == Some(region.name.as_str());
        let readiness = &region.readiness;
        let edge = region.edge_address.as_ref().filter(|_| !local);
        let usual = || edge.or(region.address.as_ref()).or(region.addresses.first());
        let Some(address) = readiness.address.as_ref().or_else(usual) else { return Ok(None) };
        let (field, tls) = match &readiness.address {
            Some(_) => ("readiness.tls", readiness.tls.as_ref()),
            None => ("tls", region.tls.as_ref().filter(|_| region.edge_address.is_none() || !local)),
        };
        let tls = match tls {
            None => None,
            Some(tls) => {
                let at = format!("regions[{}].{field}", id.index());
                let name = tls.sni.as_deref().unwrap_or(address.host());
                let name = tls::server_name(name).map_err(|problem| format!("{at}.sni: {problem}"))?;
                let authorities = tls.ca.as_deref().unwrap_or(Path::new(SYSTEM_AUTHORITIES));
                Some(Tls { config: self.trusting(&format!("{at}.ca"), authorities)?, name })
            }
        };
        let mut headers = HeaderMap::new();
        let leads_to_an_edge = !local && readiness.address.is_none() && (region.edge || edge.is_some());
        if let (true, Some(hop)) = (leads_to_an_edge, &self.plan.settings.hop) {
            // Another edge must answer for its own region, not send the probe on to a third.
            let (name, secret) = (self.region.unwrap_or(WITNESS), &hop.secret);
            for (header, value) in [("x-evenkeel-hop", name), ("x-evenkeel-hop-secret", secret)] {
                let mut value = HeaderValue::from_str(value).map_err(|_| {
                    "hop: the secret holds what no header may: use letters and digits".to_owned()
                })?;
                value.set_sensitive(true);
                headers.insert(header, value);
            }
        }
        let get = Get {
            authority: readiness.authority.clone().unwrap_or_else(|| region.name.clone()),
            path: readiness.path.clone(),
            headers,
            redirects: false,
            search: None,
        };
        Ok(Some(Question { to: Endpoint { address: address.clone(), tls }, get: Some(get), limits }))
    }

    fn trusting(&mut self, field: &str, path: &Path) -> Result<Arc<ClientConfig>, String> {
        let path = self.secrets.folder.join(path);
        if let Some(known) = self.known.get(&path) {
            return Ok(known.clone());
        }
        let config = tls::verified(&path).map_err(|problem| format!("{field}: {problem}"))?;
        self.secrets.files.push(path.clone());
        self.known.insert(path, config.clone());
        Ok(config)
    }
}

fn named_asked(check: &NamedCheck, anyone: &Arc<ClientConfig>) -> Result<Asked, String> {
    let usual = if check.tcp.is_some() { TCP_WITHIN } else { CONNECT_WITHIN };
    let connect = check.connect_timeout.unwrap_or(usual).to_duration();
    let limits = Limits::Stages(connect, check.response_timeout.to_duration());
    let question = match (&check.url, &check.tcp) {
        (Some(url), _) => Some(by_url(check, url, limits, anyone)?),
        (None, Some(address)) => {
            Some(Question { to: Endpoint { address: address.clone(), tls: None }, get: None, limits })
        }
        (None, None) => None,
    };
    let rules = Rules::Steady { interval: check.interval, threshold: check.threshold };
    Ok(Asked { question, rules, inverted: check.inverted, disabled: check.disabled })
}

fn by_url(
    check: &NamedCheck,
    url: &str,
    limits: Limits,
    anyone: &Arc<ClientConfig>,
) -> Result<Question, String> {
    let to = endpoint(url, anyone)
        .map_err(|problem| format!("dns.health_checks: {}: url: {url}: {problem}", check.name))?;
    let uri: http::Uri = url.parse().unwrap_or_default();
    let get = Get {
        authority: uri.authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default(),
        path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        headers: HeaderMap::new(),
        redirects: true,
        search: check.search.clone().filter(|search| !search.is_empty()),
    };
    Ok(Question { to, get: Some(get), limits })
}

/// Where `http://…` or `https://…` leads.
///
/// # Errors
/// What is wrong with it.
pub(super) fn endpoint(url: &str, trusting: &Arc<ClientConfig>) -> Result<Endpoint, String> {
    let wrong = || "write it like http://10.0.0.1:8080 or https://api.example.com".to_owned();
    let uri: http::Uri = url.parse().map_err(|_| wrong())?;
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
    let (tls, port) = match uri.scheme_str() {
        Some("http") => (None, 80),
        Some("https") => {
            let name = tls::server_name(host.trim_matches(['[', ']']))?;
            (Some(Tls { config: trusting.clone(), name }), 443)
        }
        _ => return Err(wrong()),
    };
    let address = format!("{host}:{}", uri.port_u16().unwrap_or(port)).parse()?;
    Ok(Endpoint { address, tls })
}

#[cfg(test)]
mod tests;
