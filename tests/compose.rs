//! The platform of docker-compose.yml as it runs: orders through both edges, then what is cut and killed.
//! `make compose-test` brings it up first and runs them one after the other. Each begins with a whole
//! platform and mends what it broke.

use evenkeel_tests::{Reply, Request, until};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

/// A region that was out comes back in 35 s, a node that was killed after a rewind.
const SOON: Duration = Duration::from_secs(120);

const REGIONS: [&str; 2] = ["taiwan", "japan"];

fn port(variable: &str, default: u16) -> SocketAddr {
    let port = std::env::var(variable).ok().and_then(|port| port.parse().ok()).unwrap_or(default);
    (Ipv4Addr::LOCALHOST, port).into()
}

fn edge(region: &str) -> SocketAddr {
    match region {
        "taiwan" => port("TAIWAN_PORT", 18080),
        _ => port("JAPAN_PORT", 18081),
    }
}

fn country(region: &str) -> &'static str {
    if region == "taiwan" { "TW" } else { "JP" }
}

fn other(region: &str) -> &'static str {
    if region == "taiwan" { "japan" } else { "taiwan" }
}

/// What a program says; it must succeed.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect("the program starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {error}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Does something to a service's container, whatever this Compose calls it.
fn docker(what: &str, service: &str) {
    said("docker", &[what, &container(service)]);
}

fn container(service: &str) -> String {
    let service = format!("label=com.docker.compose.service={service}");
    let project = "label=com.docker.compose.project=evenkeel";
    let id = said("docker", &["ps", "--all", "--quiet", "--filter", project, "--filter", &service]);
    assert!(!id.is_empty(), "{service} has no container: run make compose-test");
    id
}

