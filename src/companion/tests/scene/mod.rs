//! A companion with a database that says what a test wants, and edges that say what a test wants.

#![allow(dead_code, reason = "each test program uses a part of it")]

use axum::extract::Request;
use axum::middleware::Next;
use axum::routing::get;
use evenkeel_companion::database::{Database, Figures, ListenerFigures, NodeFigures, PoolFigures};
use evenkeel_companion::edges::{Breaker, EdgeState, RegionState, Transition};
use evenkeel_companion::settings::Settings;
use evenkeel_companion::{World, admin, clock, monitor, public, serve};
use evenkeel_policy::database::{Lsn, NodeView, Role, View, Writer};
use evenkeel_policy::time::{Millis, Time};
use evenkeel_policy::words::{Cause, Kind, Phase};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// The admin token in every scene.
pub const TOKEN: &str = "a token of many letters";

/// A database that says what it is told to.
#[derive(Debug)]
pub struct Told {
    view: watch::Sender<Arc<View>>,
    figures: Mutex<Figures>,
}

impl Told {
    /// Three nodes: a writer in Taiwan, replicas in Taiwan and Japan.
    pub fn three() -> Arc<Self> {
        let now = clock::now();
        let node = |role: Role, lag: Option<u64>| NodeView {
            reachable: true,
            role: Some(role),
            timeline: Some(3),
            lsn: Some(Lsn(0x5000_0000)),
            lag_bytes: lag.map(|lag| lag * 64),
            lag: lag.map(Millis::new),
            sampled_at: Some(now),
            since: now,
            error: None,
            drained: false,
        };
        let view = View {
            nodes: vec![
                node(Role::Writer, None),
                node(Role::Replica, Some(20)),
                node(Role::Replica, Some(850)),
            ],
            writer: Writer::Known { node: 0, timeline: 3 },
            generation: 1,
            highest_timeline: 3,
            writer_since: now,
        };
        let figures = Figures {
            nodes: vec![
                NodeFigures {
                    connections: Some(42),
                    max_connections: Some(100),
                    active_sessions: Some(5),
                    wait_events: vec![("Lock".to_owned(), 2), ("IO".to_owned(), 1)],
                    slow_statements: Some(1),
                    slowest_mean_ms: Some(1840.0),
                },
                NodeFigures { connections: Some(85), max_connections: Some(100), ..NodeFigures::default() },
                NodeFigures::default(),
            ],
            listeners: ["writer", "reader", "auto"]
                .map(|name| ListenerFigures {
                    name: name.to_owned(),
                    sessions: vec![("active".to_owned(), 4), ("idle".to_owned(), 31), ("held".to_owned(), 0)],
                    refused: 0,
                })
                .to_vec(),
            pools: vec![PoolFigures { node: "tw-a".to_owned(), in_use: 4, idle: 5, waiting: 0 }],
            ..Figures::default()
        };
        Arc::new(Told { view: watch::Sender::new(Arc::new(view)), figures: Mutex::new(figures) })
    }

    /// Says something else from now on.
    pub fn change(&self, change: impl FnOnce(&mut View)) {
        self.view.send_modify(|view| change(Arc::make_mut(view)));
    }

    /// Counts something else from now on.
    pub fn count(&self, change: impl FnOnce(&mut Figures)) {
        change(&mut self.figures.lock().unwrap());
    }
}

