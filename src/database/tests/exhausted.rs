//! A process without a file left. In a program of its own: the limit is the whole process's.

mod support;

use evenkeel_database::router::accept::Acceptor;
use evenkeel_database::router::cancel::Cancels;
use evenkeel_database::router::credentials::Credentials;
use evenkeel_database::router::lanes::Lanes;
use evenkeel_database::router::nodes::{Known, Nodes};
use evenkeel_database::router::startup::Entrance;
use evenkeel_database::router::wire::authentication::put_startup;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;
use support::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_listener_waits_for_files_and_goes_on() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(256), ..limit }).unwrap();
    let cancels = Cancels::new(Nodes::new(Known::default()));
    let entrance = Arc::new(Entrance::new(Credentials::default(), None, cancels));
    let address = "127.0.0.1:0".parse().unwrap();
    let acceptor =
        Acceptor::start("auto", address, 10, entrance, Lanes::here(), |_| std::future::ready(())).unwrap();

    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    // One file for our end of a connection, none for theirs.
    files.pop();
    let mut client = TcpStream::connect(acceptor.address()).await.unwrap();
    until("the listener pauses more than once", SOON, async || (acceptor.not_accepted() > 2).then_some(()))
        .await;
    assert!(acceptor.not_accepted() < 10, "it does not spin");
    drop(files);

    let mut packet = bytes::BytesMut::new();
    put_startup(&mut packet, &[("user", "app")]);
    client.write_all(&packet).await.unwrap();
    let mut answer = [0];
    tokio::time::timeout(SOON, client.read_exact(&mut answer)).await.expect("it goes on").unwrap();
    assert_eq!(&answer, b"R");
}
