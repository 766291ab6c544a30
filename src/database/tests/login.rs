//! Logging in to a real PostgreSQL, in every way that it may ask for.

mod support;

use evenkeel_config::database::NodeTls;
use evenkeel_database::router::login::{Link, LoginError, connect};
use evenkeel_database::router::tls::NodeSide;
use std::time::{Duration, Instant};
use support::{Certificate, Postgres, identity, query};
use tokio::net::TcpListener;

const HBA: &str = "\
    hostssl all clear_user all password\n\
    host all clear_plain all password\n\
    host all trusted all trust\n\
    host all hashed all md5\n\
    host all scrammed all scram-sha-256\n\
    hostssl all encrypted all scram-sha-256\n";

const TIMEOUT: Duration = Duration::from_secs(10);

async fn start(certificate: &Certificate) -> Postgres {
    let postgres = Postgres::start(HBA, "", Some(certificate)).await;
    for (user, encryption) in
        [("clear_user", "md5"), ("clear_plain", "md5"), ("trusted", "md5"), ("hashed", "md5")]
            .into_iter()
            .chain([("scrammed", "scram-sha-256"), ("encrypted", "scram-sha-256")])
    {
        // Backslash, quotes and a letter beyond ASCII, as people's passwords have them.
        postgres.sql(&format!(
            "set password_encryption = '{encryption}'; create role {user} login password 'pä\"ss\\word'"
        ));
    }
    postgres
}

const PASSWORD: Option<&str> = Some("pä\"ss\\word");

fn code(result: Result<Link, LoginError>) -> String {
    match result {
        Ok(_) => "in".to_owned(),
        Err(LoginError::Refused { code, message, raw }) => {
            assert!(!message.is_empty());
            assert_eq!(raw.first(), Some(&b'E'));
            code
        }
        Err(LoginError::Unreachable(why) | LoginError::Impossible(why)) => {
            assert!(why.starts_with("node a at 127.0.0.1:"), "{why}");
            assert!(!why.contains("word\""), "{why}");
            why
        }
    }
}

#[tokio::test]
async fn every_kind_of_log_in() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = Certificate::new();
    let [ca, ..] = certificate.write(folder.path());
    let postgres = start(&certificate).await;
    let node = postgres.node();
    let tls = NodeSide::load(&NodeTls { ca: Some(ca.clone()), server_name: None }).unwrap();

    for (user, password, encrypted, expected) in [
        ("trusted", None, false, "in"),
        ("trusted", PASSWORD, true, "in"),
        ("hashed", PASSWORD, false, "in"),
        ("hashed", Some("wrong"), false, "28P01"),
        ("hashed", None, false, "the credentials file has none for user hashed"),
        ("scrammed", PASSWORD, false, "in"),
        ("scrammed", PASSWORD, true, "in"),
        ("scrammed", Some("wrong"), true, "28P01"),
        ("scrammed", None, true, "the credentials file has none for user scrammed"),
        ("encrypted", PASSWORD, true, "in"),
        ("encrypted", PASSWORD, false, "28000"),
        ("clear_user", PASSWORD, true, "in"),
        ("clear_user", Some("wrong"), true, "28P01"),
        ("clear_plain", PASSWORD, false, "in clear over a connection without TLS"),
        ("nobody", PASSWORD, true, "28000"),
    ] {
        let identity = identity(user, password);
        let result = connect(&node, &identity, encrypted.then_some(&tls), TIMEOUT).await;
        let got = code(result);
        assert!(got.contains(expected), "{user} with {password:?}, TLS {encrypted}: {got}");
    }

    let mut link = connect(&node, &identity("scrammed", PASSWORD), Some(&tls), TIMEOUT).await.unwrap();
    assert!(link.stream.is_encrypted());
    assert!(link.stream.is_silent());
    let parameter = |name: &str| link.parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    assert_eq!(parameter("server_encoding").as_deref(), Some("UTF8"));
    assert_eq!(parameter("in_hot_standby").as_deref(), Some("off"));
    assert_eq!(query(&mut link, "select pg_backend_pid()").await.unwrap(), [link.key.0.to_string()]);
    assert_eq!(
        query(&mut link, "select ssl from pg_stat_ssl where pid = pg_backend_pid()").await.unwrap(),
        ["t"]
    );

    // A certificate that nobody we trust has made, or that names someone else, ends it.
    let other = tempfile::tempdir().unwrap();
    let [stranger, ..] = Certificate::new().write(other.path());
    for (ca, server_name) in [(stranger, None), (ca, Some("elsewhere.example.com".to_owned()))] {
        let tls = NodeSide::load(&NodeTls { ca: Some(ca), server_name }).unwrap();
        let got = code(connect(&node, &identity("trusted", None), Some(&tls), TIMEOUT).await);
        assert!(got.contains("TLS: ") && got.contains("certificate"), "{got}");
    }
}

#[tokio::test]
async fn a_node_that_is_not_there_or_says_nothing_or_nonsense() {
    let identity = identity("app", Some("secret"));
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let node = evenkeel_database::router::nodes::NodeAddress {
        index: 3,
        name: "a".to_owned(),
        address: format!("127.0.0.1:{port}").parse().unwrap(),
    };
    let begun = Instant::now();
    let got = code(connect(&node, &identity, None, Duration::from_millis(100)).await);
    assert!(got.contains("no log-in within 100ms"), "{got}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    drop(silent.accept().await.unwrap());

    for (answer, says) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "message"),
        (b"R\0\0\0\x08\0\0\0\x07", "kind 7"),
        (b"R\0\0\0\x04", "malformed"),
        (b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-1\0\0\0\0", "no SASL mechanism that is known"),
        (b"R\0\0\0\x0c\0\0\0\x0br=ab", "too early"),
        (b"R\0\0\0\x0c\0\0\0\x0cv=ab", "too early"),
        (b"R\0\x10\0\0", "1048577 bytes"),
        // A node that lets one in without proving that it knows the password.
        (b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0R\0\0\0\x08\0\0\0\0", "without proving"),
        (b"", "closed the connection"),
    ] {
        let serve = async {
            let (mut socket, _) = silent.accept().await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut socket, answer).await.unwrap();
            // Read to the end, so that the answer is not lost to a reset.
            tokio::io::AsyncWriteExt::shutdown(&mut socket).await.unwrap();
            let _ = tokio::io::copy(&mut socket, &mut tokio::io::sink()).await;
        };
        let (result, ()) =
            tokio::join!(async { code(connect(&node, &identity, None, TIMEOUT).await) }, serve);
        assert!(result.contains(says), "{}: {result}", String::from_utf8_lossy(answer));
    }

    drop(silent);
    let got = code(connect(&node, &identity, None, TIMEOUT).await);
    assert!(got.contains("refused"), "{got}");
}
