//! Dashboards and rules: every metric that they name stands on a page of a live edge or companion.

use evenkeel_tests::dns::Question;
use evenkeel_tests::port::Port;
use evenkeel_tests::postgres::{Cluster, ClusterOptions, PASSWORD, WATCHER};
use evenkeel_tests::{Companion, Edge, Etcd, Region, Topology, until};
use promql_parser::label::MatchOp;
use promql_parser::parser::{Expr, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// What Prometheus itself and node_exporter write.
const OTHERS: [&str; 2] = ["up", "node_cpu_seconds_total"];

fn observability() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../observability")
}

fn dashboards() -> Vec<(String, Value)> {
    let folder = std::fs::read_dir(observability().join("dashboards")).expect("the dashboards");
    let found: Vec<_> = folder
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let text = std::fs::read_to_string(&path).expect("a dashboard");
            (path.display().to_string(), serde_json::from_str(&text).expect("JSON"))
        })
        .collect();
    assert_eq!(found.len(), 3);
    found
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("a list {key}: {value}"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("a text {key}: {value}"))
}

/// Where each expression stands, and the expression; names that rules record apart.
fn expressions() -> (Vec<(String, String)>, BTreeSet<String>) {
    let (mut found, mut recorded) = (Vec::new(), BTreeSet::new());
    for (name, dashboard) in dashboards() {
        for panel in list(&dashboard, "panels") {
            for target in list(panel, "targets") {
                found.push((format!("{name}: {}", text(panel, "title")), text(target, "expr").to_owned()));
            }
        }
    }
    let rules = std::fs::read_to_string(observability().join("rules.yaml")).expect("the rules");
    let rules: Value = serde_saphyr::from_str(&rules).expect("YAML");
    for rule in list(&rules, "groups").iter().flat_map(|group| list(group, "rules")) {
        if let Some(name) = rule["record"].as_str() {
            recorded.insert(name.to_owned());
        }
        found.push(("rules.yaml".to_owned(), text(rule, "expr").to_owned()));
    }
    assert!(found.len() > 60, "{}", found.len());
    (found, recorded)
}

#[derive(Default)]
struct Selectors(Vec<VectorSelector>);

impl ExprVisitor for Selectors {
    type Error = String;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, String> {
        match expr {
            Expr::VectorSelector(selector) => self.0.push(selector.clone()),
            Expr::MatrixSelector(selector) => self.0.push(selector.vs.clone()),
            _ => {}
        }
        Ok(true)
    }
}

fn selectors(place: &str, expression: &str) -> Vec<VectorSelector> {
    let plain = expression.replace("$__rate_interval", "5m");
    let parsed =
        promql_parser::parser::parse(&plain).unwrap_or_else(|error| panic!("{place}: {expression}: {error}"));
    let mut selectors = Selectors::default();
    walk_expr(&mut selectors, &parsed).expect("nothing here fails");
    assert!(!selectors.0.is_empty(), "{place}: {expression} asks for nothing");
    selectors.0
}

/// What a selector asks for and no line of the pages has.
fn missing(selector: &VectorSelector, pages: &str) -> Option<String> {
    let name = selector.name.as_deref().unwrap_or_default();
    let wanted: Vec<String> = selector
        .matchers
        .matchers
        .iter()
        // These come with the scrape.
        .filter(|matcher| {
            !["job", "instance"].contains(&matcher.name.as_str()) && matcher.op == MatchOp::Equal
        })
        .map(|matcher| format!("{}=\"{}\"", matcher.name, matcher.value))
        .collect();
    let found = pages.lines().any(|line| {
        let labels = line.strip_prefix(name);
        labels.is_some_and(|labels| {
            labels.starts_with(['{', ' ']) && wanted.iter().all(|label| labels.contains(label))
        })
    });
    (!found).then(|| format!("{name} {wanted:?}"))
}

#[test]
fn dashboards_follow_the_conventions() {
    let mut uids = BTreeSet::new();
    for (name, dashboard) in dashboards() {
        assert_eq!(dashboard["id"], Value::Null, "{name}");
        assert_eq!(dashboard["editable"], false, "{name}");
        let uid = text(&dashboard, "uid");
        assert!((8..=40).contains(&uid.len()) && uids.insert(uid.to_owned()), "{name}: {uid}");
        let variables = list(&dashboard["templating"], "list");
        let sources: Vec<_> = variables.iter().filter(|variable| variable["type"] == "datasource").collect();
        assert_eq!(sources.len(), 1, "{name}");
        assert_eq!(
            (text(sources[0], "name"), text(sources[0], "label")),
            ("datasource", "Data Source"),
            "{name}"
        );
        assert!(variables.iter().any(|variable| variable["name"] == "instance"), "{name}");
        let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
        for panel in list(&dashboard, "panels") {
            let title = text(panel, "title");
            assert!(text(panel, "description").ends_with('.'), "{name}: {title}");
            assert!(!text(&panel["fieldConfig"]["defaults"], "unit").is_empty(), "{name}: {title}");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{name}: {title}");
            let grid = &panel["gridPos"];
            assert!(grid["x"].as_u64().unwrap() + grid["w"].as_u64().unwrap() <= 24, "{name}: {title}");
            assert!(places.insert((grid["x"].as_u64(), grid["y"].as_u64())), "{name}: {title}");
            assert!(ids.insert(panel["id"].as_u64()), "{name}: {title}");
            for target in list(panel, "targets") {
                let expression = text(target, "expr");
                for selector in selectors(&name, expression) {
                    for label in ["job", "instance"] {
                        let matched = selector.matchers.matchers.iter().any(|matcher| matcher.name == label);
                        assert!(matched, "{name}: {title}: {expression} matches no {label}");
                    }
                }
                assert!(
                    !expression.contains("rate(") || expression.contains("[$__rate_interval]"),
                    "{expression}"
                );
            }
        }
    }
}

