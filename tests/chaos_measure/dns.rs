//! Clients that follow DNS, answered by a real companion, when a region dies.

use crate::run::{Result, Run, target};
use evenkeel_chaos::target::Target;
use evenkeel_tests::dns::{Evenkeel, Scene};
use evenkeel_tests::region::SERVED_BY;
use evenkeel_tests::until;
use serde_json::json;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// Both regions are answered at `both`, the first one alone at `main` while it is well. A client keeps an answer for a
/// second.
async fn start() -> Evenkeel {
    let scene = Scene { ttl: 1, ..Scene::of_two_regions() };
    let more = json!({
        "health_check": {"interval": "300ms", "timeout": "200ms"},
        "failback": {"hold": "0s", "ramp": "0s"},
        "dns": {
            "geoip": null,
            "health_check": {"interval": "1s", "threshold": 1},
            "records": [
                {"name": "alone", "members": [{"region": "taiwan"}]},
                {"name": "both", "policy": "multivalue"},
                {"name": "main", "policy": "failover",
                 "members": [{"region": "taiwan", "primary": true}, {"region": "japan"}]}
            ]
        }
    });
    // Nobody's place matters here, so any file does for the database.
    Evenkeel::start(&scene, Path::new(env!("CARGO_MANIFEST_PATH")), more).await
}

fn followers(evenkeel: &Evenkeel, name: Option<&str>) -> Target {
    let [taiwan, japan] = &evenkeel.regions[..] else { panic!("two regions") };
    let clients =
        [("taiwan", "TW", taiwan.address().to_string()), ("japan", "JP", japan.address().to_string())];
    let mut target = target(
        &clients,
        json!({
            "topology": evenkeel.companion.file(),
            "region-header": SERVED_BY,
            "dns": [{"region": "taiwan", "address": evenkeel.address().to_string()}],
            "dns-name": name,
        }),
    );
    // As the scene has them.
    for (client, address) in target.clients.iter_mut().zip(["192.0.2.10", "198.51.100.10"]) {
        client.dns_address = Some(address.to_owned());
    }
    target
}

async fn run(evenkeel: &Evenkeel, name: Option<&str>) -> Result {
    let target = followers(evenkeel, name);
    for attempt in 1.. {
        until("Taiwan is answered again", PATIENCE, async || {
            let status = evenkeel.companion.status().await;
            let checks = status["checks"].as_array()?;
            checks.iter().all(|check| check["up"] == true && check["share"] == 100).then_some(())
        })
        .await;
        let run = Run {
            name: format!("{}-{attempt}", name.unwrap_or("both").replace('.', "-")),
            target: &target,
            load: json!({"rate": 100, "follow-dns": true, "patience": "5s"}),
            criteria: json!({"rto-reads": "10s", "rto-orders": "10s"}),
            spans: [Duration::from_secs(2), Duration::from_secs(8)],
        };
        let result = run.run(async || evenkeel.set_alive("taiwan", false), async |_, _| None).await;
        evenkeel.set_alive("taiwan", true);
        if !result.fell_behind() {
            return result;
        }
        assert!(attempt < 5, "{:?}", result.outcome);
    }
    unreachable!("the loop ends by one of its own")
}

/// Who answers at the end.
fn last(result: &Result) -> Vec<Option<u8>> {
    result.journal.requests.iter().rev().take(50).map(|request| request.region).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_take_the_other_address_and_else_wait_for_dns() {
    let evenkeel = start().await;

    // The topology's first name with a policy has both addresses: who meets the dead one takes the other. What
    // was on its way at the fault fails.
    let both = run(&evenkeel, None).await;
    assert!(both.outcome.passed, "{:?}", both.outcome);
    assert!(both.figures.window.failed < 10, "{:?}", both.figures);
    assert_eq!(last(&both), [Some(1); 50]);

    // Of one address there is no other: clients wait for DNS to give another and for the old answer to expire,
    // which may be near or a second away.
    let main = run(&evenkeel, Some("main.example.com")).await;
    assert!(main.outcome.passed, "{:?}", main.outcome);
    assert_eq!(last(&main), [Some(1); 50]);
    println!(
        "measured: followed DNS after {:?} ms with two addresses, {:?} ms with one and a TTL of 1 s",
        both.figures.reads.rto, main.figures.reads.rto
    );
}
