//! The platform from outside: its ports, its containers, and what its parts say of themselves.

use evenkeel_tests::{Request, until};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A region that was out comes back in 35 s, a node that was killed after a rewind.
pub const SOON: Duration = Duration::from_secs(120);

pub const REGIONS: [&str; 2] = ["taiwan", "japan"];

pub fn port(variable: &str, default: u16) -> SocketAddr {
    let port = std::env::var(variable).ok().and_then(|port| port.parse().ok()).unwrap_or(default);
    (Ipv4Addr::LOCALHOST, port).into()
}

pub fn edge(region: &str) -> SocketAddr {
    match region {
        "taiwan" => port("TAIWAN_PORT", 18080),
        _ => port("JAPAN_PORT", 18081),
    }
}

/// What a customer of this region sends as country.
pub fn country(region: &str) -> &'static str {
    if region == "taiwan" { "TW" } else { "JP" }
}

pub fn other(region: &str) -> &'static str {
    if region == "taiwan" { "japan" } else { "taiwan" }
}

/// `rpo0` or `rpo1s`.
pub fn profile() -> String {
    std::env::var("EVENKEEL_PROFILE").unwrap_or_else(|_| "rpo0".to_owned())
}

/// What a program says; it must succeed.
pub fn said(program: &str, arguments: &[&str]) -> String {
    ran(program, arguments).unwrap_or_else(|error| panic!("{program} {arguments:?}: {error}"))
}

fn ran(program: &str, arguments: &[&str]) -> Result<String, String> {
    let command = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = command.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Does something to the containers of services, whatever this Compose calls them.
pub fn docker(what: &str, services: &[&str]) {
    let containers: Vec<String> = services.iter().map(|service| container(service)).collect();
    let arguments: Vec<&str> = [what].into_iter().chain(containers.iter().map(String::as_str)).collect();
    said("docker", &arguments);
}

fn container(service: &str) -> String {
    let service = format!("label=com.docker.compose.service={service}");
    let project = "label=com.docker.compose.project=evenkeel";
    let id = said("docker", &["ps", "--all", "--quiet", "--filter", project, "--filter", &service]);
    assert!(!id.is_empty(), "{service} has no container: run make compose-test");
    id
}

/// What a database node answers to SQL, a row on each line; nothing if it does not.
pub fn rows(node: &str, sql: &str) -> Option<Vec<String>> {
    let (container, port) = (container(node), if node.ends_with('a') { "5432" } else { "5433" });
    let user = ["-h", "/var/run/postgresql", "-p", port, "-U", "postgres", "-d", "shop", "-Atc", sql];
    let arguments: Vec<&str> = ["exec", &container, "psql"].into_iter().chain(user).collect();
    Some(ran("docker", &arguments).ok()?.lines().map(str::to_owned).collect())
}

/// Both directions.
pub async fn cut_links(cut: bool) {
    for link in [port("LINK_TO_TAIWAN_PORT", 19911), port("LINK_TO_JAPAN_PORT", 19912)] {
        let body = json!({ "cut": cut }).to_string();
        let reply = Request::post().body(body.as_bytes()).send(link).await.expect("the link answers");
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}

/// What a region's companion knows.
async fn status(region: &str) -> Option<Value> {
    let token = include_str!("../../compose/secrets/companion-token").trim();
    let at = match region {
        "taiwan" => port("TAIWAN_STATUS_PORT", 19903),
        _ => port("JAPAN_STATUS_PORT", 19904),
    };
    let request = Request::get().path("/v1/status").header("authorization", format!("Bearer {token}"));
    serde_json::from_slice(&request.send(at).await.ok()?.body).ok()
}

/// Everything stands, every share is whole, every voter is heard, as both companions see it, and the
/// writer's standbys are what the profile promises.
pub async fn whole() {
    for region in REGIONS {
        until(&format!("{region} is whole"), SOON, async || {
            // An open breaker closes by calls that succeed: without customers it would stay half open.
            for of in REGIONS {
                Request::get().from(country(of)).send(edge(region)).await.ok()?;
            }
            let status = status(region).await?;
            let edges = status["edges"].as_array()?;
            let shares =
                edges.iter().flat_map(|edge| REGIONS.map(|region| &edge["regions"][region]["share"]));
            let nodes = status["database"]["nodes"].as_array()?;
            let whole = status["readiness"]["status"] == "UP"
                && status["votes"]["in_force"] == 3
                && !edges.is_empty()
                && shares.into_iter().all(|share| share == 100)
                && nodes.len() == 4
                && nodes.iter().all(|node| node["reachable"] == true)
                && REGIONS.iter().all(|region| answers(region, "api").len() == 2);
            whole.then_some(())
        })
        .await;
    }
    let (writer, near) = writer().await;
    let waited_for = if profile() == "rpo1s" { near.as_str() } else { other(&near) };
    until(&format!("{writer}'s commits wait for a node of {waited_for}"), SOON, async || {
        let sql = "SELECT application_name FROM pg_stat_replication WHERE sync_state = 'sync'";
        rows(&writer, sql)?.iter().any(|standby| standby.starts_with(waited_for)).then_some(())
    })
    .await;
}

/// The writer's node and region.
pub async fn writer() -> (String, String) {
    until("a writer is known", SOON, known_writer).await
}

/// The same, if the companion of either region knows it just now.
pub async fn known_writer() -> Option<(String, String)> {
    for region in REGIONS {
        let Some(status) = status(region).await else { continue };
        let nodes = status["database"]["nodes"].as_array().cloned().unwrap_or_default();
        if let Some(node) = nodes.iter().find(|node| node["writer"] == true) {
            return Some((node["name"].as_str()?.to_owned(), node["region"].as_str()?.to_owned()));
        }
    }
    None
}

/// The addresses that this region's companion has given for a name of the zone, over 20 questions.
pub fn answers(region: &str, name: &str) -> BTreeSet<String> {
    let at = match region {
        "taiwan" => port("TAIWAN_DNS_PORT", 15301),
        _ => port("JAPAN_DNS_PORT", 15302),
    };
    let (server, port, name) = ("@127.0.0.1", at.port().to_string(), format!("{name}.shop.example"));
    let question = [name.as_str(), "A"];
    let mut arguments = vec![server, "-p", &port, "+short", "+timeout=2"];
    for _ in 0..20 {
        arguments.extend(question);
    }
    said("kdig", &arguments).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}
