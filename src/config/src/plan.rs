//! A topology file that was read and checked: what everything else is made from.

use crate::{File, HopFile, Problems, Zone, content, reader, zone};
use evenkeel_policy::error::{ConfigErrors, FieldError};
use evenkeel_policy::settings::{Companion, Hop, RegionHealth, RegionSettings, Settings};
use evenkeel_policy::topology::Topology;
use std::path::Path;

/// A valid topology, as one region's edge sees it.
#[derive(Debug)]
pub struct Plan {
    /// The file.
    pub file: File,
    /// The plugin configuration that follows from it.
    pub settings: Settings,
    /// What DNS answers; none where there is no `dns`.
    pub zone: Option<Zone>,
    /// Names this very configuration: the filter shows it as `evenkeel_config_info{hash}`.
    pub hash: String,
    /// What is allowed but probably not meant.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Reads and checks a topology file. `region` overrules its `local_region`.
    ///
    /// # Errors
    /// All that is wrong with it, or that it cannot be read.
    pub fn load(path: &Path, region: Option<&str>) -> Result<Plan, Problems> {
        let bytes = std::fs::read(path)
            .map_err(|error| Problems::single("the file", format!("cannot be read: {error}"), None))?;
        Plan::read(&bytes, path.parent().unwrap_or(Path::new(".")), region)
    }

    /// The same for someone who stands in no region, a witness: where the file names none, the first one
    /// stands for any, since some checks (the loop guard's) are about a region's own edge.
    ///
    /// # Errors
    /// As [`Plan::load`].
    pub fn load_anywhere(path: &Path) -> Result<Plan, Problems> {
        let bytes = std::fs::read(path)
            .map_err(|error| Problems::single("the file", format!("cannot be read: {error}"), None))?;
        let (file, _) = reader::read(&bytes)?;
        let any = file.local_region.is_none().then(|| file.regions.first()).flatten();
        Plan::read(&bytes, path.parent().unwrap_or(Path::new(".")), any.map(|region| region.name.as_str()))
    }

    /// The same from memory; `folder` is where a relative `hop.secret_file` is looked for.
    ///
    /// # Errors
    /// As [`Plan::load`].
    pub fn read(bytes: &[u8], folder: &Path, region: Option<&str>) -> Result<Plan, Problems> {
        let (mut file, places) = reader::read(bytes)?;
        if let Some(region) = region {
            file.local_region = Some(region.to_owned());
        }
        let mut errors = ConfigErrors::default();
        content::check(&file, &mut errors);
        let zone = zone::compile(&file, &mut errors);
        let hop = file.hop.as_ref().and_then(|hop| secret(hop, folder, &mut errors));
        let settings = settings(&file, hop);
        let mut warnings = content::warnings(&file, zone.as_ref());
        let mut hash = String::new();
        match Topology::from_settings(settings.clone()) {
            Ok(topology) => {
                warnings.splice(0..0, topology.warnings());
                hash = topology.hash;
            }
            Err(found) => errors.0.extend(found.0.into_iter().map(in_the_files_words)),
        }
        if errors.0.is_empty() {
            return Ok(Plan { file, settings, zone, hash, warnings });
        }
        Err(reader::placed(errors.0, &places))
    }
}

fn secret(hop: &HopFile, folder: &Path, errors: &mut ConfigErrors) -> Option<Hop> {
    let secret = match (&hop.secret, &hop.secret_file) {
        (Some(secret), None) => secret.clone(),
        (None, Some(path)) => {
            let path = folder.join(path);
            match std::fs::read_to_string(&path) {
                Ok(text) => text.trim().to_owned(),
                Err(error) => {
                    errors.add("hop.secret_file", path.display(), format!("cannot be read: {error}"));
                    return None;
                }
            }
        }
        _ => {
            errors.add("hop", "", "give either secret_file or secret");
            return None;
        }
    };
    Some(Hop { secret })
}

/// The plugin configuration: what the filter needs to know of the file.
fn settings(file: &File, hop: Option<Hop>) -> Settings {
    let region = |region: &crate::Region| RegionSettings {
        name: region.name.clone(),
        cluster: region.cluster().to_owned(),
        weight: region.weight,
        countries: region.countries.clone(),
        continents: region.continents.clone(),
        edge: file.leads_to_an_edge(region),
        health: Some(RegionHealth {
            cluster: region.readiness.address.is_some().then(|| region.readiness_cluster()),
            authority: region.readiness.authority.clone(),
            path: region.readiness.path.clone(),
        }),
    };
    Settings {
        local_region: file.local_region.clone(),
        regions: file.regions.iter().map(region).collect(),
        routing: file.routing.clone(),
        health_check: file.health_check.clone(),
        circuit_breaker: file.circuit_breaker.clone(),
        failback: file.failback.clone(),
        all_unhealthy: file.all_unhealthy,
        overrides: file.overrides.clone(),
        safe_methods: file.safe_methods.clone(),
        trusted_proxies: file.trusted_proxies.clone(),
        debug_header: file.debug_header,
        hop,
        companion: file
            .companion
            .as_ref()
            .map(|c| Companion { cluster: c.cluster.clone(), authority: c.authority.clone() }),
    }
}

/// The plugin configuration calls some fields otherwise than the file.
fn in_the_files_words(mut error: FieldError) -> FieldError {
    error.field = error.field.replace(".health.", ".readiness.");
    error
}
