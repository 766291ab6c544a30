//! Votes on what DNS answers, between real processes: companions of two regions, a witness, an etcd; with
//! regions that die and links that break.

use evenkeel_tests::companion::merged;
use evenkeel_tests::port::Port;
use evenkeel_tests::wait::throughout;
use evenkeel_tests::{Companion, Etcd, Link, Region, Request, Role, until};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The companions' own rules, as for edges: a dead listener is seen within 7 s, a silent one within 13 s.
const SEEN_DEAD: Duration = Duration::from_secs(7);

/// The same of one that answers nothing.
const SEEN_SILENT: Duration = Duration::from_secs(13);

/// From the last voter's flip to the settled verdict at every other: a question each 500 ms, and room for
/// a busy machine.
const EXCHANGE: Duration = Duration::from_secs(2);

/// How long nothing may move: three times the detection of a dead region.
const LONG: Duration = Duration::from_secs(3 * 7);

/// Everything else comes about within this.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the voters are to know of each other.
enum Quorum<'a> {
    Witness,
    TwoOnly { anchor: Option<SocketAddr> },
    Etcd(&'a str),
}

/// Two regions, each with an application and a companion, the links between them, and perhaps a witness.
struct Platform {
    taiwan: Companion,
    japan: Companion,
    witness: Option<Companion>,
    applications: [Region; 2],
    /// From Taiwan to Japan, and back.
    links: [Link; 2],
    /// Where each answers DNS, kept for as long as it may start again.
    _answers: [Port; 3],
}

impl Platform {
    async fn start(quorum: Quorum<'_>) -> Platform {
        let applications = [Region::start("taiwan"), Region::start("japan")];
        let [taiwan, japan, third] = [Port::free(), Port::free(), Port::free()];
        let (taiwan_at, japan_at, witness_at) = (taiwan.address(), japan.address(), third.address());
        let links = [Link::to(japan_at), Link::to(taiwan_at)];
        let quorum_of = || match &quorum {
            Quorum::Witness => json!({"witness": {"address": witness_at.to_string()}}),
            Quorum::TwoOnly { anchor: None } => json!({}),
            Quorum::TwoOnly { anchor: Some(anchor) } => json!({"anchors": [anchor.to_string()]}),
            Quorum::Etcd(url) => json!({"etcd": {"endpoints": [url]}}),
        };
        let answers = [Port::free_for_dns(), Port::free_for_dns(), Port::free_for_dns()];
        // Each place reaches the others by its own way.
        let settings = |place: usize, to_taiwan: SocketAddr, to_japan: SocketAddr| {
            let application = applications.get(place);
            let region = |name: &str, weight: u32, at: SocketAddr| {
                json!({
                    "name": name,
                    "weight": weight,
                    "readiness": {"address": at.to_string()},
                    "dns": {"a": ["192.0.2.1"]},
                    "companion": {"address": at.to_string()}
                })
            };
            let application = application.map(|application| {
                json!({"application": {"url": format!("http://{}/health", application.address())}})
            });
            json!({
                "regions": [region("taiwan", 60, to_taiwan), region("japan", 40, to_japan)],
                "components": application.unwrap_or_else(|| json!({})),
                "failback": {"hold": "1s", "ramp": "2s"},
                "dns": {
                    "zone": "example.com",
                    "listen": [answers[place].address().to_string()],
                    "nameservers": [{"name": "ns1.example.net"}],
                    "records": [{"name": "api", "policy": "weighted"}]
                },
                "quorum": quorum_of()
            })
        };
        let with_witness = matches!(quorum, Quorum::Witness);
        let at_taiwan = settings(0, taiwan_at, links[0].address());
        let at_japan = settings(1, links[1].address(), japan_at);
        let start = |role, port, settings| Companion::start_as(role, port, Companion::prepare(), settings);
        let (taiwan, japan) = tokio::join!(
            start(Role::Region("taiwan"), taiwan, at_taiwan),
            start(Role::Region("japan"), japan, at_japan)
        );
        let witness = match with_witness {
            true => Some(start(Role::Witness, third, settings(2, taiwan_at, japan_at)).await),
            false => None,
        };
        let platform = Platform { taiwan, japan, witness, applications, links, _answers: answers };
        platform.agrees().await;
        platform
    }