impl Database for Told {
    fn now(&self) -> Time {
        clock::now()
    }
    fn view(&self) -> Arc<View> {
        let mut view = View::clone(&self.view.borrow());
        // Whoever is reachable was heard just now.
        for node in view.nodes.iter_mut().filter(|node| node.reachable) {
            node.sampled_at = Some(clock::now());
        }
        Arc::new(view)
    }
    fn changes(&self) -> watch::Receiver<Arc<View>> {
        self.view.subscribe()
    }
    fn figures(&self) -> Figures {
        self.figures.lock().unwrap().clone()
    }
    fn drain(&self, node: usize, drained: bool) {
        self.change(|view| view.nodes[node].drained = drained);
    }
    fn pause(&self, paused: bool) {
        self.count(|figures| figures.paused = paused);
    }
    fn reload(&self, _: &Settings) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }
    fn stop(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

/// A companion that serves.
pub struct Scene {
    pub world: Arc<World>,
    pub database: Arc<Told>,
    pub admin: SocketAddr,
    pub public: SocketAddr,
    _folder: tempfile::TempDir,
    /// How often a page renewed its main part.
    pub renewed: Arc<AtomicU64>,
    _stop: watch::Sender<bool>,
}

impl Scene {
    /// Taiwan's companion, with more of the topology file.
    pub async fn begin(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("evenkeel.yaml");
        std::fs::write(folder.path().join("token"), TOKEN).unwrap();
        let base = "service: shop\nlocal_region: taiwan\nregions:\n\
            - {name: taiwan, countries: [TW], companion: {address: \"10.0.0.2:9902\"}}\n\
            - {name: japan, countries: [JP]}\n\
            companion: {address: \"127.0.0.1:9902\", token_file: token, data_dir: data}\n\
            database:\n  login: {user: evenkeel}\n  nodes:\n\
            \x20 - {name: tw-a, region: taiwan, address: \"10.0.0.5:5432\"}\n\
            \x20 - {name: tw-b, region: taiwan, address: \"10.0.0.6:5432\"}\n\
            \x20 - {name: jp-a, region: japan, address: \"10.1.0.5:5432\"}\n";
        std::fs::write(&file, format!("{base}{more}")).unwrap();
        let settings = Settings::load(&file, None).unwrap();
        let database = Told::three();
        let world = Arc::new(World::new(&file, settings, Some(database.clone()), None).unwrap());
        let (stop, stopped) = watch::channel(false);
        let listener = || async { TcpListener::bind("127.0.0.1:0").await.unwrap() };
        let (operators, everyone) = (listener().await, listener().await);
        let (admin_at, public_at) = (operators.local_addr().unwrap(), everyone.local_addr().unwrap());
        let renewed = Arc::new(AtomicU64::new(0));
        let count = renewed.clone();
        let counted = axum::middleware::from_fn(move |request: Request, next: Next| {
            if request.uri().path() == "/main" {
                count.fetch_add(1, Ordering::Relaxed);
            }
            next.run(request)
        });
        let with_probe = admin::router(world.clone()).merge(probe(world.clone())).layer(counted);
        tokio::spawn(serve::serve(operators, with_probe, stopped.clone()));
        tokio::spawn(serve::serve(everyone, public::router(world.clone()), stopped));
        let (rounds, checked) = watch::channel(None);
        tokio::spawn(monitor::check(world.clone(), rounds));
        tokio::spawn(monitor::watch(world.clone(), checked));
        if let Some(oracle) = &world.oracle {
            tokio::spawn(monitor::vote(world.clone(), oracle.clone()));
        }
        Scene { world, database, admin: admin_at, public: public_at, _folder: folder, renewed, _stop: stop }
    }

    /// A post of an edge that sees Taiwan whole and Japan as it is told.
    pub fn post(&self, edge: &str, japan: RegionState, transitions: Vec<Transition>) -> EdgeState {
        let whole = RegionState { healthy: true, breaker: Breaker::Closed, share: 100 };
        EdgeState {
            edge: edge.to_owned(),
            sequence: clock::unix_ms(),
            local_region: Some("taiwan".to_owned()),
            config_hash: self.world.settings().plan.hash.clone(),
            prober_lost: false,
            regions: BTreeMap::from([("taiwan".to_owned(), whole), ("japan".to_owned(), japan)]),
            transitions,
        }
    }
}

/// Japan out by its breaker.
pub fn dead() -> (RegionState, Vec<Transition>) {
    let state = RegionState { healthy: false, breaker: Breaker::Open, share: 0 };
    let transition =
        |kind, from, to, cause| Transition { region: Some("japan".to_owned()), kind, from, to, cause };
    let transitions = vec![
        transition(Kind::Breaker, Phase::Closed, Phase::Open, Some(Cause::BreakerOpen)),
        transition(Kind::Failback, Phase::Full, Phase::Out, Some(Cause::BreakerOpen)),
        transition(Kind::Health, Phase::Healthy, Phase::Unhealthy, Some(Cause::Unhealthy)),
    ];
    (state, transitions)
}

/// The page without JavaScript at `/without-javascript`, and in a frame as wide as a phone at
/// `/framed?WIDTH`: Chromium's own window is never narrower than 500. The frame's script writes down
/// whether something in it is wider than it is.
fn probe(world: Arc<World>) -> axum::Router {
    const FRAMED: &str = "<!doctype html><body style='margin:0'><script>
        const frame = document.createElement('iframe');
        frame.width = location.search.slice(1);
        frame.height = 4000;
        frame.style.border = 0;
        frame.src = '/inner';
        frame.onload = () => {
            const inner = frame.contentDocument.documentElement;
            document.body.dataset.width = inner.clientWidth;
            document.body.dataset.overflow = inner.scrollWidth > inner.clientWidth ? 'yes' : 'no';
        };
        document.body.append(frame);
        </script>";
    let page = move || evenkeel_companion::page::whole(&world.status()).into_string();
    let inner = page.clone();
    let html = |text: String| axum::response::Html(text);
    axum::Router::new()
        .route("/framed", get(move || std::future::ready(html(FRAMED.to_owned()))))
        .route("/inner", get(move || std::future::ready(html(inner()))))
        .route(
            "/without-javascript",
            get(move || std::future::ready(([("content-security-policy", "sandbox")], html(page())))),
        )
}
