//! Evenkeel's answers: by the tools that people ask with, beside gdnsd, and behind a caching resolver.

use crate::*;
use evenkeel_tests::dns::{Evenkeel, Resolving, Tool, Unbound};
use evenkeel_tests::until;
use serde_json::{Value, json};
use std::time::Instant;

/// Of 200 draws by 60 to 40, five standard deviations from the mean.
const FAIR: std::ops::RangeInclusive<usize> = 85..=155;

async fn evenkeel(scene: &Scene, more: Value) -> Evenkeel {
    Evenkeel::start(scene, places().path(), more).await
}

/// Probes so quick that a test need not wait for them, and a way back without hold or ramp.
fn quick() -> Value {
    json!({
        "health_check": {"interval": "300ms", "timeout": "200ms"},
        "failback": {"hold": "0s", "ramp": "0s"},
    })
}

#[tokio::test]
async fn kdig_and_dig_hear_the_same_by_udp_and_by_tcp() {
    let evenkeel = evenkeel(&Scene::of_two_regions(), json!({})).await;
    let questions = [
        Question::new("api.example.com", "A").from(IN_TAIWAN),
        Question::new("API.eXample.com", "A").from(IN_JAPAN),
        Question::new("plain.example.com", "AAAA"),
        Question::new("plain.example.com", "ANY"),
        Question::new("plain.example.com", "TYPE65280"),
        Question::new("nobody.example.com", "A"),
        Question::new("example.com", "SOA"),
        Question::new("example.com", "NS"),
        Question::new("example.org", "A"),
    ];
    let statuses =
        ["NOERROR", "NOERROR", "NOERROR", "NOERROR", "NOERROR", "NXDOMAIN", "NOERROR", "NOERROR", "REFUSED"];
    for (question, status) in questions.iter().zip(statuses) {
        let mut heard = Vec::new();
        for tool in [Tool::Kdig, Tool::Dig] {
            for question in [question.clone().by(tool), question.clone().by(tool).tcp()] {
                let mut reply = question.ask(evenkeel.address()).await.expect("an answer");
                assert_eq!(reply.status, status, "{}", reply.text);
                assert_eq!(reply.has("aa"), status != "REFUSED", "{}", reply.text);
                assert!(!reply.has("ra"), "{}", reply.text);
                reply.text.clear();
                // kdig shows names in lower case, whatever it was answered.
                reply.answer.iter_mut().for_each(|record| record.name.make_ascii_lowercase());
                reply.answer.sort_by(|one, other| one.data.cmp(&other.data));
                heard.push(reply);
            }
        }
        assert!(heard.iter().all(|reply| *reply == heard[0]), "{heard:#?}");
    }
    let reply = Question::new("example.com", "AXFR").tcp().ask(evenkeel.address()).await;
    let refused = |reply: &Reply| reply.status == "REFUSED" && reply.answer.is_empty();
    assert!(reply.as_ref().map_or_else(|said| said.contains("REFUSED"), refused), "{reply:?}");
}

#[tokio::test]
async fn it_answers_as_gdnsd_does_with_the_same_zone_by_place_weight_and_health() {
    let scene = Scene::of_two_regions();
    let (mut gdnsd, evenkeel) = (gdnsd(&scene).await, evenkeel(&scene, quick()).await);
    let servers = [gdnsd.address(), evenkeel.address()];
    let same = async |network: &str, answer: &str| {
        let mut scopes = Vec::new();
        for server in servers {
            let reply = ask(server, "api.example.com", network).await;
            assert_eq!(reply.data("A"), [answer], "{}", reply.text);
            assert_eq!(reply.answer[0].ttl, 60, "{}", reply.text);
            scopes.push(reply.subnet.map(|(address, source, scope)| (address, source, scope > 0)));
        }
        assert_eq!(scopes[0], scopes[1]);
    };
    same(IN_TAIWAN, TAIWAN).await;
    same(IN_JAPAN, JAPAN).await;
    for server in servers {
        assert!(FAIR.contains(&share_of(TAIWAN, server, "api.example.com", IN_FRANCE, 200).await));
        assert!(FAIR.contains(&share_of(TAIWAN, server, "spread.example.com", ANYWHERE, 200).await));
    }
    // Taiwan is lost: its clients get Japan from both, and so does everyone else.
    gdnsd.set_health(TAIWAN.parse().expect("an address"), false);
    evenkeel.set_alive("taiwan", false);
    for server in servers {
        until("Taiwan's clients get Japan", SOON, async || {
            (ask(server, "api.example.com", IN_TAIWAN).await.data("A") == [JAPAN]).then_some(())
        })
        .await;
    }
    same(IN_TAIWAN, JAPAN).await;
    assert_eq!(share_of(JAPAN, evenkeel.address(), "spread.example.com", ANYWHERE, 50).await, 50);
    // Both are: everything counts as healthy again, and nobody is left without an answer (R8, R13).
    evenkeel.set_alive("japan", false);
    until("Taiwan's clients get Taiwan, as a last resort", SOON, async || {
        (ask(evenkeel.address(), "api.example.com", IN_TAIWAN).await.data("A") == [TAIWAN]).then_some(())
    })
    .await;
    let some = share_of(TAIWAN, evenkeel.address(), "spread.example.com", ANYWHERE, 200).await;
    assert!(FAIR.contains(&some), "{some}");
}

