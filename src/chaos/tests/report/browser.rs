//! The pages in a real Chromium: on a desk and on a phone, light and dark, and on paper.
//!
//! Needs a Chromium: `scripts/test.sh` brings one. `EVENKEEL_PICTURES=DIR` keeps pictures, pages and PDFs.

use crate::{fixture, pages};
use evenkeel_chaos::report::page;
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Inside A4's margins, in pixels of 1/96 inch: 184 mm wide, 269 mm high.
const PAPER: (u32, f64) = (695, 1016.0);

const DARK: &str = "--blink-settings=preferredColorScheme=0";

fn chromium() -> PathBuf {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let usual =
        ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].map(PathBuf::from);
    let found = named.into_iter().chain(usual).find(|path| path.is_file());
    found.expect("missing: Chromium. Get it with: apt-get install chromium, or name one in CHROMIUM")
}

/// Opens a file; what the browser prints and what it logs.
fn browse(arguments: &[&str], file: &Path) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let (out, log) = (folder.path().join("out"), folder.path().join("log"));
    let mut child = Command::new(chromium())
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"])
        .args(["--disable-background-networking", "--enable-logging=stderr", "--no-pdf-header-footer"])
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .args(arguments)
        .arg(format!("file://{}", file.display()))
        .stdin(Stdio::null())
        .stdout(fs::File::create(&out).unwrap())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > Duration::from_secs(300) {
            child.kill().ok();
            panic!("Chromium does not end: {arguments:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(status.success(), "{arguments:?}: {status:?}");
    let text = |path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    (text(&out), text(&log))
}

/// What a page looks like at a width.
#[derive(Debug, Deserialize)]
struct Look {
    /// In pixels.
    width: u32,
    /// Of the whole page.
    height: f64,
    /// Something is wider than the page.
    overflow: bool,
    /// Texts that can be seen.
    texts: usize,
    /// Texts with too little contrast to what is behind them.
    pale: Vec<String>,
    /// Texts of pictures that stand beyond their picture.
    cut: Vec<String>,
    /// Texts of pictures that stand on each other.
    crossed: Vec<String>,
    /// The heights of figures.
    figures: Vec<f64>,
    /// The colour behind the whole page.
    ground: String,
}

/// Pages, each in a frame of a width, and a script that writes down how a frame looks once it is loaded.
/// The frames lie on each other: each sees only what is its own.
fn harness(frames: &[(&str, u32)]) -> String {
    let frames: String = frames
        .iter()
        .map(|(page, width)| {
            let page = page.replace('&', "&amp;").replace('"', "&quot;");
            format!(
                "<iframe width={width} height=16000 style='border:0;position:absolute;left:0;top:0' \
                 onload='look(this)' srcdoc=\"{page}\"></iframe>"
            )
        })
        .collect();
    format!(
        "<!doctype html><html style='color-scheme: light dark'><body style='margin:0'>\
         <script>{}</script>{frames}",
        include_str!("look.js")
    )
}

/// How pages look at widths. One browser for all of them: its start takes longer than a look.
fn looks(frames: &[(&str, u32)], more: &[&str]) -> Vec<Look> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("harness.html");
    fs::write(&file, harness(frames)).unwrap();
    let arguments: Vec<&str> =
        ["--dump-dom", "--window-size=1400,16000"].into_iter().chain(more.iter().copied()).collect();
    let (dom, _) = browse(&arguments, &file);
    let looks: Vec<Look> = dom
        .split("data-look=\"")
        .skip(1)
        .map(|rest| {
            let json = rest.split('"').next().unwrap();
            let json =
                json.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
            serde_json::from_str(&json).unwrap()
        })
        .collect();
    assert_eq!(looks.len(), frames.len(), "every frame was looked at");
    looks
}

fn look(page: &str, width: u32) -> Look {
    looks(&[(page, width)], &[]).remove(0)
}

/// All pages by name.
fn all() -> Vec<(&'static str, String)> {
    vec![
        ("region", page(&fixture::region_failure())),
        ("database", page(&fixture::database_failure())),
        ("missed", page(&fixture::missed())),
        ("hostile", page(&fixture::hostile())),
        ("bare", page(&fixture::bare())),
        ("index", pages::index()),
    ]
}

/// Keeps what people should look at, where asked.
fn keep(name: &str, page: &str) {
    let Some(folder) = std::env::var_os("EVENKEEL_PICTURES").map(PathBuf::from) else { return };
    fs::create_dir_all(&folder).unwrap();
    let folder = folder.canonicalize().unwrap();
    let html = folder.join(format!("{name}.html"));
    fs::write(&html, page).unwrap();
    let narrow = folder.join(format!("{name}-narrow.html"));
    fs::write(&narrow, harness(&[(page, 390)])).unwrap();
    let shots =
        [("light", &html, 1280, None), ("dark", &html, 1280, Some(DARK)), ("phone", &narrow, 390, None)];
    for (look_name, file, width, more) in shots {
        let height = look(page, width).height.ceil();
        let shot = format!("--screenshot={}", folder.join(format!("{name}-{look_name}.png")).display());
        let size = format!("--window-size={},{height}", width.max(500));
        let arguments: Vec<&str> = [shot.as_str(), size.as_str()].into_iter().chain(more).collect();
        browse(&arguments, file);
    }
    fs::remove_file(narrow).unwrap();
}

