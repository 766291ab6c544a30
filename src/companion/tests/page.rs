//! The status page in a real Chromium: with and without JavaScript, wide and on a phone's width.
//!
//! Needs a Chromium: `scripts/test.sh` brings one. `EVENKEEL_PICTURES=DIR` keeps the pictures.

mod scene;

use evenkeel_companion::database::Database;
use evenkeel_companion::edges::{Breaker, RegionState};
use evenkeel_policy::database::{Role, Writer};
use evenkeel_policy::time::Millis;
use scene::Scene;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::process::Command;

fn chromium() -> PathBuf {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let usual =
        ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].map(PathBuf::from);
    let found = named.into_iter().chain(usual).find(|path| path.is_file());
    found.expect("missing: Chromium. Get it with: apt-get install chromium, or name one in CHROMIUM")
}

async fn browse(chromium: &PathBuf, arguments: &[&str], url: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let child = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(arguments)
        .arg(url)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(60), child).await.expect("Chromium ends").unwrap();
    assert!(output.status.success(), "{arguments:?}: {:?}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

async fn until(what: &str, mut look: impl FnMut() -> bool) {
    let began = Instant::now();
    while !look() {
        assert!(began.elapsed() < Duration::from_secs(10), "not within 10s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Two o'clock in the morning: Japan is gone, its node with it, and the lag grows.
async fn night() -> Scene {
    let scene = Scene::begin(
        "components: {cache_for: 100ms, redis: {url: \"redis://127.0.0.1:1/\"}}\n\
        quorum: {witness: {address: \"127.0.0.1:1\"}}\n\
        dns:\n  zone: example.com\n  nameservers: [{name: ns1.example.net}]\n\
        \x20 health_checks:\n  - {name: orders, url: \"http://127.0.0.1:1/health\", threshold: 1}\n\
        \x20 - {name: most, calculated: {of: [taiwan, japan, orders], at_least: 2}}\n\
        \x20 records:\n  - name: api\n    policy: weighted\n    members:\n\
        \x20   - {region: taiwan, a: [192.0.2.1]}\n    - {region: japan, a: [192.0.2.2]}\n",
    )
    .await;
    let whole = RegionState { healthy: true, breaker: Breaker::Closed, share: 100 };
    scene
        .world
        .edges
        .take(scene.post("edge-taiwan-1", whole, Vec::new()), evenkeel_companion::clock::now())
        .unwrap();
    for step in 0..220_u64 {
        scene.database.change(|view| {
            view.nodes[1].lag = Some(Millis::new(if step % 40 < 6 { 900 } else { 20 + step % 7 * 3 }));
            view.nodes[2].lag = (step < 180).then(|| Millis::new(250 + (step * step) / 9));
        });
        scene.world.history.sample_lag(&scene.database.view());
    }
    scene.database.change(|view| {
        view.nodes[2].reachable = false;
        view.nodes[2].error = Some("connection refused".to_owned());
    });
    let (japan, transitions) = scene::dead();
    let mut post = scene.post("edge-taiwan-1", japan, transitions);
    post.sequence += 1;
    scene.world.edges.take(post.clone(), evenkeel_companion::clock::now()).unwrap();
    scene.world.history.transitions(&post.edge, post.transitions);
    scene.world.news.notify_one();
    until("the failover is an alert", || {
        scene.world.status().alerts.iter().any(|alert| alert.summary.contains("japan"))
    })
    .await;
    until("the check was asked", || {
        scene.world.status().checks.iter().any(|check| check.name == "orders" && check.error.is_some())
    })
    .await;
    until("redis was checked", || scene.world.status().readiness.components["redis"].error.is_some()).await;
    scene
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_night_can_be_read_with_and_without_javascript() {
    let chromium = chromium();
    let scene = night().await;
    let url = format!("http://{}/", scene.admin);
    let expected = [
        "critical problem",
        "failover: region japan gets no traffic",
        "breaker_open",
        "redis",
        "connection refused",
        "tw-a, timeline 3",
        "1 of 2 votes are heard, 2 settle something",
        "cannot connect",
    ];
    // A sandboxed document is one without JavaScript (Chromium's own tools need it switched on).
    let without = format!("http://{}/without-javascript", scene.admin);
    let static_page = browse(&chromium, &["--dump-dom"], &without).await;
    for part in expected {
        assert!(static_page.contains(part), "without JavaScript: no {part:?}");
    }
    assert!(static_page.contains("as of 20"), "the time is told");

    // With JavaScript the page follows what happens while it is open.
    let pictures = std::env::var_os("EVENKEEL_PICTURES").map(PathBuf::from);
    if let Some(folder) = &pictures {
        std::fs::create_dir_all(folder).unwrap();
        for (name, size, more) in [
            ("night-light.png", "1200,1750", None),
            ("night-dark.png", "1200,1750", Some("--blink-settings=preferredColorScheme=0")),
            ("night-phone.png", "500,2600", None),
        ] {
            let (picture, size) =
                (format!("--screenshot={}", folder.join(name).display()), format!("--window-size={size}"));
            let arguments: Vec<&str> = [picture.as_str(), size.as_str()].into_iter().chain(more).collect();
            let url = if name.contains("phone") { format!("{url}framed?390") } else { url.clone() };
            browse(&chromium, &arguments, &url).await;
        }
    }
    let before = scene.renewed.load(Ordering::Relaxed);
    let live = tokio::spawn({
        let (chromium, url) = (chromium.clone(), url.clone());
        async move { browse(&chromium, &["--dump-dom", "--virtual-time-budget=30000"], &url).await }
    });
    until("the page renews itself", || scene.renewed.load(Ordering::Relaxed) > before).await;
    scene.database.change(|view| {
        view.writer = Writer::Conflict { nodes: (0, 2), timeline: 3 };
        view.generation += 1;
        view.nodes[2].reachable = true;
        view.nodes[2].role = Some(Role::Writer);
    });
    let live = live.await.unwrap();
    assert!(live.contains("Two database nodes claim to be the writer"), "{live}");
    assert!(live.contains(">live, 20"), "the page says that it is live");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_wider_than_a_phone() {
    let chromium = chromium();
    let scene = night().await;
    for width in ["320", "360", "390", "700", "1280"] {
        let url = format!("http://{}/framed?{width}", scene.admin);
        let page = browse(&chromium, &["--dump-dom", "--window-size=1400,4000"], &url).await;
        assert!(page.contains(&format!("data-width=\"{width}\"")), "the frame is {width} wide: {page}");
        assert!(page.contains("data-overflow=\"no\""), "on {width}: something is wider");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_calm_day_says_so_first() {
    let scene = Scene::begin("").await;
    let whole = RegionState { healthy: true, breaker: Breaker::Closed, share: 100 };
    scene
        .world
        .edges
        .take(scene.post("edge-taiwan-1", whole, Vec::new()), evenkeel_companion::clock::now())
        .unwrap();
    until("readiness was checked", || {
        scene.world.status().readiness.status == evenkeel_companion::readiness::Status::Up
    })
    .await;
    let page = evenkeel_companion::page::whole(&scene.world.status()).into_string();
    let main = page.split("<main>").nth(1).unwrap();
    assert!(main.find("All is well").unwrap() < main.find("Regions").unwrap());
    for landmark in
        ["<header>", "<main>", "<footer>", "lang=\"en\"", "scope=\"col\"", "scope=\"row\"", "<caption>"]
    {
        assert!(page.contains(landmark), "no {landmark}");
    }
    assert!(!page.contains(" style=") && !page.contains("<script>"), "nothing inline: the policy forbids it");
    if let Some(folder) = std::env::var_os("EVENKEEL_PICTURES") {
        let chromium = chromium();
        let picture = format!("--screenshot={}", PathBuf::from(folder).join("calm.png").display());
        browse(&chromium, &[&picture, "--window-size=1200,1400"], &format!("http://{}/", scene.admin)).await;
    }
}
