//! Clients at the door: honest ones of others' making, and hostile ones.

mod support;

use bytes::BytesMut;
use evenkeel_config::database::{NodeTls, ServerTls};
use evenkeel_database::router::accept::Acceptor;
use evenkeel_database::router::cancel::{Cancels, Registration};
use evenkeel_database::router::credentials::Credentials;
use evenkeel_database::router::lanes::Lanes;
use evenkeel_database::router::nodes::{Known, Nodes};
use evenkeel_database::router::startup::{Client, Entrance};
use evenkeel_database::router::tls::{ClientSide, NodeSide};
use evenkeel_database::router::wire::authentication::{PROTOCOL, SSL_REQUEST, put_startup};
use evenkeel_database::router::wire::{HEADER, backend, outline};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{Certificate, until};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_postgres::NoTls;
use tokio_postgres::config::{ChannelBinding, SslMode};

const SOON: Duration = Duration::from_secs(10);

const USERS: &str = "users:
- {name: app, password: 'sécret', login: {user: app_rw, password: inner}}
- {name: panics, password: x}
";

/// A listener whose sessions say that they are ready and then wait for the client to go.
struct Front {
    acceptor: Acceptor,
    entrance: Arc<Entrance>,
    cancels: Cancels,
    clients: Mutex<mpsc::UnboundedReceiver<Seen>>,
    folder: TempDir,
    certificate: Certificate,
}

/// What a session knows of its client.
#[derive(Debug)]
struct Seen {
    user: String,
    node_user: String,
    database: String,
    parameters: Vec<(String, String)>,
    encrypted: bool,
}

impl Front {
    fn start(max_clients: u32, tls: Option<bool>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certificate = Certificate::new();
        let [_, chain, key] = certificate.write(folder.path());
        let users = folder.path().join("users.yaml");
        std::fs::write(&users, USERS).unwrap();
        let side = |required| ClientSide::load(&ServerTls { certificate: chain, key, required }).unwrap();
        let cancels = Cancels::new(Nodes::new(Known::default()));
        let credentials = Credentials::load(&users).unwrap();
        let entrance = Arc::new(Entrance::new(credentials, tls.map(side), cancels.clone()));
        let (sender, clients) = mpsc::unbounded_channel();
        let keys = cancels.clone();
        let session = move |client: Client| session(client, keys.register(), sender.clone());
        let address = "127.0.0.1:0".parse().unwrap();
        let acceptor =
            Acceptor::start("auto", address, max_clients, entrance.clone(), Lanes::here(), session).unwrap();
        Front { acceptor, entrance, cancels, clients: Mutex::new(clients), folder, certificate }
    }

    fn address(&self) -> SocketAddr {
        self.acceptor.address()
    }

    fn config(&self, password: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.address().port()).user("app").password(password);
        config.dbname("shop").application_name("test").options("-c search_path=a\\ b");
        config
    }

    fn seen(&self) -> Seen {
        self.clients.lock().unwrap().try_recv().expect("a session began")
    }

    async fn raw(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.unwrap()
    }

    /// A connection that has said this.
    async fn said(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = self.raw().await;
        stream.write_all(bytes).await.unwrap();
        stream
    }
}

async fn session(mut client: Client, key: Registration, seen: mpsc::UnboundedSender<Seen>) {
    assert!(client.user != "panics", "as asked");
    let _ = seen.send(Seen {
        user: client.user,
        node_user: client.identity.user.clone(),
        database: client.identity.database.clone(),
        parameters: client.parameters,
        encrypted: client.stream.is_encrypted(),
    });
    let mut out = BytesMut::new();
    backend::put_parameter(&mut out, b"server_version", b"15.0");
    let (pid, secret) = key.key();
    backend::put_key(&mut out, pid, secret);
    backend::put_ready(&mut out, b'I');
    if client.stream.write_all(&out).await.is_ok() {
        let _ = tokio::io::copy(&mut client.stream, &mut tokio::io::sink()).await;
    }
}

fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut out = BytesMut::new();
    put_startup(&mut out, parameters);
    out.to_vec()
}