#[tokio::test]
async fn the_ttl_is_lowered_while_a_failover_is_fresh() {
    let mut more = quick();
    more["dns"] = json!({"failover_ttl": "5s", "failover_fresh_for": "3s"});
    let evenkeel = evenkeel(&Scene::of_two_regions(), more).await;
    let ttl = async || ask(evenkeel.address(), "main.example.com", ANYWHERE).await.answer[0].ttl;
    assert_eq!(ttl().await, 60);
    evenkeel.set_alive("taiwan", false);
    until("a lower time to live", SOON, async || (ttl().await == 5).then_some(())).await;
    assert_eq!(ask(evenkeel.address(), "main.example.com", ANYWHERE).await.data("A"), [JAPAN]);
    until("the usual one again", SOON, async || (ttl().await == 60).then_some(())).await;
}

/// How long clients behind a resolver go on with the dead region: as long as its cache may keep the answer.
#[tokio::test]
async fn the_last_client_behind_a_resolver_leaves_within_the_time_to_live() {
    const TTL: Duration = Duration::from_secs(3);
    let scene = Scene { ttl: 3, ..Scene::of_two_regions() };
    let evenkeel = evenkeel(&scene, quick()).await;
    let mut resolvers = Vec::new();
    for client_subnet in [false, true] {
        let zone = "example.com".to_owned();
        let resolving = Resolving { zone, servers: vec![evenkeel.address()], client_subnet };
        resolvers.push(Unbound::start(&resolving).await);
    }
    for unbound in &resolvers {
        let reply = ask(unbound.address(), "main.example.com", IN_TAIWAN).await;
        assert_eq!(reply.data("A"), [TAIWAN], "{}", reply.text);
    }
    evenkeel.set_alive("taiwan", false);
    until("the answer itself changes", SOON, async || {
        (ask(evenkeel.address(), "main.example.com", IN_TAIWAN).await.data("A") == [JAPAN]).then_some(())
    })
    .await;
    let changed = Instant::now();
    for unbound in &resolvers {
        until("the resolver's clients get Japan", SOON, async || {
            (ask(unbound.address(), "main.example.com", IN_TAIWAN).await.data("A") == [JAPAN]).then_some(())
        })
        .await;
        println!("the last client left {:?} after the answer had changed", changed.elapsed());
    }
    // A second of grain in caches, and the tools' own time.
    assert!(changed.elapsed() < TTL + Duration::from_secs(2), "{:?}", changed.elapsed());
}

#[tokio::test]
async fn a_resolver_keeps_the_answers_of_networks_apart_by_their_scope() {
    let evenkeel = evenkeel(&Scene::of_two_regions(), json!({})).await;
    let resolving =
        Resolving { zone: "example.com".to_owned(), servers: vec![evenkeel.address()], client_subnet: true };
    let unbound = Unbound::start(&resolving).await;
    for round in ["from the server", "from the cache"] {
        for (network, answer) in [(IN_TAIWAN, TAIWAN), (IN_JAPAN, JAPAN)] {
            let reply = ask(unbound.address(), "api.example.com", network).await;
            assert_eq!(reply.data("A"), [answer], "{round}: {}", reply.text);
        }
    }
    let answers =
        evenkeel.companion.metric("evenkeel_dns_answers_total{record=\"api\",region=\"taiwan\"}").await;
    assert_eq!(answers, Some(1.0), "the second round was answered from the cache");
}

#[tokio::test]
async fn a_new_zone_is_taken_up_whole_and_a_bad_one_leaves_the_old() {
    let evenkeel = evenkeel(&Scene::of_two_regions(), json!({})).await;
    let status = async |name: &str| ask(evenkeel.address(), name, ANYWHERE).await.status;
    let mut settings = evenkeel.companion.settings();
    settings["dns"]["records"][2]["members"] = json!([{"a": ["not an address"]}]);
    evenkeel.companion.write(&settings.to_string());
    until("the fault is told", SOON, async || {
        evenkeel.companion.log().contains("configuration not taken").then_some(())
    })
    .await;
    assert_eq!(status("plain.example.com").await, "NOERROR");
    settings["dns"]["records"][2] = json!({"name": "newer", "members": [{"a": ["192.0.2.77"]}]});
    evenkeel.companion.write(&settings.to_string());
    until("the new name is answered", SOON, async || {
        (status("newer.example.com").await == "NOERROR").then_some(())
    })
    .await;
    assert_eq!(status("plain.example.com").await, "NXDOMAIN");
}

#[tokio::test]
async fn explain_says_what_is_answered_and_why() {
    let evenkeel = evenkeel(&Scene::of_two_regions(), quick()).await;
    let said = |arguments: &[&str]| {
        let output = evenkeel.companion.command(&[&["dns", "explain"], arguments].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let text = said(&["api.example.com", "--from", "203.0.113.7"]);
    assert!(text.contains(TAIWAN) && text.contains("TW"), "{text}");
    evenkeel.set_alive("taiwan", false);
    until("Taiwan is out", SOON, async || {
        (ask(evenkeel.address(), "api.example.com", IN_TAIWAN).await.data("A") == [JAPAN]).then_some(())
    })
    .await;
    let text = said(&["api", "--from", "203.0.113.7"]);
    assert!(text.contains(JAPAN) && text.contains("failover"), "{text}");
}
