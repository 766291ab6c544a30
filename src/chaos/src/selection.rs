//! Whom a fault meets: an experiment's selection against a target.
//!
//! It owns what the words of a selection mean. It must never know what is done to whom they name.

use crate::experiment::{ActionProvider, Experiment, Fault, Look, ProbeProvider, Selection};
use crate::target::{Body, Link, Part, Place, Role, Target};
use evenkeel_policy::error::{ConfigErrors, FieldError};

/// The word for the database's writer, as a role, and for its region.
pub const WRITER: &str = "writer";

/// The words that a selection may name roles by.
pub const ROLES: [&str; 9] =
    ["edge", "companion", "application", "cache", "broker", "database", "consensus", "witness", WRITER];

/// The database's writer at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    /// Its node, as the topology calls it.
    pub node: String,
    /// Where that stands.
    pub region: String,
}

/// Whom a fault meets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Met<'a> {
    /// To be killed or paused.
    pub parts: Vec<&'a Part>,
    /// To be cut or impaired.
    pub links: Vec<&'a Link>,
    /// The companion of a region that is to be drained.
    pub companion: Option<&'a Place>,
}

/// Whether somebody must know the writer first.
pub fn needs_writer(on: &Selection) -> bool {
    on.region.as_deref() == Some(WRITER) || on.roles.iter().chain(&on.except).any(|role| role == WRITER)
}

/// Whom it meets with this writer.
///
/// # Errors
/// The field whose name fits nothing, or nothing at all.
pub fn resolve<'a>(
    target: &'a Target,
    fault: Fault,
    on: &Selection,
    writer: Option<&Writer>,
) -> Result<Met<'a>, FieldError> {
    if needs_writer(on) && writer.is_none() {
        return Err(wrong("on", WRITER, "no companion knows a writer just now: see evenkeel db status"));
    }
    known(target, on)?;
    let region = match on.region.as_deref() {
        Some(WRITER) => writer.map(|writer| writer.region.as_str()),
        region => region,
    };
    let met = match fault {
        Fault::Kill | Fault::Pause => Met { parts: parts(target, on, region, writer), ..Met::default() },
        Fault::Cut | Fault::Impair { .. } => {
            let named = |link: &&Link| on.links.iter().any(|name| name == "all" || *name == link.name);
            Met { links: target.links.iter().filter(named).collect(), ..Met::default() }
        }
        Fault::Drain { .. } => {
            let companion = target.companions.iter().find(|place| Some(place.region.as_str()) == region);
            Met { companion, ..Met::default() }
        }
    };
    if met == Met::default() {
        return Err(wrong("on", &said(on), &format!("fits nothing of the target {}", target.name)));
    }
    Ok(met)
}

fn parts<'a>(
    target: &'a Target,
    on: &Selection,
    region: Option<&str>,
    writer: Option<&Writer>,
) -> Vec<&'a Part> {
    let is = |part: &Part, word: &str| match word {
        WRITER => part.node.is_some() && part.node.as_deref() == writer.map(|writer| writer.node.as_str()),
        word => part.role.as_str() == word,
    };
    let fits = |part: &&Part| {
        region.is_none_or(|region| part.region.as_deref() == Some(region))
            && (on.roles.is_empty() || on.roles.iter().any(|role| is(part, role)))
            && !on.except.iter().any(|role| is(part, role))
            && (on.parts.is_empty() || on.parts.contains(&part.name))
    };
    target.parts.iter().filter(fits).collect()
}

