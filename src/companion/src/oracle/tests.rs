//! Voters over real sockets, and what strangers answer.

use super::*;
use crate::settings::Secrets;
use evenkeel_config::Plan;
use std::net::SocketAddr;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn setup_at(region: Option<&str>, japan: SocketAddr, witness: SocketAddr) -> Setup {
    let text = format!(
        r#"service: shop
regions:
- {{name: taiwan, dns: {{a: [192.0.2.1]}}, companion: {{address: "127.0.0.1:1"}}}}
- {{name: japan, dns: {{a: [192.0.2.2]}}, companion: {{address: "{japan}"}}}}
companion: {{address: "127.0.0.1:1"}}
dns:
  zone: example.com
  nameservers: [{{name: ns1.example.net}}]
  records: [{{name: api, policy: weighted}}]
quorum: {{witness: {{address: "{witness}"}}}}
"#
    );
    let plan = match Plan::read(text.as_bytes(), Path::new("."), region) {
        Ok(plan) => plan,
        Err(problems) => panic!("{problems}"),
    };
    let mut files = Vec::new();
    let mut secrets = Secrets { folder: Path::new("."), files: &mut files };
    Setup::read(&plan, region, &mut secrets).unwrap().unwrap()
}

/// Answers every request with what `answer` says then.
async fn voter(answer: watch::Receiver<String>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while let Ok(byte) = stream.read_u8().await {
                    head.push(byte);
                    if head.ends_with(b"\r\n\r\n") {
                        head.clear();
                        let body = answer.borrow().clone();
                        let length = body.len();
                        let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
                        if stream.write_all(text.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    address
}

fn says(voter: &str, sequence: u64, japan: &str) -> String {
    format!(r#"{{"voter":"{voter}","config":"abc","sequence":{sequence},"checks":{{"japan":"{japan}"}}}}"#)
}

async fn until(what: &str, oracle: &Oracle, mut holds: impl FnMut(&Oracle) -> bool) {
    let began = Instant::now();
    while !holds(oracle) {
        assert!(began.elapsed() < Duration::from_secs(10), "not within 10s: {what}: {oracle:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn heard(oracle: &Oracle, name: &str) -> (bool, String) {
    let votes = oracle.votes();
    let voter = votes.voters.into_iter().find(|voter| voter.name == name).unwrap();
    (voter.heard, voter.error.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_say_settles_within_a_round_and_a_standing_is_published_at_once() {
    let (japan, japan_says) = watch::channel(says("japan", 1, "up"));
    let (witness, witness_says) = watch::channel(says("witness", 1, "up"));
    let (japan_at, witness_at) = (voter(japan_says).await, voter(witness_says).await);
    let oracle = Oracle::new(setup_at(Some("taiwan"), japan_at, witness_at));
    assert_eq!(oracle.standing(), Standing { shares: vec![100, 100], fresh: false });
    let mut changes = oracle.changes();
    oracle.start();
    until("both are heard", &oracle, |oracle| oracle.votes().in_force == 3).await;
    let flipped = Instant::now();
    japan.send_replace(says("japan", 2, "down"));
    witness.send_replace(says("witness", 2, "down"));
    tokio::time::timeout(Duration::from_secs(5), changes.wait_for(|standing| standing.shares[1] == 0))
        .await
        .expect("japan is out")
        .unwrap();
    let took = flipped.elapsed();
    println!("votes of others: settled and published after {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(oracle.standing().fresh);
    let checks = oracle.checks();
    assert_eq!((checks[1].up, checks[1].healthy_percent), (false, Some(0.0)));
    oracle.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_rubbish_are_no_votes() {
    let (japan, japan_says) = watch::channel(says("mars", 1, "down"));
    let (witness, witness_says) = watch::channel("{".to_owned());
    let (japan_at, witness_at) = (voter(japan_says).await, voter(witness_says).await);
    let oracle = Oracle::new(setup_at(Some("taiwan"), japan_at, witness_at));
    oracle.start();
    let told = |name: &'static str, part: &'static str| {
        move |oracle: &Oracle| {
            let (heard, error) = heard(oracle, name);
            !heard && error.contains(part)
        }
    };
    until("a wrong name is told", &oracle, told("japan", "those of \"mars\", not japan's")).await;
    until("rubbish is told", &oracle, told("witness", "no votes")).await;
    witness.send_replace(" ".repeat(300_000));
    until("a long answer is told", &oracle, told("witness", "longer than 262144 bytes")).await;
    assert_eq!(oracle.votes().in_force, 1);
    assert_eq!(oracle.standing().shares, [100, 100]);
    // Both may come to their senses.
    japan.send_replace(says("japan", 1, "up"));
    witness.send_replace(says("witness", 1, "up"));
    until("both are heard", &oracle, |oracle| oracle.votes().in_force == 3).await;
    assert_eq!(heard(&oracle, "japan"), (true, String::new()));
    oracle.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_asks_where_the_new_settings_say() {
    let (_japan, japan_says) = watch::channel(says("japan", 1, "up"));
    let (_witness, witness_says) = watch::channel(says("witness", 1, "up"));
    let (japan_at, witness_at) = (voter(japan_says).await, voter(witness_says).await);
    let nowhere: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let oracle = Oracle::new(setup_at(Some("taiwan"), nowhere, witness_at));
    oracle.start();
    until("only the witness is heard", &oracle, |oracle| heard(oracle, "witness").0).await;
    until("the other refuses", &oracle, |oracle| heard(oracle, "japan").1.contains("cannot connect")).await;
    oracle.reload(setup_at(Some("taiwan"), japan_at, witness_at));
    until("both are heard", &oracle, |oracle| oracle.votes().in_force == 3).await;
    oracle.stop();
}
