//! Who comes in, and how.

use crate::session::{NODE, config, said};
use crate::{Options, Session, Setup};
use serde_json::json;
use std::sync::Arc;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_a_user_that_does_not_exist_are_told_the_same() {
    let setup = Setup::start(Options { standbys: 0, ..Options::default() }).await;
    let mut told = Vec::new();
    for (user, password) in
        [("app", "wrong"), ("nobody", "wrong"), ("nobody", evenkeel_tests::postgres::PASSWORD)]
    {
        let mut config = config(setup.address("auto"));
        config.user(user).password(password);
        let error = Session::with(&config).await.err().expect("it is not let in");
        let (code, message) = said(&error);
        assert_eq!(code, "28P01", "{user}");
        told.push(message.replace(user, "USER"));
    }
    println!("{}", told[0]);
    assert!(told.iter().all(|message| *message == told[0]), "{told:?}");
    let log = setup.companion.log();
    assert!(!log.contains("wrong") && !log.contains(evenkeel_tests::postgres::PASSWORD), "{log}");
    // A database that does not exist is the node's to refuse, in its own words.
    let mut config = config(setup.address("auto"));
    config.dbname("none");
    assert_eq!(said(&Session::with(&config).await.err().unwrap()).0, "3D000");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_encrypted_on_both_sides() {
    let setup = Setup::start(Options {
        node_tls: true,
        database: json!({"server_tls": {"certificate": "tls.crt", "key": "tls.key", "required": true}}),
        ..Options::default()
    })
    .await;
    let refused = Session::open(setup.address("auto")).await.err().expect("TLS is required");
    println!("{}", said(&refused).1);
    assert_eq!(said(&refused).0, "28000");

    let pem = std::fs::read(setup.companion.folder().join("tls.crt")).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // The certificate is for a name.
    let mut by_name = tokio_postgres::Config::new();
    by_name
        .host("localhost")
        .hostaddr("127.0.0.1".parse().unwrap())
        .port(setup.address("auto").port())
        .user("app")
        .password(evenkeel_tests::postgres::PASSWORD)
        .dbname("app")
        .ssl_mode(SslMode::Require);
    let (client, connection) =
        by_name.connect(MakeRustlsConnect::new(tls)).await.expect("a session under TLS");
    tokio::spawn(connection);
    let ssl = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert!(client.query_one(ssl, &[]).await.unwrap().get::<_, bool>(0), "the node's side is encrypted");
    let node = client.query_one(NODE, &[]).await.unwrap();
    assert_eq!(node.get::<_, &str>(0), "node1", "and reads go near");
    // Large answers and large questions too.
    let text = "t".repeat(3_000_000);
    let row = client.query_one("SELECT $1 || current_setting('cluster_name')", &[&text]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0).len(), 3_000_005);
}
