//! DNS with real parts: rivals that answer the same zone, a caching resolver, the tools that ask.

use evenkeel_tests::dns::{Gdnsd, Question, Reply, Scene};
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::NamedTempFile;

mod evenkeel;
mod load;
#[path = "../../src/dns/tests/support/mmdb.rs"]
mod mmdb;
mod resolver;
mod rivals;

const SOON: Duration = Duration::from_secs(15);

const TAIWAN: &str = "192.0.2.10";
const JAPAN: &str = "198.51.100.10";

/// Where clients are, by the database of [`places`]; the last one nobody knows.
const IN_TAIWAN: &str = "203.0.113.0/24";
const IN_JAPAN: &str = "100.64.7.0/24";
const IN_FRANCE: &str = "100.65.0.0/24";
const ANYWHERE: &str = "100.99.0.0/24";

/// A MaxMind database; it is gone with its owner.
fn places() -> NamedTempFile {
    let file = tempfile::Builder::new().suffix(".mmdb").tempfile().expect("a file");
    mmdb::write(
        file.path(),
        &[(IN_TAIWAN, "AS", "TW", "TPE"), ("100.64.0.0/16", "AS", "JP", ""), (IN_FRANCE, "EU", "FR", "")],
    );
    file
}

async fn gdnsd(scene: &Scene) -> Gdnsd {
    Gdnsd::start(scene, places().path()).await
}

/// Asks for an A record as a client of this network.
async fn ask(server: SocketAddr, name: &str, network: &str) -> Reply {
    Question::new(name, "A").from(network).ask(server).await.expect("an answer")
}

/// How many of so many questions are answered by this address.
async fn share_of(address: &str, server: SocketAddr, name: &str, network: &str, questions: usize) -> usize {
    let mut found = 0;
    for _ in 0..questions {
        found += usize::from(ask(server, name, network).await.data("A") == [address]);
    }
    found
}
