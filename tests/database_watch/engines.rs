//! Aurora, emulated, and Patroni, real.

use super::*;

/// Aurora's status functions as SQL functions, told by a table which instance writes.
const AURORA: &str = "
CREATE TABLE instances (server_id text PRIMARY KEY, aws_region text, writes bool, storage_lag int, own_lag int);
INSERT INTO instances VALUES ('node0', 'ap-east-2', true, -1, NULL), ('node1', 'ap-northeast-1', false, 70, 30);
GRANT SELECT ON instances TO PUBLIC;
CREATE FUNCTION aurora_db_instance_identifier() RETURNS text LANGUAGE sql AS
  $$ SELECT current_setting('cluster_name') $$;
CREATE FUNCTION aurora_replica_status() RETURNS TABLE (server_id text, session_id text, durable_lsn bigint,
    highest_lsn_rcvd bigint, current_read_lsn bigint, replica_lag_in_msec float8) LANGUAGE sql AS
  $$ SELECT server_id, CASE WHEN writes THEN 'MASTER_SESSION_ID' ELSE md5(server_id) END, at, at, at, own_lag
       FROM instances,
            (SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END
                      - '0/0')::bigint AS at) AS position $$;";

const AURORA_GLOBAL: &str = "
CREATE FUNCTION aurora_global_db_instance_status() RETURNS TABLE (server_id text, session_id text,
    aws_region text, visibility_lag_in_msec float8) LANGUAGE sql AS
  $$ SELECT server_id, CASE WHEN writes THEN 'MASTER_SESSION_ID' ELSE md5(server_id) END, aws_region, own_lag
       FROM instances $$;
CREATE FUNCTION aurora_global_db_status() RETURNS TABLE (aws_region text, durability_lag_in_msec float8)
  LANGUAGE sql AS $$ SELECT aws_region, storage_lag FROM instances $$;";

#[tokio::test]
async fn aurora_is_followed_by_what_its_functions_say() {
    let cluster = cluster(1).await;
    cluster.node(0).sql(AURORA).await;
    cluster.replayed(0).await;
    let aurora = || Settings { engine: Engine::Aurora, ..settings(&cluster) };
    let lag = async |watch: &Watch, ms| {
        until("the lag that it tells", SOON, async || {
            (watch.view().nodes[1].lag == Some(Millis::new(ms))).then_some(())
        })
        .await;
    };
    let watch = settled(aurora()).await;
    lag(&watch, 30).await;
    drop(watch);
    cluster.node(0).sql(AURORA_GLOBAL).await;
    cluster.replayed(0).await;
    let watch = settled(aurora()).await;
    lag(&watch, 100).await;
    assert_eq!((watch.view().writer, watch.view().generation), (known(0, 1), 1));
    cluster.node(0).sql("CREATE TABLE ledger (row int)").await;
    let (generation, lsn) = watch.writer_position().await.expect("the writer answers");
    assert!(watch.replayed(1, generation, lsn, SOON).await);
    cluster.node(0).kill();
    seen(&watch, "no writer", |view| view.writer == Writer::None).await;
    cluster.node(1).promote().await;
    throughout("PostgreSQL's word alone makes no writer", Duration::from_millis(300), async || {
        watch.view().writer == Writer::None
    })
    .await;
    cluster.node(1).sql("UPDATE instances SET writes = server_id = 'node1'").await;
    seen(&watch, "the new writer", |view| view.writer == known(1, 1)).await;
    assert_eq!(watch.view().generation, 3);
}

/// Bootstrapping and switching over takes Patroni ten to twenty seconds.
#[tokio::test]
async fn a_switchover_by_patroni_is_followed() {
    let patroni = Patroni::start().await;
    let node = |number: usize| Node {
        name: format!("node{number}"),
        region: "taiwan".to_owned(),
        address: patroni.postgres(number).to_string().parse().expect("an address"),
        patroni: Some(patroni.rest(number).to_string().parse().expect("an address")),
    };
    let watch = settled(Settings {
        engine: Engine::Patroni,
        nodes: vec![node(0), node(1)],
        login: Login { user: "postgres".to_owned(), password_file: None, database: "postgres".to_owned() },
        rules: RULES,
        timeout: Duration::from_secs(1),
        tls: None,
        data_dir: None,
    })
    .await;
    until("Patroni is asked", SOON, async || watch.patroni(0)).await.expect("it answers");
    let says = async |number: usize, role: Role| {
        until(&format!("Patroni calls node{number} a {role:?}"), SOON, async || {
            let word = watch.patroni(number)?.ok()?;
            (word.role() == Some(role) && !word.pause).then_some(())
        })
        .await;
    };
    says(0, Role::Writer).await;
    says(1, Role::Replica).await;
    let before = watch.view().writer;
    assert!(matches!(before, Writer::Known { node: 0, .. }), "{before:?}");
    let begun = Instant::now();
    let followed = seen(&watch, "the new writer", |view| view.writer() == Some(1));
    let ((), followed) = tokio::join!(patroni.switch_over(0, 1), followed);
    println!("switchover: followed {:?} after the order", followed - begun);
    says(1, Role::Writer).await;
    seen(&watch, "the old one as a replica", |view| {
        view.nodes[0].reachable && view.nodes[0].role == Some(Role::Replica)
    })
    .await;
    assert_eq!(watch.view().generation, 3, "one writer, none, the other");
}