#[test]
fn pages_fit_a_desk_and_a_phone_and_can_be_read_in_light_and_dark() {
    let pages = all();
    for (name, page) in &pages {
        keep(name, page);
    }
    let frames: Vec<(&str, u32)> =
        pages.iter().flat_map(|(_, page)| [(page.as_str(), 1280), (page.as_str(), 390)]).collect();
    for (more, ground) in [(&[][..], "rgb(244, 246, 247)"), (&[DARK][..], "rgb(16, 22, 26)")] {
        for (number, look) in looks(&frames, more).into_iter().enumerate() {
            let (name, width) = (pages[number / 2].0, frames[number].1);
            let context = format!("{name} at {width} {more:?}: {look:#?}");
            assert_eq!((look.width, look.ground.as_str()), (width, ground), "{context}");
            assert!(look.texts > 40, "{context}");
            assert!(!look.overflow, "{context}");
            assert!(look.pale.is_empty(), "{context}");
            assert!(look.cut.is_empty(), "{context}");
            assert!(look.crossed.is_empty(), "{context}");
        }
    }
}

/// What the checks above are worth: each of them finds what is wrong.
#[test]
fn the_browser_finds_what_is_wrong() {
    let wrong = "<!doctype html><body style='background: #fff'><p style='color: #aaa'>pale</p>\
        <div style='width: 3000px'>wide</div>\
        <svg width=100 height=60><text x=90 y=20>cut off</text><text x=2 y=50>one</text><text x=4 y=50>two</text></svg>";
    // In the frame that it is in: neither of its neighbours, whom it overlaps, is wrong.
    let good = pages::index();
    let [before, look, after] =
        looks(&[(&good, 1280), (wrong, 390), (&good, 390)], &[]).try_into().expect("three");
    assert!(look.overflow);
    assert_eq!(look.pale, ["pale"]);
    assert_eq!(look.cut, ["cut off"]);
    assert_eq!(look.crossed, ["one / two"]);
    for look in [before, after] {
        assert!(!look.overflow && look.texts > 40, "{look:#?}");
        assert!(look.pale.is_empty() && look.cut.is_empty() && look.crossed.is_empty(), "{look:#?}");
    }
}

/// What Chromium's console says.
fn console(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("CONSOLE")).collect()
}

#[test]
fn pages_ask_nobody_for_anything_and_log_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let outside = format!("http://{}/picture.png", listener.local_addr().unwrap());
    for (name, page) in all() {
        fs::write(&file, &page).unwrap();
        let (dom, log) = browse(&["--dump-dom"], &file);
        assert!(dom.contains("</html>"));
        assert!(console(&log).is_empty(), "{name}: {log}");
        for address in ["src=\"", "url(", "@import", "<script", "<link rel=\"stylesheet\"", "<iframe"] {
            assert!(!page.contains(address), "{name}: {address}");
        }
    }
    // Were there an address all the same, the page's own policy would stop it, and the console tell. Each
    // in a frame, whose file the console names.
    let picture = format!("<main><img src=\"{outside}\"><script>alert(1)</script>");
    let mut frames = String::from("<!doctype html><body>");
    for (name, page) in all() {
        fs::write(folder.path().join(format!("{name}.html")), page.replacen("<main>", &picture, 1)).unwrap();
        frames += &format!("<iframe src='{name}.html'></iframe>");
    }
    let file = folder.path().join("frames.html");
    fs::write(&file, frames).unwrap();
    let (_, log) = browse(&["--dump-dom"], &file);
    for (name, _) in all() {
        let own = format!("/{name}.html ");
        let told = console(&log).into_iter().filter(|line| line.contains(&own)).count();
        assert!(told >= 2, "{name}: {log}");
    }
    let asked = listener.accept().map(|(_, from)| from);
    assert!(asked.is_err(), "somebody asked: {asked:?}");
}

#[test]
fn on_paper_the_verdict_comes_first_and_no_picture_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let (file, pdf) = (folder.path().join("page.html"), folder.path().join("page.pdf"));
    let pages = all();
    // Paper has its own style: the same pages with that style on a screen of paper's width.
    let papers: Vec<String> = pages
        .iter()
        .map(|(_, page)| {
            page.replace("@media print", "@media all").replace("@media screen and", "@media not all and")
        })
        .collect();
    let frames: Vec<(&str, u32)> = papers.iter().map(|paper| (paper.as_str(), PAPER.0)).collect();
    for ((name, page), look) in pages.into_iter().zip(looks(&frames, &[])) {
        fs::write(&file, &page).unwrap();
        browse(&[&format!("--print-to-pdf={}", pdf.display())], &file);
        if let Some(kept) = std::env::var_os("EVENKEEL_PICTURES") {
            fs::create_dir_all(&kept).unwrap();
            fs::copy(&pdf, Path::new(&kept).join(format!("{name}.pdf"))).unwrap();
        }
        let document = lopdf::Document::load(&pdf).unwrap();
        let sheets: Vec<String> = document
            .get_pages()
            .keys()
            .map(|number| {
                document.extract_text(&[*number]).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
            })
            .collect();
        assert!((1..=12).contains(&sheets.len()), "{name}: {} sheets", sheets.len());
        let first = match name {
            "index" => vec!["5 of 6 runs passed"],
            "bare" => vec!["Not run", "Recovery time"],
            "missed" => vec!["Missed", "Recovery time", "Data loss", "Error rate", "Promised"],
            _ => vec!["Recovery time", "Data loss", "Error rate", "Promised"],
        };
        for part in first {
            assert!(sheets[0].contains(part), "{name}: no {part:?} on the first sheet: {}", sheets[0]);
        }
        assert!(!look.overflow, "{name}: {look:#?}");
        assert!(look.cut.is_empty() && look.crossed.is_empty() && look.pale.is_empty(), "{name}: {look:#?}");
        assert!(
            page.contains("figure, tr, .verdict") && page.contains("break-inside: avoid"),
            "what fits is not cut"
        );
        for height in &look.figures {
            assert!(*height < PAPER.1, "{name}: a picture of {height} does not fit a sheet of {}", PAPER.1);
        }
    }
}