/// Reads to the end; gives the messages.
async fn messages(stream: &mut TcpStream) -> Vec<(u8, Vec<u8>)> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let mut messages = Vec::new();
    let mut rest = &bytes[..];
    while let Some(found) = outline(rest).unwrap() {
        messages.push((found.tag, rest[HEADER..found.len].to_vec()));
        rest = &rest[found.len..];
    }
    assert!(rest.is_empty());
    messages
}

/// Reads to the end; gives the SQLSTATE and text of the one error it must hold.
async fn error(stream: &mut TcpStream) -> (String, String) {
    let messages = messages(stream).await;
    let (tag, body) = messages.last().expect("an error");
    assert_eq!(*tag, backend::tag::ERROR);
    let field = |name| String::from_utf8_lossy(backend::report_field(body, name).unwrap()).into_owned();
    assert_eq!(field(b'S'), "FATAL");
    (field(b'C'), field(b'M'))
}

async fn refusal(config: &tokio_postgres::Config) -> (String, String) {
    let error = config.connect(NoTls).await.err().expect("refused");
    let error = error.as_db_error().unwrap_or_else(|| panic!("{error:?}"));
    (error.code().code().to_owned(), error.message().to_owned())
}

#[tokio::test]
async fn honest_clients_come_in_with_and_without_tls() {
    let front = Front::start(10, Some(false));
    let (client, connection) = front.config("sécret").connect(NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let seen = front.seen();
    assert_eq!(
        (seen.user.as_str(), seen.node_user.as_str(), seen.database.as_str()),
        ("app", "app_rw", "shop")
    );
    assert!(!seen.encrypted);
    let parameter = |name: &str| seen.parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    assert_eq!(parameter("search_path"), Some("a b"));
    assert_eq!(parameter("application_name"), Some("test"));
    assert_eq!(front.acceptor.clients(), 1);
    drop(client);
    connection.await.unwrap().unwrap();
    until("the place is free", SOON, async || (front.acceptor.clients() == 0).then_some(())).await;

    // tokio-postgres's own TLS: by SSLRequest, and at once. It knows of channel binding, and we do not
    // offer it.
    let [authority, ..] = front.certificate.write(front.folder.path());
    let mut roots = rustls::RootCertStore::empty();
    use rustls_pki_types::pem::PemObject;
    roots.add(rustls_pki_types::CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    for at_once in [false, true] {
        if at_once {
            tls.alpn_protocols = vec![b"postgresql".to_vec()];
        }
        let mut config = front.config("sécret");
        config.ssl_mode(SslMode::Require);
        if at_once {
            config.ssl_negotiation(tokio_postgres::config::SslNegotiation::Direct);
        }
        let connector = tokio_postgres_rustls::MakeRustlsConnect::new(tls.clone());
        let (_client, connection) = config.connect(connector.clone()).await.unwrap();
        let connection = tokio::spawn(connection);
        assert!(front.seen().encrypted);
        connection.abort();

        config.channel_binding(ChannelBinding::Require);
        assert!(config.connect(connector).await.is_err());
    }
}

#[tokio::test]
async fn wrong_passwords_and_unknown_users_are_told_the_same() {
    let front = Front::start(10, None);
    let mut config = front.config("wrong");
    let wrong = refusal(&config).await;
    assert_eq!(wrong, ("28P01".to_owned(), "password authentication failed for user \"app\"".to_owned()));
    config.user("nobody");
    let (code, message) = refusal(&config).await;
    assert_eq!((code.as_str(), message.replace("nobody", "app")), ("28P01", wrong.1));
    assert_eq!(front.entrance.refused(), 2);

    // New users take the old ones' place.
    front.entrance.replace(Credentials::default(), None);
    assert_eq!(refusal(&front.config("sécret")).await.0, "28P01");
}

#[tokio::test]
async fn a_listener_that_is_full_says_so_and_has_room_again() {
    let front = Front::start(2, None);
    let config = front.config("sécret");
    let (one, first) = config.connect(NoTls).await.unwrap();
    let (_two, second) = config.connect(NoTls).await.unwrap();
    let (first, second) = (tokio::spawn(first), tokio::spawn(second));
    let (code, message) = refusal(&config).await;
    assert_eq!(code, "53300");
    assert!(message.contains("listener auto takes 2"), "{message}");
    assert_eq!(front.acceptor.refused(), 1);
    front.acceptor.set_max_clients(3);
    let (_three, third) = config.connect(NoTls).await.unwrap();
    front.acceptor.set_max_clients(2);
    assert_eq!(refusal(&config).await.0, "53300");
    drop((one, third));
    first.await.unwrap().unwrap();
    until("one has gone", SOON, async || (front.acceptor.clients() == 1).then_some(())).await;
    drop(config.connect(NoTls).await.unwrap());
    second.abort();
}

#[tokio::test]
async fn what_strangers_say_is_answered_with_a_code_or_not_at_all() {
    let front = Front::start(10, None);
    let long = [&(9_999_u32).to_be_bytes()[..], &PROTOCOL.to_be_bytes(), &[b'x'; 9_991]].concat();
    let with = |name, value| startup(&[("user", "app"), (name, value)]);
    for (bytes, code, says) in [
        (b"GET / HTTP/1.1\r\nHost: db\r\n\r\n".to_vec(), "08P01", "length"),
        (vec![0, 0, 0, 7, 0, 3, 0, 0], "08P01", "length"),
        (vec![0xff; 20_000], "08P01", "length"),
        (long, "08P01", "layout"),
        (startup(&[]), "28000", "no PostgreSQL user name"),
        (startup(&[("database", "shop")]), "28000", "no PostgreSQL user name"),
        (vec![0, 0, 0, 8, 0, 2, 0, 0], "0A000", "unsupported frontend protocol 2.0"),
        (with("replication", "database"), "0A000", "replication"),
        (with("options", "-B 5"), "42601", "-B"),
    ] {
        let mut stream = front.said(&bytes).await;
        let (got, message) = error(&mut stream).await;
        assert_eq!(got, code, "{message}");
        assert!(message.contains(says), "{message}");
    }
    assert_eq!(front.entrance.refused(), 9);
    // Nothing is said to who leaves, or cancels what is not there.
    let cancel = evenkeel_database::router::wire::authentication::cancel_request((1, 2));
    let mut stream = front.said(&cancel).await;
    assert!(messages(&mut stream).await.is_empty());
    assert_eq!(front.cancels.unknown(), 1);

    // A newer protocol is talked down to 3.0, with what is not known by name.
    let mut newer = with("_pq_.shiny", "on");
    newer[6..8].copy_from_slice(&2_u16.to_be_bytes());
    let mut stream = front.said(&newer).await;
    stream.write_all(b"Q\0\0\0\x05\0").await.unwrap();
    let told = messages(&mut stream).await;
    assert_eq!(told[0], (b'v', b"\0\x03\0\0\0\0\0\x01_pq_.shiny\0".to_vec()));
    assert_eq!(told[1], (b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0".to_vec()));
    assert_eq!(backend::error_code(&told[2].1), Some(*b"08P01"));

    // SASL messages: too long, of another mechanism, malformed.
    let initial = |mechanism: &str, response: &[u8]| {
        let mut out = BytesMut::from(&startup(&[("user", "app")])[..]);
        evenkeel_database::router::wire::authentication::put_sasl_initial(&mut out, mechanism, response);
        out.to_vec()
    };
    for (bytes, code, says) in [
        (initial("SCRAM-SHA-256", &[b'x'; 1024]), "08P01", "at most 1024"),
        (initial("SCRAM-SHA-256-PLUS", b"p=tls-server-end-point,,n=,r=a"), "08P01", "not offered"),
        (initial("SCRAM-SHA-256", b"p=tls-server-end-point,,n=,r=a"), "0A000", "channel binding"),
        (initial("SCRAM-SHA-256", b"garbage"), "08P01", "malformed SCRAM"),
        (initial("SCRAM-SHA-256", b""), "08P01", "malformed SCRAM"),
    ] {
        let mut stream = front.said(&bytes).await;
        let (got, message) = error(&mut stream).await;
        assert_eq!(got, code, "{message}");
        assert!(message.contains(says), "{message}");
    }
}

#[tokio::test]
async fn encryption_is_asked_for_once_and_nothing_slips_in_before_it() {
    const GSS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 48];
    let plain = Front::start(10, None);
    let mut stream = plain.said(&[GSS_REQUEST, SSL_REQUEST].concat()).await;
    let mut answers = [0; 2];
    stream.read_exact(&mut answers).await.unwrap();
    assert_eq!(&answers, b"NN");
    stream.write_all(&SSL_REQUEST).await.unwrap();
    assert_eq!(error(&mut stream).await.0, "08P01");
    // TLS at once, where there is none: closed without a word, which a TLS client would not understand.
    let mut stream = plain.said(&[0x16, 3, 1, 0, 5]).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty(), "{answer:?}");

    let front = Front::start(10, Some(true));
    let mut stream = front.said(&startup(&[("user", "app")])).await;
    let (code, message) = error(&mut stream).await;
    assert_eq!(code, "28000");
    assert!(message.contains("without TLS"), "{message}");
    // A start-up packet behind the request for TLS, as an intruder would put it: it is taken for a
    // TLS handshake, fails as one, and is never read as a start-up packet.
    let mut stream = front.said(&[&SSL_REQUEST[..], &startup(&[("user", "app")])].concat()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!(answer.first(), Some(&b'S'));
    assert!(!String::from_utf8_lossy(&answer).contains("SCRAM"));

    // Ours, as a client of nodes, stops at a node that says no.
    let [authority, ..] = front.certificate.write(front.folder.path());
    let side = NodeSide::load(&NodeTls { ca: Some(authority), server_name: None }).unwrap();
    let node = evenkeel_database::router::nodes::NodeAddress {
        index: 0,
        name: "a".to_owned(),
        address: plain.address().to_string().parse().unwrap(),
    };
    let error = evenkeel_database::router::login::open(&node, Some(&side)).await.unwrap_err();
    assert!(error.to_string().contains("offers no TLS"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_mutes_and_a_crowd_of_guessers_do_not_keep_a_good_client_out() {
    // Both ends of 2,000 connections are this process's: more files than many systems allow by default.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let front = Arc::new(Front::start(10, None));
    let half = startup(&[("user", "app"), ("database", "shop")]);
    let mut held = Vec::new();
    for number in 0..2_000_usize {
        // Some say nothing, some stop within the length, the packet, or the log-in.
        let said = [0, 3, 12, half.len()][number % 4];
        held.push(front.said(&half[..said]).await);
    }
    until("all are taken in", SOON, async || (front.acceptor.starting() == 2_000).then_some(())).await;

    let guessed = Arc::new(AtomicUsize::new(0));
    let mut guessers = JoinSet::new();
    for _ in 0..4 {
        let (front, guessed) = (front.clone(), guessed.clone());
        guessers.spawn(async move {
            loop {
                assert_eq!(refusal(&front.config("guess")).await.0, "28P01");
                guessed.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    // One that panics in its session harms itself alone.
    let mut panics = front.config("x");
    panics.user("panics");
    assert!(panics.connect(NoTls).await.is_err());

    let begun = Instant::now();
    let mut good = 0;
    while good < 20 || guessed.load(Ordering::Relaxed) < 20 {
        let (client, connection) =
            front.config("sécret").connect(NoTls).await.expect("a good client comes in");
        drop(client);
        connection.await.unwrap();
        good += 1;
        assert!(begun.elapsed() < Duration::from_secs(30), "{good} clients, {guessed:?} guesses");
    }
    guessers.shutdown().await;

    // The mutes are shown the door after 10 s, from their first byte.
    until("the mutes are gone", Duration::from_secs(20), async || {
        (front.acceptor.starting() == 0).then_some(())
    })
    .await;
    for stream in &mut held {
        let mut rest = Vec::new();
        // The end, or a reset where it had said more than was read.
        let _ = stream.read_to_end(&mut rest).await;
    }
    assert_eq!(front.acceptor.evicted(), 0);
}

#[tokio::test]
async fn a_stop_ends_listening_and_start_ups_but_no_session() {
    let front = Front::start(10, None);
    let (_client, connection) = front.config("sécret").connect(NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut mute = front.raw().await;
    until("the mute is taken in", SOON, async || (front.acceptor.starting() == 1).then_some(())).await;
    tokio::time::timeout(SOON, front.acceptor.stop()).await.expect("it stops");
    assert!(messages(&mut mute).await.is_empty());
    let refused = TcpStream::connect(front.address()).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(front.acceptor.clients(), 1);
    connection.abort();
    until("the session ends with its client", SOON, async || (front.acceptor.clients() == 0).then_some(()))
        .await;
}