/// Each name is one of the target's.
fn known(target: &Target, on: &Selection) -> Result<(), FieldError> {
    let regions = target.regions();
    if let Some(region) = on.region.as_deref().filter(|name| *name != WRITER && !regions.contains(name)) {
        return Err(wrong("on.region", region, &format!("use {} or {WRITER}", regions.join(", "))));
    }
    for (index, part) in on.parts.iter().enumerate() {
        if !target.parts.iter().any(|known| known.name == *part) {
            let names: Vec<&str> = target.parts.iter().map(|part| part.name.as_str()).collect();
            return Err(wrong(&format!("on.parts[{index}]"), part, &format!("use {}", names.join(", "))));
        }
    }
    for (index, link) in on.links.iter().enumerate().filter(|(_, link)| *link != "all") {
        if !target.links.iter().any(|known| known.name == *link) {
            let names: Vec<&str> = target.links.iter().map(|link| link.name.as_str()).collect();
            let remedy = match names.is_empty() {
                true => format!("the target {} has no links", target.name),
                false => format!("use {} or all", names.join(", ")),
            };
            return Err(wrong(&format!("on.links[{index}]"), link, &remedy));
        }
    }
    Ok(())
}

fn wrong(field: &str, value: &str, remedy: &str) -> FieldError {
    FieldError { field: field.to_owned(), value: format!("{value:?}"), remedy: remedy.to_owned() }
}

fn said(on: &Selection) -> String {
    let list = |name: &str, words: &[String]| match words.is_empty() {
        true => None,
        false => Some(format!("{name} {}", words.join(", "))),
    };
    let region = on.region.as_ref().map(|region| format!("region {region}"));
    let words = [
        region,
        list("roles", &on.roles),
        list("except", &on.except),
        list("parts", &on.parts),
        list("links", &on.links),
    ];
    words.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Whether an experiment can run against a target, whichever database node is the writer.
///
/// # Errors
/// Each step that meets nobody and each probe that sees nothing.
pub fn check(target: &Target, experiment: &Experiment) -> Result<(), ConfigErrors> {
    let mut errors = ConfigErrors::default();
    let writers: Vec<Writer> = target.parts.iter().filter_map(could_write).collect();
    for (index, step) in experiment.method.iter().enumerate() {
        let ActionProvider::Evenkeel { fault, on } = &step.provider else { continue };
        let at = format!("method[{index}].provider");
        if needs_writer(on) && writers.is_empty() {
            let remedy = format!("the target {} has no database node", target.name);
            errors.add(format!("{at}.on"), WRITER, remedy);
            continue;
        }
        let attempts: Vec<Option<&Writer>> =
            if needs_writer(on) { writers.iter().map(Some).collect() } else { vec![None] };
        let found = attempts.into_iter().find_map(|writer| resolve(target, *fault, on, writer).err());
        if let Some(FieldError { field, value, remedy }) = found {
            errors.add(format!("{at}.{field}"), value, remedy);
        }
    }
    for (index, probe) in experiment.steady_state_hypothesis.probes.iter().enumerate() {
        let ProbeProvider::Evenkeel { look } = probe.provider else { continue };
        let missing = match look {
            Look::SharesWhole if target.edges.is_empty() => "edges",
            Look::DatabaseWhole | Look::CompanionsReady if target.companions.is_empty() => "companions",
            _ => continue,
        };
        let remedy = format!("the target {} names no {missing} to look at", target.name);
        errors.add(format!("steady-state-hypothesis.probes[{index}].provider.look"), "", remedy);
    }
    if experiment.load.follow_dns
        && (target.dns.is_empty() || target.clients.iter().any(|client| client.dns_address.is_none()))
    {
        let remedy = format!(
            "the target {} names no dns, or a client of it no dns_address: clients cannot follow",
            target.name
        );
        errors.add("load.follow-dns", true, remedy);
    }
    errors.into_result(())
}

fn could_write(part: &Part) -> Option<Writer> {
    let region = part.region.clone().filter(|_| part.role == Role::Database)?;
    Some(Writer { node: part.node.clone()?, region })
}

impl Role {
    /// As selections name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Edge => "edge",
            Role::Companion => "companion",
            Role::Application => "application",
            Role::Cache => "cache",
            Role::Broker => "broker",
            Role::Database => "database",
            Role::Consensus => "consensus",
            Role::Witness => "witness",
        }
    }
}

impl Part {
    /// The Compose service that it is, if it is one.
    pub fn service(&self) -> Option<&str> {
        match &self.body {
            Body::Container(service) => Some(service),
            Body::Process(_) => None,
        }
    }
}