/// Both directions.
async fn cut_links(cut: bool) {
    for link in [port("LINK_TO_TAIWAN_PORT", 19911), port("LINK_TO_JAPAN_PORT", 19912)] {
        let body = json!({ "cut": cut }).to_string();
        let reply = Request::post().body(body.as_bytes()).send(link).await.expect("the link answers");
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}

/// What a region's companion knows.
async fn status(region: &str) -> Option<Value> {
    let token = include_str!("../compose/secrets/companion-token").trim();
    let at = match region {
        "taiwan" => port("TAIWAN_STATUS_PORT", 19903),
        _ => port("JAPAN_STATUS_PORT", 19904),
    };
    let request = Request::get().path("/v1/status").header("authorization", format!("Bearer {token}"));
    serde_json::from_slice(&request.send(at).await.ok()?.body).ok()
}

/// Everything stands, every share is whole, and every voter is heard, as both companions see it.
async fn whole() {
    for region in REGIONS {
        until(&format!("{region} is whole"), SOON, async || {
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
}

/// The writer's node and region.
async fn writer() -> (String, String) {
    until("a writer is known", SOON, async || {
        let status = status("taiwan").await?;
        let node =
            status["database"]["nodes"].as_array()?.iter().find(|node| node["writer"] == true)?.clone();
        Some((node["name"].as_str()?.to_owned(), node["region"].as_str()?.to_owned()))
    })
    .await
}

/// The addresses that this region's companion has given for a name of the zone, over 20 questions.
fn answers(region: &str, name: &str) -> BTreeSet<String> {
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

fn key(name: &str, number: usize) -> String {
    format!("{name}-{}-{number}", std::process::id())
}

/// An order by a customer of this region, at this region's edge.
async fn order(region: &str, key: &str, quantity: u32) -> Result<Reply, String> {
    let body =
        json!({"customer": "ada", "items": [{"sku": "tea", "quantity": quantity, "price_cents": 450}]});
    Request::post()
        .path("/orders")
        .from(country(region))
        .header("idempotency-key", key)
        .header("content-type", "application/json")
        .body(body.to_string().as_bytes())
        .send(edge(region))
        .await
}

fn id(reply: &Reply) -> String {
    let order: Value = serde_json::from_slice(&reply.body).expect("an order is JSON");
    order["id"].as_str().expect("an order has a number").to_owned()
}

async fn read(region: &str, id: &str) -> Result<Reply, String> {
    Request::get().path(&format!("/orders/{id}")).from(country(region)).send(edge(region)).await
}

/// An order that both regions can read.
async fn known_order(name: &str) -> String {
    let reply = order("taiwan", &key(name, 0), 1).await.expect("an answer");
    assert_eq!(reply.status, 201, "{}", reply.text());
    let id = id(&reply);
    for region in REGIONS {
        until("it is read there", SOON, async || {
            read(region, &id).await.ok().filter(|reply| reply.status == 200)
        })
        .await;
    }
    id
}

#[tokio::test]
async fn an_order_is_taken_once_through_either_edge_and_read_in_both_regions() {
    whole().await;
    for (number, region) in REGIONS.into_iter().enumerate() {
        let key = key("once", number);
        let taken = order(region, &key, 2).await.expect("an answer");
        assert_eq!(taken.status, 201, "{}", taken.text());
        assert!(taken.decision().starts_with(&format!("region={region}")), "{}", taken.decision());
        let again = order(other(region), &key, 2).await.expect("an answer");
        assert_eq!((again.status, id(&again)), (200, id(&taken)), "the same order through the other edge");
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        let conflict = order(region, &key, 3).await.expect("an answer");
        assert_eq!(conflict.status, 409, "{}", conflict.text());
        // At once where it was taken; elsewhere as soon as the replica has it.
        assert_eq!(read(region, &id(&taken)).await.expect("an answer").text(), taken.text());
        let far = until("the other region has it", SOON, async || {
            read(other(region), &id(&taken)).await.ok().filter(|reply| reply.status == 200)
        })
        .await;
        assert_eq!(far.text(), taken.text());
    }
}

#[tokio::test]
async fn a_killed_application_costs_no_read_and_dns_follows() {
    whole().await;
    let id = known_order("application").await;
    let (taiwan, japan) = ("172.30.81.10".to_owned(), "172.30.82.10".to_owned());
    assert_eq!(answers("japan", "main"), BTreeSet::from([taiwan.clone()]));

    docker("kill", "taiwan-shop");
    let begun = Instant::now();
    let mut reads = 0;
    let followed = until("both companions answer with Japan alone", SOON, async || {
        for region in REGIONS {
            let reply = read(region, &id).await.expect("an answer");
            assert_eq!(reply.status, 200, "{region}, {:?}: {}", begun.elapsed(), reply.text());
            reads += 1;
        }
        let only = BTreeSet::from([japan.clone()]);
        let all =
            REGIONS.iter().all(|region| ["main", "api"].iter().all(|name| answers(region, name) == only));
        all.then(|| begun.elapsed())
    })
    .await;
    println!("measured: DNS followed a killed application after {followed:?}; {reads} reads, none failed");

    docker("start", "taiwan-shop");
    whole().await;
    assert_eq!(answers("japan", "main"), BTreeSet::from([taiwan]));
}

#[tokio::test]
async fn with_both_links_cut_regions_read_on_and_one_alone_writes() {
    whole().await;
    let id = known_order("links").await;
    let (_, near) = writer().await;
    let far = other(&near);

    cut_links(true).await;
    let held = key("links", 1);
    let refused = order(far, &held, 1);
    let reads = async {
        let begun = Instant::now();
        let mut reads = 0;
        while begun.elapsed() < Duration::from_secs(5) {
            for region in REGIONS {
                let reply = read(region, &id).await.expect("an answer");
                assert_eq!(reply.status, 200, "{region}, {:?}: {}", begun.elapsed(), reply.text());
                reads += 1;
            }
        }
        reads
    };
    let at_the_writer = key("links", 2);
    let taken = order(&near, &at_the_writer, 1);
    let (refused, reads, taken) = tokio::join!(refused, reads, taken);
    let (refused, taken) = (refused.expect("an answer"), taken.expect("an answer"));
    println!("measured: {reads} reads while cut; the order at the writer took {:?}", taken.took);
    assert_eq!(taken.status, 201, "where the writer is: {}", taken.text());
    assert!([503, 504].contains(&refused.status), "where none is: {} {}", refused.status, refused.text());

    cut_links(false).await;
    let healed = Instant::now();
    // Its fate was unknown to the customer: asked again, it is one order.
    until("the far region orders again", SOON, async || {
        order(far, &held, 1).await.ok().filter(|reply| [200, 201].contains(&reply.status))
    })
    .await;
    println!("measured: orders at the far side {:?} after healing", healed.elapsed());
    whole().await;
}

#[tokio::test]
async fn a_killed_writer_is_replaced_and_no_acknowledged_order_is_lost() {
    whole().await;
    let (killed, _) = writer().await;
    let mut acknowledged = BTreeSet::new();
    let mut number = 0;
    let mut place = async |acknowledged: &mut BTreeSet<String>| {
        let mut taken = 0;
        for region in REGIONS {
            number += 1;
            let key = key("writer", number);
            if order(region, &key, 1).await.is_ok_and(|reply| [200, 201].contains(&reply.status)) {
                acknowledged.insert(key);
                taken += 1;
            }
        }
        taken == REGIONS.len()
    };
    for _ in 0..25 {
        assert!(place(&mut acknowledged).await, "orders are taken before the fault");
    }

    docker("kill", &killed);
    let begun = Instant::now();
    let outage = until("both regions order again", SOON, async || {
        place(&mut acknowledged).await.then(|| begun.elapsed())
    })
    .await;
    for _ in 0..25 {
        place(&mut acknowledged).await;
    }
    let (next, _) = until("another writer is known", SOON, async || {
        Some(writer().await).filter(|(node, _)| *node != killed)
    })
    .await;
    let port = if next.ends_with('a') { "5432" } else { "5433" };
    let sql = format!(
        "SELECT idempotency_key FROM orders WHERE idempotency_key LIKE 'writer-{}-%'",
        std::process::id()
    );
    let psql = [
        "exec",
        &container(&next),
        "psql",
        "-h",
        "/var/run/postgresql",
        "-p",
        port,
        "-U",
        "postgres",
        "-d",
        "shop",
        "-Atc",
        &sql,
    ];
    let found: BTreeSet<String> = said("docker", &psql).lines().map(str::to_owned).collect();
    let lost: Vec<_> = acknowledged.difference(&found).collect();
    println!(
        "measured: {killed} killed, {next} writes; orders again after {outage:?}; {} acknowledged, {} lost",
        acknowledged.len(),
        lost.len()
    );
    // What the profile promises: across regions nothing is lost in rpo0 alone.
    assert!(lost.is_empty(), "{lost:?}");

    docker("start", &killed);
    whole().await;
}
