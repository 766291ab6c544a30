//! An answer worked out from a topology file, and what is supposed of the regions' health.

use crate::configuration;
use anyhow::{Result, anyhow, bail};
use evenkeel_config::zone::{Check, CheckKind};
use evenkeel_config::{Plan, Zone};
use evenkeel_dns::{Explanation, Places, Settings, Standing};
use evenkeel_policy::dns::{CheckId, calculated};
use std::net::IpAddr;
use std::path::Path;

/// What is supposed besides, with --config.
#[derive(Debug, clap::Args)]
pub struct Supposed {
    /// This region, or this one of dns.health_checks, is down. May be repeated, as --share.
    #[arg(long, value_name = "REGION", requires = "config")]
    down: Vec<String>,
    /// This region is on its way back and has got this far, in per cent: taiwan=30.
    #[arg(long, value_name = "REGION=PERCENT", value_parser = share, requires = "config")]
    share: Vec<(String, u8)>,
    /// A failover happened a short while ago: dns.failover_ttl is in force, where there is one.
    #[arg(long, requires = "config")]
    fresh: bool,
}

/// The answer, and what it rests on. None if the file has faults: they are told already.
pub fn explain(
    file: &Path,
    supposed: &Supposed,
    name: &str,
    kind: &str,
    from: IpAddr,
) -> Result<Option<(Explanation, String)>> {
    let plan = match Plan::load(file, None) {
        Ok(plan) => plan,
        Err(problems) => {
            eprintln!("{}", configuration::under(file, &problems.to_string()));
            return Ok(None);
        }
    };
    let (Some(zone), Some(dns)) = (plan.zone, plan.file.dns) else {
        bail!("{}: has no dns section, so nothing is answered", file.display());
    };
    let standing = Standing { shares: shares(&zone, supposed)?, fresh: supposed.fresh };
    let state = words(&zone, &standing);
    let name = zone.whole(name).map_err(|fault| anyhow!(fault))?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let geoip = dns.geoip.as_ref().map(|geoip| folder.join(&geoip.database));
    let places = geoip.as_deref().map(Places::open).transpose();
    let places = places.map_err(|fault| anyhow!("dns.geoip.database: {fault}"))?;
    let regions = plan.file.regions.into_iter().map(|region| region.name).collect();
    let settings = Settings { zone, dns, regions, listen: Vec::new(), geoip };
    let explained = evenkeel_dns::explain(&settings, places.as_ref(), &standing, name.as_str(), kind, from);
    Ok(Some((explained.map_err(|fault| anyhow!(fault))?, state)))
}

/// For each check: all well, but for what is supposed and what follows from it.
fn shares(zone: &Zone, supposed: &Supposed) -> Result<Vec<u8>> {
    let mut shares = vec![100; zone.checks.len()];
    for (name, share) in supposed
        .down
        .iter()
        .map(|name| (name, 0))
        .chain(supposed.share.iter().map(|(name, share)| (name, *share)))
    {
        let found = zone.checks.iter().zip(&mut shares).find(|(check, _)| check.name == *name);
        match found {
            Some((Check { kind: CheckKind::Calculated { .. }, .. }, _)) => {
                bail!("{name:?}: is calculated from other checks: suppose something of those");
            }
            Some((_, slot)) => *slot = share,
            None => {
                let names: Vec<&str> = zone.checks.iter().map(|check| check.name.as_str()).collect();
                bail!("{name:?}: no region or check has this name: use one of {}", names.join(", "));
            }
        }
    }
    let of_children = |check: &Check| {
        let CheckKind::Calculated { of, at_least } = &check.kind else { return None };
        let healthy = of
            .iter()
            .filter(|CheckId(child)| shares.get(usize::from(*child)).is_some_and(|share| *share > 0));
        Some(if calculated::is_healthy(healthy.count(), *at_least) { 100 } else { 0 })
    };
    let calculated: Vec<Option<u8>> = zone.checks.iter().map(of_children).collect();
    for (slot, share) in shares.iter_mut().zip(calculated) {
        *slot = share.unwrap_or(*slot);
    }
    Ok(shares)
}

fn words(zone: &Zone, standing: &Standing) -> String {
    let off: Vec<String> = zone
        .checks
        .iter()
        .zip(&standing.shares)
        .filter(|(_, share)| **share < 100)
        .map(|(check, share)| match share {
            0 => format!("{} down", check.name),
            _ => format!("{} at {share} %", check.name),
        })
        .collect();
    let fresh = if standing.fresh { "; a failover is fresh" } else { "" };
    match off.is_empty() {
        true => format!("supposed: all is well{fresh}"),
        false => format!("supposed: {}, all else well{fresh}", off.join(", ")),
    }
}

fn share(text: &str) -> Result<(String, u8), String> {
    text.split_once('=')
        .and_then(|(region, share)| Some((region.to_owned(), share.parse().ok()?)))
        .filter(|(_, share)| *share <= 100)
        .ok_or_else(|| "use REGION=PERCENT with 0 to 100, like taiwan=30".to_owned())
}
