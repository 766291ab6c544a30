//! `evenkeel explain`: one request's decision, in words for whoever is on call.
//!
//! It asks the very rules that run at the edge; nothing is decided here.

mod answer;
mod edge;
mod regions;
mod scene;
mod words;

use crate::configuration;
use crate::replay::rfc3339;
use evenkeel_policy::geography::{Continent, Country};
use std::path::PathBuf;
use std::process::ExitCode;

/// Says where a request goes and why, what happens on failure, and when each region is back.
///
/// Without more, all regions are well. --state-from and --envoy-admin tell how they really are;
/// --down and its like suppose something on top.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The plugin configuration (.json) or the topology file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The region whose edge is meant; overrules the topology file's local_region.
    #[arg(long)]
    region: Option<String>,
    #[command(flatten)]
    request: RequestOptions,
    /// Goes on from these recorded events (see evenkeel replay); - reads standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "envoy_admin")]
    state_from: Option<PathBuf>,
    /// Reads the regions' state from a live edge: the address of its Envoy's admin interface.
    #[arg(long, value_name = "URL")]
    envoy_admin: Option<String>,
    #[command(flatten)]
    suppose: Suppose,
    /// When, as RFC 3339 in UTC: decides which of the configuration's overrides are in force (with
    /// --state-from: what the wall clock showed at 0). Default: now.
    #[arg(long, value_name = "TIME", value_parser = rfc3339)]
    at: Option<u64>,
    /// Prints JSON instead of words.
    #[arg(long)]
    json: bool,
}

/// The request that is asked about.
#[derive(Debug, clap::Args)]
pub struct RequestOptions {
    /// The client's country, as ISO code of two letters. Default: unknown.
    #[arg(long, value_parser = country)]
    country: Option<String>,
    /// The client's continent: AF AN AS EU NA OC SA. Default: the one the country lies in.
    #[arg(long, value_parser = continent)]
    continent: Option<String>,
    /// The request's method.
    #[arg(long, default_value = "GET")]
    method: String,
    /// Its sticky key: what stands in the header or cookie, or the client's address.
    #[arg(long)]
    key: Option<String>,
    /// The draw, from 0 up to but not including 1. Default: 0.5, and the spread of all draws is shown.
    #[arg(long, value_parser = draw)]
    random: Option<f64>,
}

/// What is supposed besides.
#[derive(Debug, clap::Args)]
pub struct Suppose {
    /// This region's probes fail. May be repeated, as those below.
    #[arg(long, value_name = "REGION")]
    down: Vec<String>,
    /// This region's breaker is open: live calls to it failed.
    #[arg(long, value_name = "REGION")]
    breaker_open: Vec<String>,
    /// This region's breaker is half-open: a few calls may test it.
    #[arg(long, value_name = "REGION")]
    half_open: Vec<String>,
    /// This region is ramping and has got this far, in per cent: taiwan=30.
    #[arg(long, value_name = "REGION=PERCENT", value_parser = share)]
    share: Vec<(String, u8)>,
    /// This region is drained.
    #[arg(long, value_name = "REGION")]
    drain: Vec<String>,
    /// All requests are pinned to this region.
    #[arg(long, value_name = "REGION")]
    pin: Option<String>,
    /// Shares are frozen as they are.
    #[arg(long)]
    freeze: bool,
}

/// Prints the explanation.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let Some((topology, _)) = configuration::read(&options.config, options.region.as_deref()) else {
        return Ok(ExitCode::FAILURE);
    };
    let scene = match scene::set(topology, options)? {
        Ok(scene) => scene,
        Err(fault) => {
            eprintln!("{fault}");
            return Ok(ExitCode::FAILURE);
        }
    };
    let explanation = answer::explain(&scene, &options.request);
    let text = if options.json {
        serde_json::to_string_pretty(&explanation)? + "\n"
    } else {
        words::text(&explanation)
    };
    crate::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn country(text: &str) -> Result<String, String> {
    Country::parse(text.as_bytes())
        .map(|country| country.as_str().to_owned())
        .ok_or_else(|| "use an ISO 3166-1 code of two letters, like JP".to_owned())
}

fn continent(text: &str) -> Result<String, String> {
    Continent::parse(text.as_bytes())
        .map(|_| text.to_ascii_uppercase())
        .ok_or_else(|| "use one of AF AN AS EU NA OC SA".to_owned())
}

fn draw(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|draw| (0.0..1.0).contains(draw))
        .ok_or_else(|| "use a number from 0 up to but not including 1".to_owned())
}

fn share(text: &str) -> Result<(String, u8), String> {
    text.split_once('=')
        .and_then(|(region, share)| Some((region.to_owned(), share.parse().ok()?)))
        .filter(|(_, share)| (5..=100).contains(share))
        .ok_or_else(|| "use REGION=PERCENT with 5 to 100, like taiwan=30".to_owned())
}