#[test]
fn what_is_not_on_a_page_is_noticed() {
    let page = "evenkeel_votes{voter=\"taiwan\"} 1\n";
    let of =
        |expression: &str| selectors("here", expression).iter().filter_map(|one| missing(one, page)).count();
    assert_eq!(of("sum(rate(evenkeel_votes{job=\"x\"}[$__rate_interval]))"), 0);
    assert_eq!(of("evenkeel_vote"), 1);
    assert_eq!(of("evenkeel_votes_total"), 1);
    assert_eq!(of("evenkeel_votes{voter=\"japan\"}"), 1);
    assert_eq!(of("evenkeel_votes + evenkeel_gone"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_stands_on_a_live_page() {
    let (expressions, recorded) = expressions();
    let cluster = database().await;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let secure = Etcd::start(Some((&made.cert.pem(), &made.signing_key.serialize_pem()))).await;
    let (taiwan, japan) = (Region::start("taiwan"), Region::start("japan"));
    let (listener, dns) = (Port::free(), Port::free_for_dns());
    let companion = companion(&cluster, &listener, &dns, &secure, &taiwan).await;

    // An edge that tells this companion its state, and has failed over.
    let public = json!({"address": companion.public().to_string()});
    let edge = Edge::start(&Topology::of(&[&taiwan, &japan]).with(json!({"companion": public}))).await;
    let edge = edge.probed(&["taiwan", "japan"]).await;
    taiwan.kill();
    edge.until_serves("TW", "japan", PATIENCE).await;

    // A client that writes and then waits, and one of DNS.
    let mut config = tokio_postgres::Config::new();
    let address = listener.address();
    config.host("127.0.0.1").port(address.port()).user("app").password(PASSWORD).dbname("app");
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.expect("a session");
    tokio::spawn(connection);
    let waits = tokio::spawn(async move { client.batch_execute("SELECT pg_sleep(60)").await });
    Question::new("api.example.com", "A").ask(dns.address()).await.expect("an answer");

    let asked: Vec<(&str, VectorSelector)> = expressions
        .iter()
        .flat_map(|(place, expression)| {
            selectors(place, expression).into_iter().map(move |selector| (place.as_str(), selector))
        })
        .filter(|(_, selector)| {
            let name = selector.name.as_deref().unwrap_or_default();
            !OTHERS.contains(&name) && !recorded.contains(name)
        })
        .collect();
    let begun = Instant::now();
    until("every metric is on a page", PATIENCE * 2, async || {
        let pages = edge.admin("/stats/prometheus").await + "\n" + &companion.metrics().await;
        let lacking: BTreeSet<String> = asked
            .iter()
            .filter_map(|(place, one)| Some(format!("{place}: {}", missing(one, &pages)?)))
            .collect();
        assert!(begun.elapsed() < PATIENCE || lacking.is_empty(), "on no page: {lacking:#?}");
        lacking.is_empty().then_some(())
    })
    .await;
    waits.abort();
}

/// A writer and a replica that tell of their statements.
async fn database() -> Cluster {
    let preload = vec![("shared_preload_libraries".to_owned(), "pg_stat_statements".to_owned())];
    let options = ClusterOptions { standbys: 1, settings: preload, ..ClusterOptions::default() };
    let cluster = Cluster::start(options).await;
    cluster.node(0).sql("CREATE EXTENSION pg_stat_statements").await;
    cluster
}

/// A companion with all that it can have: nodes, a listener, DNS, a check by TLS, another region's companion,
/// a component.
async fn companion(
    cluster: &Cluster,
    listener: &Port,
    dns: &Port,
    secure: &Etcd,
    taiwan: &Region,
) -> Companion {
    let folder = Companion::prepare();
    std::fs::write(
        folder.path().join("clients.yaml"),
        format!("users: [{{name: app, password: {PASSWORD}}}]\n"),
    )
    .expect("the clients");
    let silent = Port::free();
    let nodes = cluster.nodes().iter().zip(["taiwan", "japan"]).map(
        |(node, region)| json!({"name": node.name(), "region": region, "address": node.address().to_string()}),
    );
    let settings = json!({
        "regions": [
            {"name": "taiwan", "address": taiwan.address().to_string(), "dns": {"a": ["192.0.2.10"]}},
            {
                "name": "japan",
                "address": taiwan.address().to_string(),
                "dns": {"a": ["198.51.100.10"]},
                "companion": {"address": silent.address().to_string()},
            },
        ],
        "components": {"application": {"url": format!("http://{}/", taiwan.address())}},
        "database": {
            "login": {"user": WATCHER},
            "nodes": nodes.collect::<Vec<_>>(),
            "credentials": "clients.yaml",
            "listeners": [{"name": "writer", "listen": listener.address().to_string(), "mode": "writer"}],
        },
        "dns": {
            "zone": "example.com",
            "listen": [dns.address().to_string()],
            "nameservers": [{"name": "ns1.example.net"}],
            "health_checks": [{"name": "secure", "url": format!("{}/health", secure.url()), "interval": "1s"}],
            "records": [{"name": "api", "policy": "weighted"}],
        },
    });
    let companion = Companion::start_in(folder, settings).await;
    until("the writer is known", PATIENCE, async || {
        (companion.metric("evenkeel_db_writers").await == Some(1.0)).then_some(())
    })
    .await;
    companion
}
