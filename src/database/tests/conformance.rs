//! The same bytes to PostgreSQL and to the router: what comes back must be the same.
//!
//! The scripts do what client libraries do and what their authors warn of: pipelines, COPY in the
//! extended protocol, portals, errors in the middle, messages larger than any buffer.

mod support;

use bytes::BytesMut;
use evenkeel_config::database::Database;
use evenkeel_database::router::login::{Identity, Link, connect};
use evenkeel_database::router::nodes::NodeAddress;
use evenkeel_database::router::wire::authentication::cancel_request;
use evenkeel_database::router::wire::frontend::{self, Bind, Kind, Parse, tag};
use evenkeel_database::router::wire::{HEADER, backend, outline};
use evenkeel_database::router::{Router, Settings};
use evenkeel_database::watch::{self, Watch};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{Postgres, identity, query, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SOON: Duration = Duration::from_secs(20);
const TIMEOUT: Duration = Duration::from_secs(10);

/// A router before one node, with a listener of each mode.
struct Routed {
    router: Router,
    _folder: tempfile::TempDir,
}

impl Routed {
    async fn start(postgres: &Postgres, pooling: &str) -> Routed {
        let folder = tempfile::tempdir().unwrap();
        let users = folder.path().join("users.yaml");
        let names = ["app", "clear"].map(|name| format!("- {{name: {name}, password: secret}}\n"));
        std::fs::write(&users, format!("users:\n{}", names.concat())).unwrap();
        let listener = |mode: &str| {
            let listen = format!("127.0.0.1:{}", free_port());
            serde_json::json!({"listen": listen, "mode": mode, "pooling": pooling})
        };
        let database: Database = serde_json::from_value(serde_json::json!({
            "nodes": [{"name": "a", "region": "here", "address": format!("127.0.0.1:{}", postgres.port())}],
            "login": {"user": "postgres"},
            "credentials": users,
            "listeners": [listener("writer"), listener("auto")],
        }))
        .unwrap();
        let watch = Watch::start(watch::Settings {
            engine: database.engine,
            nodes: database.nodes.clone(),
            login: database.login.clone(),
            rules: watch::rules(&database),
            timeout: TIMEOUT,
            tls: None,
            data_dir: None,
        })
        .unwrap();
        let listeners = database.listeners.clone();
        let settings = Settings { database, listeners, region: "here".to_owned() };
        let router = Router::start(&settings, watch.clone()).unwrap();
        let known = async { watch.subscribe().wait_for(|view| view.writer().is_some()).await.map(drop) };
        tokio::time::timeout(SOON, known).await.expect("a writer in time").unwrap();
        Routed { router, _folder: folder }
    }

    /// A listener as if it were a node.
    fn listener(&self, name: &str) -> NodeAddress {
        let listeners = self.router.listeners();
        let listener = listeners.iter().find(|listener| listener.name == name).unwrap();
        let address = listener.address.to_string().parse().unwrap();
        NodeAddress { index: 0, name: name.to_owned(), address }
    }
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn postgres() -> Postgres {
    let hba = "host all postgres all trust\nhost all clear all password\nhost all all all scram-sha-256\n";
    let postgres = Postgres::start(hba, "", None).await;
    postgres.sql(
        "create role app login password 'secret'; create role clear login password 'secret'; \
         grant create on schema public to app",
    );
    postgres
}

fn app() -> Arc<Identity> {
    identity("app", Some("secret"))
}

/// Messages of a client, one after another.
#[derive(Clone, Default)]
struct Say(BytesMut);

impl Say {
    fn message(mut self, tag: u8, body: &[u8]) -> Say {
        self.0.extend_from_slice(&[tag]);
        self.0.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        self.0.extend_from_slice(body);
        self
    }

    fn query(mut self, sql: &str) -> Say {
        frontend::put_query(&mut self.0, sql.as_bytes());
        self
    }

    fn parse(mut self, name: &str, sql: &str) -> Say {
        frontend::put_parse(
            &mut self.0,
            &Parse { name: name.as_bytes(), sql: sql.as_bytes(), types: &[0, 0] },
        );
        self
    }

    /// Binds texts.
    fn bind(mut self, portal: &str, statement: &str, values: &[&str]) -> Say {
        let mut rest = vec![0, 0];
        rest.extend(u16::try_from(values.len()).unwrap().to_be_bytes());
        for value in values {
            rest.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
            rest.extend(value.as_bytes());
        }
        rest.extend([0, 0]);
        let bind = Bind { portal: portal.as_bytes(), statement: statement.as_bytes(), rest: &rest };
        frontend::put_bind(&mut self.0, &bind);
        self
    }

    fn target(mut self, tag: u8, kind: Kind, name: &str) -> Say {
        frontend::put_target(&mut self.0, tag, kind, name.as_bytes());
        self
    }

    fn describe(self, kind: Kind, name: &str) -> Say {
        self.target(tag::DESCRIBE, kind, name)
    }

    fn close(self, kind: Kind, name: &str) -> Say {
        self.target(tag::CLOSE, kind, name)
    }

    fn execute(self, portal: &str, rows: u32) -> Say {
        let body = [portal.as_bytes(), &[0], &rows.to_be_bytes()].concat();
        self.message(tag::EXECUTE, &body)
    }

    fn sync(self) -> Say {
        self.message(tag::SYNC, &[])
    }

    fn flush(self) -> Say {
        self.message(tag::FLUSH, &[])
    }

    fn copy_data(self, text: &str) -> Say {
        self.message(tag::COPY_DATA, text.as_bytes())
    }

    fn copy_done(self) -> Say {
        self.message(tag::COPY_DONE, &[])
    }

    fn copy_fail(self) -> Say {
        self.message(tag::COPY_FAIL, b"no more\0")
    }

    /// Parses, binds and executes a statement without a name.
    fn run(self, sql: &str) -> Say {
        self.parse("", sql).bind("", "", &[]).execute("", 0)
    }
}

fn say() -> Say {
    Say::default()
}

/// What a client sends, each part after this message has come back for the one before: 0 for none.
struct Script {
    name: &'static str,
    parts: Vec<(Say, u8)>,
}

fn scripts() -> Vec<Script> {
    let ready = backend::tag::READY;
    let script = |name, parts| Script { name, parts };
    let long = "x".repeat(200_000);
    let copy = || say().run("copy t from stdin");
    vec![
        script("an empty query", vec![(say().query("").query(";").run("").sync(), ready)]),
        script(
            "several statements in one query, the last wrong",
            vec![(say().query("insert into t values (1); select n from t; select 1/0; select 2"), ready)],
        ),
        script(
            "a pipeline of batches, errors in some",
            vec![(
                (0..20).fold(say(), |say, n| say.run(&format!("select 1/{}", n % 3)).run("select 2").sync()),
                ready,
            )],
        ),
        script(
            "a pipeline with queries in between",
            vec![(
                say().run("select 1").sync().query("select 2").run("select 3/0").sync().query("select 4"),
                0,
            )],
        ),
        script(
            "portals over several Executes",
            vec![
                (say().query("begin"), ready),
                (
                    say()
                        .parse("s", "select generate_series(1, $1::int)")
                        .describe(Kind::Statement, "s")
                        .bind("p", "s", &["5"])
                        .describe(Kind::Portal, "p")
                        .execute("p", 2)
                        .flush(),
                    backend::tag::PORTAL_SUSPENDED,
                ),
                (say().execute("p", 2).flush(), backend::tag::PORTAL_SUSPENDED),
                (say().sync(), ready),
                (say().execute("p", 2).close(Kind::Portal, "p").execute("p", 1).sync(), ready),
                (say().query("rollback"), ready),
            ],
        ),
        script(
            "names that exist, and names that do not",
            vec![(
                say()
                    .parse("a", "select 1")
                    .sync()
                    .parse("a", "select 2")
                    .sync()
                    .bind("", "b", &[])
                    .sync()
                    .describe(Kind::Portal, "c")
                    .sync()
                    .close(Kind::Statement, "a")
                    .close(Kind::Statement, "none")
                    .parse("a", "select 3")
                    .bind("", "a", &[])
                    .execute("", 0)
                    .sync(),
                ready,
            )],
        ),
        script(
            "prepared statements forgotten by SQL, and made again in the same batch",
            vec![
                (say().parse("d", "select 1").sync(), ready),
                (
                    say().run("deallocate d").parse("d", "select 2").bind("", "d", &[]).execute("", 0).sync(),
                    ready,
                ),
                (say().bind("", "d", &[]).execute("", 0).sync().query("deallocate all"), ready),
                (say().bind("", "d", &[]).sync(), ready),
            ],
        ),
        script(
            "a lone Flush, in and out of a transaction",
            vec![
                (say().flush().query("begin"), ready),
                (say().flush().flush().query("select 1"), ready),
                (say().flush().query("rollback"), ready),
            ],
        ),
        script(
            "a failed transaction",
            vec![
                (say().query("begin; select 1/0"), ready),
                (say().query("select 1"), ready),
                (say().run("select 1").sync(), ready),
                (say().query("commit"), ready),
            ],
        ),
        script(
            "savepoints and settings",
            vec![
                (say().query("begin; set datestyle = german; savepoint s; set datestyle = sql"), ready),
                (say().query("rollback to s; show datestyle"), ready),
                (say().query("commit"), ready),
                (say().query("show datestyle"), ready),
                (say().query("reset datestyle"), ready),
                (say().query("show datestyle"), ready),
            ],
        ),
        script(
            "notices",
            vec![(
                say().query("do $$ begin raise notice 'one'; raise warning 'two'; end $$").query("rollback"),
                0,
            )],
        ),
        script("a function call", vec![(say().message(tag::FUNCTION_CALL, &function_call()), ready)]),
        script(
            "COPY by query",
            vec![
                (say().query("copy t from stdin"), backend::tag::COPY_IN),
                (say().copy_data("7\n").copy_data("8\n9\n").copy_done(), ready),
                (say().query("copy (select generate_series(1, 3)) to stdout"), ready),
            ],
        ),
        script(
            "COPY by query, data ahead of the answer",
            vec![(say().query("copy t from stdin").copy_data("7\n").copy_done(), ready)],
        ),
        script(
            "COPY by query, given up, and with wrong data",
            vec![
                (say().query("copy t from stdin"), backend::tag::COPY_IN),
                (say().copy_data("7\n").copy_fail(), ready),
                (say().query("copy t from stdin"), backend::tag::COPY_IN),
                (say().copy_data("x\n").copy_data("8\n").copy_done(), ready),
            ],
        ),
        script(
            "COPY by query, with Sync and Flush in the middle",
            vec![
                (say().query("copy t from stdin"), backend::tag::COPY_IN),
                (say().copy_data("7\n").sync().flush().sync().copy_data("8\n").copy_done(), ready),
            ],
        ),
        script(
            "COPY in the extended protocol, as libpq does it",
            vec![(copy().sync(), backend::tag::COPY_IN), (say().copy_data("7\n").copy_done().sync(), ready)],
        ),
        script("the same, all at once", vec![(copy().sync().copy_data("7\n").copy_done().sync(), ready)]),
        script("the same without the first Sync", vec![(copy().copy_data("7\n").copy_done().sync(), ready)]),
        script(
            "the same with more Syncs",
            vec![
                (copy().sync(), backend::tag::COPY_IN),
                (say().copy_data("7\n").sync().copy_data("8\n").flush().copy_done().sync(), ready),
            ],
        ),
        script(
            "COPY in the extended protocol, given up",
            vec![(copy().sync(), backend::tag::COPY_IN), (say().copy_data("7\n").copy_fail().sync(), ready)],
        ),
        script(
            "COPY in the extended protocol, with wrong data",
            vec![
                (copy().sync(), backend::tag::COPY_IN),
                (say().copy_data("x\n"), backend::tag::ERROR),
                (say().copy_data("8\n").copy_done().sync(), ready),
            ],
        ),
        script(
            "COPY in the extended protocol, refused",
            vec![
                (say().run("copy nothing from stdin").sync(), ready),
                (say().copy_data("8\n").copy_done().sync(), ready),
            ],
        ),
        script(
            "COPY among other statements of a batch",
            vec![
                (say().run("select 1").run("copy t from stdin").flush(), backend::tag::COPY_IN),
                (say().copy_data("7\n").copy_done().run("select count(*) from t").sync(), ready),
            ],
        ),
        script(
            "large messages both ways",
            vec![
                (say().query(&format!("select '{long}'")), ready),
                (
                    say()
                        .parse("", &format!("select $1 || '{long}'"))
                        .bind("", "", &[&long])
                        .execute("", 0)
                        .sync(),
                    ready,
                ),
                (say().query("copy l from stdin"), backend::tag::COPY_IN),
                (say().copy_data(&format!("{long}\n")).copy_data(&format!("{long}\n")).copy_done(), ready),
                (say().query("select * from l; copy l to stdout"), ready),
                (say().run("select * from l").sync(), ready),
            ],
        ),
        script(
            "a batch larger than what is taken in at once",
            vec![(
                (0..300)
                    .fold(say(), |say, _| {
                        say.parse("", "select length($1)").bind("", "", &[&long[..1000]]).execute("", 0)
                    })
                    .sync(),
                ready,
            )],
        ),
    ]
}

/// `abs(-5)`, by its number.
fn function_call() -> Vec<u8> {
    [&1397_u32.to_be_bytes()[..], &[0, 0, 0, 1, 0, 0, 0, 2], b"-5", &[0, 0]].concat()
}

/// Everything that comes back: one line for each message.
async fn play(link: &mut Link, script: &Script) -> String {
    let mut heard = String::new();
    for (bytes, until) in &script.parts {
        let (mut read, mut write) = tokio::io::split(&mut link.stream);
        let send = async {
            write.write_all(&bytes.0).await.unwrap();
            write.flush().await.unwrap();
        };
        let hear =
            async { while *until != 0 && hear(&mut read, &mut link.read, &mut heard).await != *until {} };
        tokio::join!(send, hear);
    }
    // All that is still to come, comes before the answer to this.
    let mut last = BytesMut::new();
    frontend::put_query(&mut last, b"select 'the end'");
    link.stream.write_all(&last).await.unwrap();
    link.stream.flush().await.unwrap();
    while !heard.contains("the end") {
        hear(&mut link.stream, &mut link.read, &mut heard).await;
    }
    while hear(&mut link.stream, &mut link.read, &mut heard).await != backend::tag::READY {}
    heard
}

async fn hear(stream: &mut (impl AsyncReadExt + Unpin), read: &mut BytesMut, heard: &mut String) -> u8 {
    loop {
        if let Some(found) = outline(read).unwrap().filter(|found| found.len <= read.len()) {
            let message = read.split_to(found.len);
            let body = &message[HEADER..];
            let body = if body.len() > 400 {
                format!("{} bytes", body.len())
            } else {
                body.escape_ascii().to_string()
            };
            writeln!(heard, "{} {body}", char::from(found.tag)).unwrap();
            return found.tag;
        }
        assert_ne!(stream.read_buf(read).await.unwrap(), 0, "closed after {heard}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_router_answers_as_postgresql_does() {
    let postgres = postgres().await;
    postgres.sql("create table t (n int); create table l (text text); grant all on t, l to app");
    for pooling in ["session", "transaction"] {
        let routed = Routed::start(&postgres, pooling).await;
        let listeners = ["writer", "auto"].map(|mode| routed.listener(mode));
        for script in scripts() {
            let mut heard = Vec::new();
            for node in std::iter::once(&postgres.node()).chain(&listeners) {
                postgres.sql("truncate t, l");
                let mut link = connect(node, &app(), None, TIMEOUT).await.unwrap();
                let played = tokio::time::timeout(SOON, play(&mut link, &script)).await;
                let played =
                    played.unwrap_or_else(|_| panic!("{}: {} ({pooling}) hangs", script.name, node.name));
                heard.push((node.name.clone(), played, postgres.sql("select count(*), sum(n) from t")));
            }
            for (name, played, rows) in &heard[1..] {
                assert_eq!(*played, heard[0].1, "{}: {name} ({pooling})", script.name);
                assert_eq!(*rows, heard[0].2, "{}: {name} ({pooling})", script.name);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_answer_reaches_a_client_that_reads_late() {
    let postgres = postgres().await;
    let routed = Routed::start(&postgres, "session").await;
    let mut link = connect(&routed.listener("writer"), &app(), None, TIMEOUT).await.unwrap();
    for size in [100_000, 1_000_000, 20_000_000] {
        let say = say().query(&format!("select repeat('x', {size})")).query("select 'next'");
        link.stream.write_all(&say.0).await.unwrap();
        // The node has begun to answer, and the router holds all that it will.
        let busy = "select count(*) from pg_stat_activity where wait_event = 'ClientWrite'";
        if size > 10_000_000 {
            until("the node waits for its reader", SOON, async || (postgres.sql(busy) == "1").then_some(()))
                .await;
        }
        let mut heard = String::new();
        let all = async {
            while !heard.contains("next") {
                hear(&mut link.stream, &mut link.read, &mut heard).await;
            }
            while hear(&mut link.stream, &mut link.read, &mut heard).await != backend::tag::READY {}
        };
        tokio::time::timeout(SOON, all).await.expect("the whole answer in time");
        assert!(heard.contains(&format!("D {} bytes", size + 6)), "{heard}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_does_not_belong_into_a_copy_ends_it() {
    let postgres = postgres().await;
    postgres.sql("create table t (n int); grant all on t to app");
    let routed = Routed::start(&postgres, "session").await;
    for copy in [say().query("copy t from stdin"), say().run("copy t from stdin").sync()] {
        let mut link = connect(&routed.listener("writer"), &app(), None, TIMEOUT).await.unwrap();
        let mut heard = String::new();
        let said = async {
            link.stream.write_all(&copy.0).await.unwrap();
            while hear(&mut link.stream, &mut link.read, &mut heard).await != backend::tag::COPY_IN {}
            link.stream.write_all(&say().copy_data("1\n").run("select 1").sync().0).await.unwrap();
            while hear(&mut link.stream, &mut link.read, &mut heard).await != backend::tag::ERROR {}
        };
        tokio::time::timeout(SOON, said).await.expect("an error in time");
        assert_eq!(postgres.sql("select count(*) from t"), "0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_leaves_the_transaction_as_it_is() {
    let postgres = postgres().await;
    let routed = Routed::start(&postgres, "session").await;
    let writer = routed.listener("writer");
    let mut link = connect(&writer, &app(), None, TIMEOUT).await.unwrap();
    let mut other = connect(&writer, &app(), None, TIMEOUT).await.unwrap();
    // Nothing tells when the Flush has arrived, so it is given time again and again.
    for _ in 0..20 {
        query(&mut link, "begin").await.unwrap();
        link.stream.write_all(&say().flush().0).await.unwrap();
        query(&mut other, "select 1").await.unwrap();
        // New transactions wait now; what belongs to one does not.
        routed.router.pause(true);
        let answer = tokio::time::timeout(SOON, query(&mut link, "select 5")).await;
        assert_eq!(answer.expect("an answer in time").unwrap(), ["5"]);
        routed.router.pause(false);
        query(&mut link, "rollback").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_waits_for_a_node_can_be_cancelled() {
    let postgres = postgres().await;
    let routed = Routed::start(&postgres, "session").await;
    let writer = routed.listener("writer");
    let mut link = connect(&writer, &app(), None, TIMEOUT).await.unwrap();
    routed.router.pause(true);
    let packet = cancel_request(link.key);
    let cancel = async {
        until("the statement waits", SOON, async || (routed.router.held().0 == 1).then_some(())).await;
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", writer.address.port())).await.unwrap();
        stream.write_all(&packet).await.unwrap();
        // Closed once it is carried out.
        let _ = stream.read(&mut [0]).await;
    };
    let answer = async { tokio::join!(query(&mut link, "select 1"), cancel).0 };
    let answer = tokio::time::timeout(SOON, answer).await.expect("an answer in time");
    assert_eq!(answer, Err("57014".to_owned()));
    routed.router.pause(false);
    assert_eq!(query(&mut link, "select 5").await.unwrap(), ["5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_knows_its_own_notifications_by_the_number_it_was_told() {
    let postgres = postgres().await;
    let routed = Routed::start(&postgres, "session").await;
    let mut link = connect(&routed.listener("auto"), &app(), None, TIMEOUT).await.unwrap();
    let mut heard = Vec::new();
    let (told, _) = link.key;
    link.stream.write_all(&say().query("listen a; notify a, 'own'").0).await.unwrap();
    let mut next = async |link: &mut Link| loop {
        if let Some(found) = outline(&link.read).unwrap().filter(|found| found.len <= link.read.len()) {
            let message = link.read.split_to(found.len);
            if found.tag == backend::tag::NOTIFICATION {
                heard.push(message.clone());
                return message[HEADER..].to_vec();
            }
        } else {
            assert_ne!(link.stream.read_buf(&mut link.read).await.unwrap(), 0);
        }
    };
    let own = tokio::time::timeout(SOON, next(&mut link)).await.expect("a notification in time");
    assert_eq!(own, [&told.to_be_bytes()[..], b"a\0own\0"].concat());
    // Another's carries the number of its process on the node. This one comes to an idle session.
    let other = postgres.sql("notify a, 'other'; select pg_backend_pid()").parse::<i32>().unwrap();
    let other_said = tokio::time::timeout(SOON, next(&mut link)).await.expect("a notification in time");
    assert_eq!(other_said, [&other.to_be_bytes()[..], b"a\0other\0"].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_that_a_node_never_gets_is_refused_at_once() {
    let postgres = postgres().await;
    let routed = Routed::start(&postgres, "session").await;
    let begun = Instant::now();
    let clear = identity("clear", Some("secret"));
    let error = connect(&routed.listener("writer"), &clear, None, SOON).await.unwrap_err().to_string();
    assert!(error.contains("28000") && error.contains("in clear over a connection without TLS"), "{error}");
    assert!(begun.elapsed() < TIMEOUT, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_remarks_on_a_clients_settings_is_passed_on_once() {
    let postgres = postgres().await;
    let routed = Routed::start(&postgres, "session").await;
    let long = "y".repeat(70);
    let config = format!(
        "host=127.0.0.1 port={} user=app password=secret dbname=postgres application_name={long}",
        routed.listener("writer").address.port()
    );
    let (client, mut connection) = tokio_postgres::connect(&config, tokio_postgres::NoTls).await.unwrap();
    let mut notices = Vec::new();
    let hear = std::future::poll_fn(|cx| {
        use tokio_postgres::AsyncMessage;
        loop {
            match std::task::ready!(connection.poll_message(cx)) {
                Some(Ok(AsyncMessage::Notice(notice))) => notices.push(notice.message().to_owned()),
                Some(Ok(_)) => {}
                _ => return std::task::Poll::Ready(()),
            }
        }
    });
    let ask = async {
        client.batch_execute("select 1").await.unwrap();
        drop(client);
    };
    tokio::time::timeout(SOON, async { tokio::join!(hear, ask) }).await.expect("an end in time");
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].contains("will be truncated"), "{notices:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_a_node_broke_off_is_not_called_done_or_undone_unless_that_is_certain() {
    let postgres = postgres().await;
    postgres.sql("create table t (n int); grant all on t to app");
    postgres.sql(
        "create procedure halves() language plpgsql as \
         $$ begin insert into t values (1); commit; perform pg_sleep(60); end $$",
    );
    let routed = Routed::start(&postgres, "session").await;
    let unknown = "08007";
    for (sql, code, rows) in [
        ("select pg_sleep(60)", "40001", "0"),
        // Completed as far as it came, and nothing of it committed.
        ("insert into t values (1); select pg_sleep(60)", "40001", "0"),
        ("begin; insert into t values (1); commit; select pg_sleep(60)", unknown, "1"),
        ("call halves()", unknown, "1"),
    ] {
        postgres.sql("truncate t");
        let mut link = connect(&routed.listener("writer"), &app(), None, TIMEOUT).await.unwrap();
        let ended = until("the statement sleeps and is ended", SOON, async || {
            let end = "select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'";
            (postgres.sql(end) == "t").then_some(())
        });
        let (answer, ()) = tokio::time::timeout(SOON, async { tokio::join!(query(&mut link, sql), ended) })
            .await
            .expect("an answer in time");
        assert_eq!(answer, Err(code.to_owned()), "{sql}");
        assert_eq!(postgres.sql("select count(*) from t"), rows, "{sql}");
        // The session goes on at another connection.
        let after =
            tokio::time::timeout(SOON, query(&mut link, "select 5")).await.expect("an answer in time");
        assert_eq!(after.unwrap(), ["5"], "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_whose_types_have_changed_is_refused_wherever_it_is_run() {
    let postgres = postgres().await;
    postgres.sql("create table t (n int); insert into t values (1); grant all on t to app");
    let routed = Routed::start(&postgres, "transaction").await;
    let auto = routed.listener("auto");
    let mut link = connect(&auto, &app(), None, TIMEOUT).await.unwrap();
    let script = |parts| Script { name: "types", parts };
    let ready = backend::tag::READY;
    let prepare = script(vec![(
        say()
            .parse("s", "select n from t where n = $1")
            .describe(Kind::Statement, "s")
            .parse("other", "select n::text from t where n::text = $1")
            .describe(Kind::Statement, "other")
            .sync(),
        ready,
    )]);
    let heard = play(&mut link, &prepare).await;
    assert!(!heard.contains("\nE "), "{heard}");
    let run = |name| script(vec![(say().bind("", name, &["1"]).execute("", 0).sync(), ready)]);
    for round in ["before", "after"] {
        // Another session takes the connection, so that this one gets a new one.
        let mut other = connect(&auto, &app(), None, TIMEOUT).await.unwrap();
        query(&mut other, "begin").await.unwrap();
        for (name, changed) in [("s", true), ("other", false)] {
            let heard =
                tokio::time::timeout(SOON, play(&mut link, &run(name))).await.expect("an answer in time");
            let refused = heard.contains("C0A000\\x00Mcached plan must not change result type")
                && heard.contains("RRevalidateCachedQuery");
            assert_eq!(refused, changed && round == "after", "{name} {round}: {heard}");
            assert!(refused || heard.contains("\nD "), "{name} {round}: {heard}");
        }
        query(&mut other, "rollback").await.unwrap();
        if round == "before" {
            postgres.sql("alter table t alter column n type bigint");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_do_not_keep_a_database() {
    let postgres = postgres().await;
    postgres.sql("alter role app createdb");
    let routed = Routed::start(&postgres, "session").await;
    let of = |database: &str| Identity { database: database.to_owned(), ..(*app()).clone() };
    let mut link = connect(&routed.listener("writer"), &of("postgres"), None, TIMEOUT).await.unwrap();
    query(&mut link, "create database short").await.unwrap();
    let mut guest = connect(&routed.listener("writer"), &of("short"), None, TIMEOUT).await.unwrap();
    query(&mut guest, "select 1").await.unwrap();
    drop(guest);
    let of_short = || routed.router.pools().into_iter().find(|pool| pool.database == "short");
    until("the connection is idle", SOON, async || of_short().filter(|pool| pool.idle == 1).map(drop)).await;
    query(&mut link, "drop database if exists short").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_keeps_what_a_query_too_large_to_read_has_made() {
    let postgres = postgres().await;
    let routed = Routed::start(&postgres, "session").await;
    let mut link = connect(&routed.listener("writer"), &app(), None, TIMEOUT).await.unwrap();
    let long = "x".repeat(1_000_000);
    // One statement, though large, leaves nothing behind.
    query(&mut link, &format!("select '{long}'")).await.unwrap();
    assert_eq!(routed.router.pinned(), 0);
    // What stands at its beginning is read.
    query(&mut link, &format!("set application_name = 'large' /* {long} */")).await.unwrap();
    assert_eq!(routed.router.pinned(), 0);
    query(&mut link, &format!("select '{long}'; set search_path = elsewhere")).await.unwrap();
    assert_eq!(routed.router.pinned(), 1);
    let settings = query(
        &mut link,
        "select concat(current_setting('application_name'), ' ', current_setting('search_path'))",
    );
    assert_eq!(settings.await.unwrap(), ["large elsewhere"]);
}