    /// Waits until everybody hears everybody, and all vote for up.
    async fn agrees(&self) {
        for companion in [&self.taiwan, &self.japan] {
            until("all vote for up", PATIENCE, async || {
                let status = companion.status().await;
                let heard = status["votes"]["in_force"] == status["votes"]["configured"];
                let all = ["taiwan", "japan"].iter().all(|region| {
                    let check = check(&status, region);
                    let votes = check["votes"].as_object().expect("votes");
                    check["up"] == true
                        && check["share"] == 100
                        && votes.len() as u64 == status["votes"]["configured"].as_u64().unwrap_or_default()
                        && votes.values().all(|vote| *vote == true)
                });
                (heard && all).then_some(())
            })
            .await;
        }
    }

    /// The region's application and companion die at once.
    async fn kill_japan(&mut self) {
        self.applications[1].kill();
        self.japan.kill().await;
    }
}

fn check(status: &Value, name: &str) -> Value {
    let checks = status["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["name"] == name).expect("a check of this name").clone()
}

async fn verdict(companion: &Companion, region: &str) -> Value {
    check(&companion.status().await, region)
}

/// Waits until the region is settled and out of the answers; how long that took.
async fn goes_out(companion: &Companion, region: &str, within: Duration) -> Duration {
    let began = Instant::now();
    let found = until(&format!("{region} is out"), within, async || {
        let check = verdict(companion, region).await;
        (check["up"] == false).then_some(check)
    })
    .await;
    assert_eq!((&found["share"], &found["cause"]), (&json!(0), &json!("unhealthy")), "{found}");
    began.elapsed()
}

/// Both regions keep their whole share in this companion's answers.
async fn whole(companion: &Companion) -> bool {
    let status = companion.status().await;
    ["taiwan", "japan"].iter().all(|region| check(&status, region)["share"] == 100)
}

async fn alert(companion: &Companion, kind: &str) -> Option<String> {
    let status = companion.status().await;
    let alerts = status["alerts"].as_array()?;
    let found = alerts.iter().find(|alert| alert["kind"] == kind)?;
    found["summary"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loss_of_a_region_moves_dns_and_its_return_moves_it_back() {
    let mut platform = Platform::start(Quorum::Witness).await;
    platform.kill_japan().await;
    let took = goes_out(&platform.taiwan, "japan", SEEN_DEAD + EXCHANGE).await;
    println!("direct: a dead region is out of DNS after {took:?}");
    let taiwan = &platform.taiwan;
    let votes = verdict(taiwan, "japan").await["votes"].clone();
    assert_eq!(votes, json!({"taiwan": false, "witness": false}));
    assert_eq!(verdict(taiwan, "taiwan").await["share"], 100);
    until("an alert", PATIENCE, async || {
        let summary = alert(taiwan, "dns_failover").await?;
        assert!(
            summary.contains(
                "region japan is out of the DNS answers, cause unhealthy (taiwan down, witness down)"
            ),
            "{summary}"
        );
        Some(())
    })
    .await;
    for (metric, value) in [
        ("evenkeel_health_check_up{check=\"japan\"}", 0.0),
        ("evenkeel_health_check_healthy_percent{check=\"japan\"}", 0.0),
        ("evenkeel_votes{voter=\"witness\",check=\"japan\"}", 0.0),
        ("evenkeel_voter_heard{voter=\"witness\"}", 1.0),
        ("evenkeel_voter_heard{voter=\"japan\"}", 0.0),
        ("evenkeel_region_healthy{region=\"japan\",layer=\"dns\"}", 0.0),
        ("evenkeel_region_share{region=\"japan\",layer=\"dns\"}", 0.0),
        ("evenkeel_failovers_total{from=\"japan\",to=\"taiwan\",cause=\"unhealthy\",layer=\"dns\"}", 1.0),
    ] {
        assert_eq!(taiwan.metric(metric).await, Some(value), "{metric}");
    }
    for time in ["connect", "first_byte"] {
        let metric = format!("evenkeel_health_check_{time}_seconds{{check=\"taiwan\"}}");
        let value = taiwan.metric(&metric).await.expect("the last probe's time");
        assert!(value > 0.0 && value < 1.0, "{metric} {value}");
    }
    // It settles by itself, when it next hears the others.
    let witness = platform.witness.as_ref().expect("a witness");
    until("the witness settles too", EXCHANGE, async || {
        (witness.metric("evenkeel_health_check_up{check=\"japan\"}").await == Some(0.0)).then_some(())
    })
    .await;
    let log = taiwan.log();
    let line = log.lines().find(|line| line.contains("health check settled")).expect("a line");
    assert!(
        line.contains("taiwan=down") && line.contains("japan=unheard") && line.contains("witness=down"),
        "{line}"
    );
    let page = Request::get().send(taiwan.admin()).await.unwrap().text();
    assert!(page.contains("DNS health") && page.contains("What DNS answers by"));

    platform.applications[1].restore();
    platform.japan.restart().await;
    platform.agrees().await;
    let taiwan = &platform.taiwan;
    until("the alert is over", PATIENCE, async || {
        alert(taiwan, "dns_failover").await.is_none().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_falls_silent_is_out_within_thirteen_seconds() {
    let platform = Platform::start(Quorum::Witness).await;
    // The kernel goes on accepting connections, and nothing is ever answered.
    platform.japan.signal(libc::SIGSTOP);
    let took = goes_out(&platform.taiwan, "japan", SEEN_SILENT + EXCHANGE).await;
    println!("direct: a silent region is out of DNS after {took:?}");
    platform.japan.signal(libc::SIGCONT);
    platform.agrees().await;
}

/// While the links are `how`, each companion votes against the other's region, and nothing moves.
async fn nothing_moves_while_links_are(how: &str, act: fn(&Link), platform: &Platform) {
    platform.links.iter().for_each(act);
    // The links are gone indeed.
    for (companion, own, other) in
        [(&platform.taiwan, "taiwan", "japan"), (&platform.japan, "japan", "taiwan")]
    {
        until(&format!("{own} votes against {other}, link {how}"), PATIENCE, async || {
            (verdict(companion, other).await["votes"][own] == false).then_some(())
        })
        .await;
    }
    throughout(&format!("nothing moves, link {how}"), LONG, async || {
        whole(&platform.taiwan).await && whole(&platform.japan).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_silence_of_the_link_alone_moves_nothing() {
    let platform = Platform::start(Quorum::Witness).await;
    nothing_moves_while_links_are("silent", Link::silence, &platform).await;
    let votes = verdict(&platform.taiwan, "japan").await["votes"].clone();
    assert_eq!(votes, json!({"taiwan": false, "witness": true}));
    platform.links.iter().for_each(Link::restore);
    platform.agrees().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loss_of_the_link_alone_moves_nothing() {
    let mut platform = Platform::start(Quorum::Witness).await;
    nothing_moves_while_links_are("cut", Link::cut, &platform).await;
    let votes = verdict(&platform.taiwan, "japan").await["votes"].clone();
    assert_eq!(votes, json!({"taiwan": false, "witness": true}));
    // With the witness gone too nobody has a majority: the last answer stays.
    platform.witness.as_mut().expect("a witness").kill().await;
    until("too few are heard", PATIENCE, async || alert(&platform.taiwan, "quorum_lost").await).await;
    throughout("nothing moves without a majority", SEEN_DEAD + EXCHANGE, async || {
        whole(&platform.taiwan).await && whole(&platform.japan).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_witness_two_of_three_still_settle_and_one_does_not() {
    let mut platform = Platform::start(Quorum::Witness).await;
    platform.witness.as_mut().expect("a witness").kill().await;
    // Japan's application dies; its companion lives and says so itself.
    platform.applications[1].kill();
    for companion in [&platform.taiwan, &platform.japan] {
        goes_out(companion, "japan", SEEN_DEAD + EXCHANGE).await;
    }
    platform.applications[1].restore();
    for companion in [&platform.taiwan, &platform.japan] {
        until("japan is whole again", PATIENCE, async || whole(companion).await.then_some(())).await;
    }
    platform.kill_japan().await;
    until("taiwan votes against japan", PATIENCE, async || {
        (verdict(&platform.taiwan, "japan").await["votes"]["taiwan"] == false).then_some(())
    })
    .await;
    let summary =
        until("too few are heard", PATIENCE, async || alert(&platform.taiwan, "quorum_lost").await).await;
    assert!(summary.contains("1 of 3") && summary.contains("japan, witness"), "{summary}");
    throughout("one vote of three settles nothing", SEEN_DEAD + EXCHANGE, async || {
        whole(&platform.taiwan).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_two_votes_only_a_reachable_anchor_decides_and_none_does_not() {
    let mut platform = Platform::start(Quorum::TwoOnly { anchor: None }).await;
    platform.kill_japan().await;
    until("too few are heard", PATIENCE, async || alert(&platform.taiwan, "quorum_lost").await).await;
    until("taiwan votes against japan", PATIENCE, async || {
        (verdict(&platform.taiwan, "japan").await["votes"]["taiwan"] == false).then_some(())
    })
    .await;
    throughout("nothing moves without an anchor", SEEN_DEAD, async || whole(&platform.taiwan).await).await;

    let anchor = Region::start("anchor");
    let mut platform = Platform::start(Quorum::TwoOnly { anchor: Some(anchor.address()) }).await;
    platform.kill_japan().await;
    let took = goes_out(&platform.taiwan, "japan", SEEN_DEAD + EXCHANGE).await;
    println!("two votes and an anchor: a dead region is out of DNS after {took:?}");
    assert!(platform.taiwan.log().contains("alone, by an anchor"));
}

#[tokio::test(flavor = "multi_thread")]
async fn through_etcd_a_lost_link_moves_nothing_nor_does_the_loss_of_etcd() {
    let mut etcd = Etcd::start(None).await;
    let url = etcd.url();
    let platform = Platform::start(Quorum::Etcd(&url)).await;
    let keys = etcd.control(&["get", "--prefix", "/evenkeel/shop/votes/", "--keys-only"]);
    assert!(keys.contains("votes/taiwan\n") && keys.contains("votes/japan\n"), "{keys}");
    print_heard_after(&platform, "etcd").await;
    nothing_moves_while_links_are("cut", Link::cut, &platform).await;
    platform.links.iter().for_each(Link::restore);
    platform.agrees().await;

    // Without etcd nothing is settled, and nothing moves.
    etcd.server().freeze();
    until("too few are heard", PATIENCE, async || alert(&platform.taiwan, "quorum_lost").await).await;
    throughout("nothing moves without etcd", Duration::from_secs(6), async || whole(&platform.taiwan).await)
        .await;
    etcd.server().thaw();
    platform.agrees().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn through_etcd_a_lost_region_moves_dns() {
    let etcd = Etcd::start(None).await;
    let url = etcd.url();
    let mut platform = Platform::start(Quorum::Etcd(&url)).await;
    platform.kill_japan().await;
    let took = goes_out(&platform.taiwan, "japan", SEEN_DEAD + EXCHANGE).await;
    println!("etcd: a dead region is out of DNS after {took:?}");
    let votes = verdict(&platform.taiwan, "japan").await["votes"].clone();
    assert_eq!(votes, json!({"taiwan": false, "etcd": false}));
    platform.applications[1].restore();
    platform.japan.restart().await;
    platform.agrees().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_with_tls_and_a_password_carries_votes_too() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let etcd = Etcd::start(Some((&made.cert.pem(), &made.signing_key.serialize_pem()))).await;
    etcd.control(&["user", "add", "root:rootword"]);
    etcd.control(&["user", "grant-role", "root", "root"]);
    etcd.control(&["user", "add", "evenkeel:a-secret-word"]);
    etcd.control(&["role", "add", "votes"]);
    etcd.control(&["role", "grant-permission", "votes", "--prefix=true", "readwrite", "/evenkeel/shop/"]);
    etcd.control(&["user", "grant-role", "evenkeel", "votes"]);
    etcd.control(&["auth", "enable"]);
    let port = Port::free();
    let at = port.address().to_string();
    let folder = Companion::prepare();
    std::fs::write(folder.path().join("etcd.password"), "wrong-word\n").unwrap();
    let region =
        |name: &str| json!({"name": name, "readiness": {"address": at}, "dns": {"a": ["192.0.2.1"]}});
    let listen = Port::free_for_dns();
    let settings = json!({
        "regions": [region("taiwan"), region("japan")],
        "dns": {
            "zone": "example.com",
            "listen": [listen.address().to_string()],
            "nameservers": [{"name": "ns1.example.net"}],
            "records": [{"name": "api", "policy": "weighted"}]
        },
        "quorum": {"etcd": {
            "endpoints": ["https://localhost:1", etcd.url()],
            "ca": etcd.certificate().display().to_string(),
            "user": "evenkeel",
            "password_file": "etcd.password"
        }}
    });
    let companion = Companion::start_as(Role::Region("taiwan"), port, folder, settings).await;
    until("a wrong password is told", PATIENCE, async || {
        let voters = companion.status().await["votes"]["voters"].clone();
        let etcd = voters.as_array()?.iter().find(|voter| voter["name"] == "etcd")?.clone();
        etcd["error"].as_str()?.contains("refuses quorum.etcd.user").then_some(())
    })
    .await;
    // A changed file is a reload.
    std::fs::write(companion.folder().join("etcd.password"), "a-secret-word\n").unwrap();
    until("etcd holds this companion's votes", PATIENCE, async || {
        (verdict(&companion, "taiwan").await["votes"] == json!({"taiwan": true, "etcd": true})).then_some(())
    })
    .await;
    assert!(!companion.log().contains("-word"), "{}", companion.log());
}

/// Taiwan's edge calls Japan healthy or not: Taiwan's vote follows at once. How long until Japan hears it.
async fn heard_after(platform: &Platform, sequence: u64, healthy: bool) -> Duration {
    let region = |healthy: bool| json!({"healthy": healthy, "breaker": "closed", "share": 100});
    let post = json!({
        "edge": "edge-1", "sequence": sequence, "local_region": "taiwan", "config_hash": "abc",
        "prober_lost": false, "regions": {"taiwan": region(true), "japan": region(healthy)}, "transitions": []
    });
    let request = Request::post().path("/v1/edge-state").body(post.to_string().as_bytes());
    assert_eq!(request.send(platform.taiwan.public()).await.unwrap().status, 200);
    let began = Instant::now();
    let said: Value = serde_json::from_slice(&platform.taiwan.get("/v1/votes").await.body).unwrap();
    let vote = if healthy { "up" } else { "down" };
    assert_eq!(
        (&said["voter"], &said["checks"]),
        (&json!("taiwan"), &json!({"taiwan": "up", "japan": vote}))
    );
    until("the other hears the vote", EXCHANGE, async || {
        (verdict(&platform.japan, "japan").await["votes"]["taiwan"] == healthy).then_some(())
    })
    .await;
    began.elapsed()
}

async fn print_heard_after(platform: &Platform, how: &str) {
    let mut took = Vec::new();
    for turn in 0..20 {
        took.push(heard_after(platform, turn + 1, turn % 2 == 1).await);
    }
    took.sort();
    println!("{how}: a vote is heard after {:?} (median), {:?} (worst of 20)", took[10], took[19]);
}

#[tokio::test(flavor = "multi_thread")]
async fn edges_and_orders_reach_the_votes_and_the_shares_at_once() {
    let platform = Platform::start(Quorum::Witness).await;
    print_heard_after(&platform, "direct").await;
    heard_after(&platform, 100, false).await;
    assert!(whole(&platform.taiwan).await, "it is one vote of three");

    let began = Instant::now();
    assert!(platform.taiwan.command(&["drain", "taiwan", "--for", "10m"]).status.success());
    let share = async |companion: &Companion| verdict(companion, "taiwan").await["share"].clone();
    until("the own companion follows", PATIENCE, async || (share(&platform.taiwan).await == 0).then_some(()))
        .await;
    let own = began.elapsed();
    until("the other follows its own probe", PATIENCE, async || {
        (share(&platform.japan).await == 0).then_some(())
    })
    .await;
    println!(
        "a drain is followed by the own companion after {own:?}, by the other after {:?}",
        began.elapsed()
    );
    assert!(began.elapsed() < SEEN_DEAD);
    assert_eq!(verdict(&platform.japan, "taiwan").await["cause"], "drain");
    assert_eq!(verdict(&platform.japan, "taiwan").await["up"], true);
    assert!(platform.taiwan.command(&["undrain", "taiwan"]).status.success());
    for companion in [&platform.taiwan, &platform.japan] {
        until("taiwan is whole again", PATIENCE, async || (share(companion).await == 100).then_some(()))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_is_a_voter_and_nothing_else() {
    let mut platform = Platform::start(Quorum::Witness).await;
    let mut witness = platform.witness.take().expect("a witness");
    for (path, status) in [
        ("/actuator/health/liveness", 200),
        ("/v1/votes", 200),
        ("/metrics", 200),
        ("/actuator/health/readiness", 404),
        ("/v1/status", 404),
        ("/v1/drain", 404),
    ] {
        assert_eq!(witness.get(path).await.status, status, "{path}");
    }
    assert!(witness.metrics().await.contains("evenkeel_build_info{"));
    let more = json!({"dns": {"health_checks": [{"name": "mail", "tcp": platform.applications[0].address().to_string()}]}});
    witness.write("regions: 5");
    until("a bad file is told", PATIENCE, async || {
        witness.log().contains("the one before stays in force").then_some(())
    })
    .await;
    witness.write(&merged(witness.settings(), more).to_string());
    witness.signal(libc::SIGHUP);
    until("the new check is voted on", PATIENCE, async || {
        let said: Value = serde_json::from_slice(&witness.get("/v1/votes").await.body).ok()?;
        (said["voter"] == "witness" && said["checks"]["mail"] == "up").then_some(())
    })
    .await;
    witness.signal(libc::SIGTERM);
    assert!(witness.ended().await.success());
    assert!(witness.log().contains("stopped"));

    let plain = merged(witness.settings(), json!({"quorum": {"witness": null}}));
    witness.write(&plain.to_string());
    let refused = std::process::Command::new(evenkeel_tests::parts::evenkeel())
        .arg("run")
        .arg(witness.file())
        .arg("--witness")
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("quorum.witness: is missing") && said.lines().count() == 1, "{said}");
}
