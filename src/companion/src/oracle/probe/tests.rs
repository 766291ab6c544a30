//! Probes of real sockets (R24, R25).

use super::*;
use crate::oracle::tls::{Tls, server_name, unverified, verified};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SHORT: Duration = Duration::from_millis(300);

/// Answers each connection with these bytes, then keeps it open for ever.
async fn server(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = answer.into();
    tokio::spawn(async move {
        let mut kept: Vec<TcpStream> = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            if !answer.is_empty() {
                read_head(&mut stream).await;
                stream.write_all(&answer).await.unwrap();
            }
            kept.push(stream);
        }
    });
    address
}

async fn read_head(stream: &mut (impl AsyncReadExt + Unpin)) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
}

fn question(to: SocketAddr) -> Question {
    Question {
        to: Endpoint { address: to.to_string().parse().unwrap(), tls: None },
        get: Some(Get {
            authority: "shop".to_owned(),
            path: "/health".to_owned(),
            headers: HeaderMap::new(),
            redirects: true,
            search: None,
        }),
        limits: Limits::Stages(SHORT, SHORT),
    }
}

fn searching(to: SocketAddr, search: &str) -> Question {
    let mut question = question(to);
    question.get.as_mut().unwrap().search = Some(search.to_owned());
    question
}

fn answer(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

async fn error_of(question: &Question) -> String {
    question.ask().await.error.unwrap_or_default()
}

#[tokio::test]
async fn r24_2xx_and_3xx_are_healthy_and_a_regions_readiness_takes_2xx_alone() {
    for (status, healthy, ready) in [
        (200, true, true),
        (204, true, true),
        (299, true, true),
        (301, true, false),
        (399, true, false),
        (404, false, false),
        (503, false, false),
    ] {
        let mut question = question(server(answer(status, "")).await);
        let measured = question.ask().await;
        assert_eq!(measured.error.is_none(), healthy, "{status}: {measured:?}");
        assert!(measured.connect.is_some() && measured.first_byte.is_some() && measured.tls.is_none());
        question.get.as_mut().unwrap().redirects = false;
        assert_eq!(question.ask().await.error.is_none(), ready, "{status}");
    }
}

#[tokio::test]
async fn r24_each_stage_has_its_own_limit_and_its_own_words() {
    let silent = question(server("").await);
    assert_eq!(error_of(&silent).await, "no answer within 300ms");
    let mut tls = silent.clone();
    tls.to.tls = Some(Tls { config: unverified().unwrap(), name: server_name("shop").unwrap() });
    assert_eq!(error_of(&tls).await, "no connection within 300ms");
    let measured = tls.ask().await;
    assert_eq!((measured.first_byte, measured.drain), (None, None), "nothing was answered");
    let mut whole = silent;
    whole.limits = Limits::Whole(SHORT);
    assert_eq!(error_of(&whole).await, "no answer within 300ms");
    let garbage = question(server("SSH-2.0-nonsense\r\n\r\n").await);
    assert!(error_of(&garbage).await.contains("the connection broke"));
}

#[tokio::test]
async fn r24_a_tcp_check_needs_a_connection_alone() {
    let mut question = question(server("").await);
    question.get = None;
    let measured = question.ask().await;
    assert!(measured.error.is_none() && measured.connect.is_some(), "{measured:?}");
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    question.to.address = closed.to_string().parse().unwrap();
    assert!(error_of(&question).await.contains("refused"));
    question.to.address = "no-such-host.invalid:80".parse().unwrap();
    question.limits = Limits::Stages(Duration::from_secs(5), SHORT);
    assert!(error_of(&question).await.contains("cannot be looked up"));
}

#[tokio::test]
async fn r25_the_text_lies_wholly_in_the_first_5120_bytes_with_its_case() {
    let body = |before: usize| answer(200, &format!("{}all is Well{}", "x".repeat(before), "y".repeat(9000)));
    let well = "all is Well".len();
    for (before, search, healthy) in [
        (0, "all is Well", true),
        (0, "all is well", false),
        (5120 - well, "all is Well", true),
        (5120 - well + 1, "all is Well", false),
        (5120 - well + 1, "all is Wel", true),
        (6000, "all is Well", false),
    ] {
        let error = searching(server(body(before)).await, search).ask().await.error;
        assert_eq!(error.is_none(), healthy, "{before} {search}: {error:?}");
    }
    let elsewhere = searching(server(answer(503, "all is Well")).await, "all is Well");
    assert!(error_of(&elsewhere).await.contains("503"), "the status counts too");
}

#[tokio::test]
async fn r25_the_body_has_two_seconds_after_the_status() {
    let partial = "HTTP/1.1 200 x\r\ncontent-length: 100\r\n\r\nall is";
    let address = server(partial).await;
    assert!(searching(address, "all is").ask().await.error.is_none(), "found before the end");
    let began = Instant::now();
    assert_eq!(error_of(&searching(address, "all is Well")).await, "no whole body within 2s");
    let took = began.elapsed();
    assert!(took >= BODY_WITHIN && took < BODY_WITHIN + Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn r24_certificates_are_verified_for_regions_and_for_nobody_else() {
    let certified = rcgen::generate_simple_self_signed(vec!["shop.example.com".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let authorities = folder.path().join("ca.pem");
    std::fs::write(&authorities, certified.cert.pem()).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            read_head(&mut stream).await;
            stream.write_all(answer(200, "").as_bytes()).await.unwrap();
        }
    });
    let asked = async |config, name: &str| {
        let mut question = question(address);
        question.limits = Limits::Whole(Duration::from_secs(5));
        question.to.tls = Some(Tls { config, name: server_name(name).unwrap() });
        question.ask().await
    };
    let trusting = verified(&authorities).unwrap();
    let measured = asked(trusting.clone(), "shop.example.com").await;
    assert!(measured.error.is_none() && measured.tls.is_some(), "{measured:?}");
    let error = asked(trusting, "other.example.com").await.error.unwrap();
    assert!(error.contains("no TLS"), "{error}");
    assert!(asked(unverified().unwrap(), "other.example.com").await.error.is_none());
    assert!(verified(&folder.path().join("none")).unwrap_err().contains("cannot be read"));
    std::fs::write(&authorities, "nothing").unwrap();
    assert!(verified(&authorities).unwrap_err().contains("no certificate"));
}

#[tokio::test]
async fn an_answer_announces_a_drain_and_none_announces_nothing() {
    let drained =
        |value: &str| format!("HTTP/1.1 200 x\r\nx-evenkeel-drain: {value}\r\ncontent-length: 0\r\n\r\n");
    for (value, drain) in
        [("600s", Some(Millis::from_secs(600))), ("9d", Some(LONGEST_DRAIN)), ("soon", None)]
    {
        assert_eq!(question(server(drained(value)).await).ask().await.drain, Some(drain), "{value}");
    }
    assert_eq!(question(server(answer(200, "")).await).ask().await.drain, Some(None));
}
