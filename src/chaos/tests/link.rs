//! The link with real sockets.

use evenkeel_chaos::link::{self, Condition};
use evenkeel_policy::time::Millis;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Ports that were free a moment ago.
fn free() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An echo behind a link.
async fn scene(round_trip: &str) -> (link::Link, u16) {
    let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let far = echo.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = echo.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    let (near, admin) = (free(), free());
    let file = serde_json::json!({
        "admin": format!("127.0.0.1:{admin}"),
        "condition": {"round_trip": round_trip},
        "routes": [{"listen": format!("127.0.0.1:{near}"), "to": far.to_string()}]
    });
    let file: link::File = serde_json::from_value(file).unwrap();
    (link::start(&file).await.unwrap(), near)
}

async fn asked(stream: &mut TcpStream) -> Duration {
    let begun = Instant::now();
    stream.write_all(b"ping").await.unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"ping");
    begun.elapsed()
}

#[tokio::test]
async fn an_answer_takes_a_round_trip_and_a_cut_holds_it_until_it_is_healed() {
    let (link, near) = scene("60ms").await;
    let mut stream = TcpStream::connect(("127.0.0.1", near)).await.unwrap();
    asked(&mut stream).await;
    let took = asked(&mut stream).await;
    assert!((Duration::from_millis(60)..Duration::from_millis(400)).contains(&took), "{took:?}");

    link.set(Condition { cut: true, ..link.condition() });
    let cut = tokio::time::timeout(Duration::from_millis(500), asked(&mut stream)).await;
    assert!(cut.is_err(), "an answer came through a cut link");
    link.set(Condition { cut: false, round_trip: Millis::new(0), ..link.condition() });
    let mut late = [0; 4];
    tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut late))
        .await
        .expect("healed")
        .unwrap();
    assert_eq!(&late, b"ping");
}

#[tokio::test]
async fn the_end_travels_behind_the_last_byte() {
    let (_link, near) = scene("20ms").await;
    let mut stream = TcpStream::connect(("127.0.0.1", near)).await.unwrap();
    let sent = vec![7; 3_000_000];
    let (mut from, mut to) = stream.split();
    let (sending, receiving) = tokio::join!(
        async {
            to.write_all(&sent).await.unwrap();
            to.shutdown().await
        },
        async {
            let mut received = Vec::new();
            from.read_to_end(&mut received).await.unwrap();
            received
        }
    );
    sending.unwrap();
    assert!(receiving == sent, "{} of {} bytes came back", receiving.len(), sent.len());
}
