//! The pool's bounds, counted by a real PostgreSQL.

mod support;

use evenkeel_database::router::cancel::{Cancels, Target};
use evenkeel_database::router::login::{Identity, LoginError};
use evenkeel_database::router::nodes::{Known, Nodes};
use evenkeel_database::router::pool::{Bounds, PoolError, PoolStats, Pools};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::{Postgres, identity, query, until};
use tokio::task::JoinSet;
use tokio::time::Instant;

const BOUNDS: Bounds = Bounds {
    max: 10,
    max_idle: 10,
    idle_timeout: Duration::from_secs(300),
    lifetime: Duration::from_secs(1200),
    connect_timeout: Duration::from_secs(30),
};

const SOON: Duration = Duration::from_secs(10);

fn pools(postgres: &Postgres, bounds: Bounds) -> (Pools, Cancels) {
    let nodes = Nodes::new(Known { addresses: vec![postgres.node()], tls: None });
    let cancels = Cancels::new(nodes.clone());
    (Pools::new(nodes, cancels.clone(), bounds), cancels)
}

/// How many connections the server has from this user.
fn connections(postgres: &Postgres, user: &str) -> usize {
    postgres.sql(&format!("select count(*) from pg_stat_activity where usename = '{user}'")).parse().unwrap()
}

fn later() -> Instant {
    Instant::now() + SOON
}

fn stats(pools: &Pools, identity: &Identity) -> (usize, usize, usize) {
    let of = |stats: &PoolStats| stats.user == identity.user;
    pools.stats().iter().find(|s| of(s)).map_or((0, 0, 0), |s| (s.in_use, s.idle, s.waiting))
}

async fn pid(pools: &Pools, identity: &Arc<Identity>, generation: u64) -> i32 {
    let lease = pools.acquire(0, identity, generation, later()).await.unwrap();
    let pid = lease.key.0;
    lease.give_back();
    pid
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_bounds_hold_on_a_real_server() {
    let postgres = Postgres::start("host all all all trust\n", "", None).await;
    for user in ["crowd", "rest", "age", "fenced", "eager", "hit", "shrunk", "surplus", "ended"] {
        postgres.sql(&format!("create role {user} login"));
    }
    crowd(&postgres).await;
    rest_and_age(&postgres).await;
    fence_and_generations(&postgres).await;
    given_up(&postgres).await;
    hit_by_a_cancel(&postgres).await;
    resized(&postgres).await;
    surplus(&postgres).await;
    ended_by_the_server(&postgres).await;
    unreachable(&postgres).await;
}

/// 200 sessions share 10 connections; some of them break off or are given up while they wait.
async fn crowd(postgres: &Postgres) {
    let (pools, _cancels) = pools(postgres, BOUNDS);
    let crowd = identity("crowd", None);
    let most = Arc::new(AtomicUsize::new(0));
    let using = Arc::new(AtomicUsize::new(0));
    let mut sessions = JoinSet::new();
    for number in 0..200 {
        let (pools, crowd) = (pools.clone(), crowd.clone());
        let (most, using) = (most.clone(), using.clone());
        sessions.spawn(async move {
            let patience = if number % 10 == 9 { Duration::ZERO } else { SOON };
            let Ok(mut lease) = pools.acquire(0, &crowd, 1, Instant::now() + patience).await else {
                assert_eq!(patience, Duration::ZERO, "session {number} was given nothing");
                return 0;
            };
            most.fetch_max(using.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let sql = "select count(*) from pg_stat_activity, pg_sleep(0.002) where usename = 'crowd'";
            let seen: usize = query(&mut lease, sql).await.unwrap()[0].parse().unwrap();
            using.fetch_sub(1, Ordering::SeqCst);
            lease.give_back();
            seen
        });
    }
    let seen = sessions.join_all().await;
    assert!(seen.iter().all(|seen| *seen <= BOUNDS.max), "the server saw {:?}", seen.iter().max());
    assert!(seen.iter().filter(|seen| **seen > 0).count() >= 180);
    assert_eq!(most.load(Ordering::SeqCst), BOUNDS.max, "all places were used, and no more");
    assert_eq!(stats(&pools, &crowd), (0, BOUNDS.max, 0));

    // With every place taken, one more is told so in time; a place that is dropped serves the next.
    let mut taken = Vec::new();
    for _ in 0..BOUNDS.max {
        taken.push(pools.acquire(0, &crowd, 1, later()).await.unwrap());
    }
    let begun = Instant::now();
    match pools.acquire(0, &crowd, 1, begun + Duration::from_millis(50)).await {
        Err(PoolError::Exhausted { node: 0, max: 10, waited }) => {
            assert!(waited >= Duration::from_millis(50) && waited < Duration::from_secs(5), "{waited:?}");
        }
        other => panic!("{:?}", other.err()),
    }
    let gone = taken.pop().unwrap();
    let waiting = tokio::spawn({
        let (pools, crowd) = (pools.clone(), crowd.clone());
        async move { pools.acquire(0, &crowd, 1, later()).await.map(|lease| lease.key) }
    });
    until("one waits", SOON, async || (stats(&pools, &crowd).2 == 1).then_some(())).await;
    let key = gone.key;
    drop(gone);
    let new = waiting.await.unwrap().unwrap();
    assert_ne!(new, key, "what was dropped is not used again");
    assert_eq!(stats(&pools, &crowd).2, 0);
    drop(taken);
    until("dropped leases are closed", SOON, async || (connections(postgres, "crowd") == 0).then_some(()))
        .await;
    assert_eq!(stats(&pools, &crowd), (0, 0, 0));
}

/// Idle connections are closed after `idle_timeout`, old ones after `lifetime`; a pool that nobody
/// uses is forgotten.
async fn rest_and_age(postgres: &Postgres) {
    let bounds = Bounds { idle_timeout: Duration::from_millis(300), ..BOUNDS };
    let (short, _cancels) = pools(postgres, bounds);
    let rest = identity("rest", None);
    let first = pid(&short, &rest, 1).await;
    assert_eq!(pid(&short, &rest, 1).await, first, "an idle connection is used again");
    assert_eq!(connections(postgres, "rest"), 1);
    until("the idle connection is closed", SOON, async || (connections(postgres, "rest") == 0).then_some(()))
        .await;
    until("the pool is forgotten", SOON, async || short.stats().is_empty().then_some(())).await;

    let bounds = Bounds { lifetime: Duration::from_millis(300), ..BOUNDS };
    let (short, _cancels) = pools(postgres, bounds);
    let age = identity("age", None);
    let lease = short.acquire(0, &age, 1, later()).await.unwrap();
    let (first, born) = (lease.key.0, lease.born);
    until("it is old", SOON, async || (born.elapsed() >= bounds.lifetime).then_some(())).await;
    assert_eq!(connections(postgres, "age"), 1, "not while it is in use");
    lease.give_back();
    assert_ne!(pid(&short, &age, 1).await, first, "what is too old is not used again");
    until("old connections are closed", SOON, async || (connections(postgres, "age") == 0).then_some(()))
        .await;
}

async fn fence_and_generations(postgres: &Postgres) {
    let (pools, _cancels) = pools(postgres, BOUNDS);
    let fenced = identity("fenced", None);
    let one = pools.acquire(0, &fenced, 1, later()).await.unwrap();
    let two = pools.acquire(0, &fenced, 1, later()).await.unwrap();
    assert_eq!((one.generation, one.node), (1, 0));
    two.give_back();
    pools.fence(1);
    assert_eq!(stats(&pools, &fenced), (1, 1, 0), "another node's fence");
    pools.fence(0);
    assert_eq!(stats(&pools, &fenced), (1, 0, 0));
    until("the idle one is closed", SOON, async || (connections(postgres, "fenced") == 1).then_some(()))
        .await;
    one.give_back();
    assert_eq!(stats(&pools, &fenced), (0, 0, 0), "the one in use is closed when it comes back");

    let first = pid(&pools, &fenced, 1).await;
    let held = pools.acquire(0, &fenced, 1, later()).await.unwrap();
    assert_eq!(held.key.0, first);
    let second = pid(&pools, &fenced, 2).await;
    assert_ne!(second, first);
    held.give_back();
    assert_eq!(stats(&pools, &fenced), (0, 1, 0), "an older generation's is not kept");
    assert_eq!(pid(&pools, &fenced, 2).await, second);
    assert_ne!(pid(&pools, &fenced, 3).await, second, "nor used");
}

/// A log-in that nobody waits for any more goes on, and its connection serves the next session: broken off
/// half-way, it would be one too many on the server for a moment.
async fn given_up(postgres: &Postgres) {
    let (pools, _cancels) = pools(postgres, BOUNDS);
    let eager = identity("eager", None);
    match pools.acquire(0, &eager, 1, Instant::now()).await {
        Err(PoolError::Login(LoginError::Unreachable(why))) => {
            assert!(why.contains("no log-in within 0ns"), "{why}")
        }
        // The log-in was done before anybody looked.
        other => other.unwrap().give_back(),
    }
    until("it is at rest", SOON, async || (stats(&pools, &eager) == (0, 1, 0)).then_some(())).await;
    let kept: i32 = postgres.sql("select pid from pg_stat_activity where usename = 'eager'").parse().unwrap();
    assert_eq!(pid(&pools, &eager, 1).await, kept);
}

/// A connection that a cancel request is on its way to must not serve the next session.
async fn hit_by_a_cancel(postgres: &Postgres) {
    let nodes = Nodes::new(Known { addresses: vec![postgres.node()], tls: None });
    let cancels = Cancels::new(nodes.clone());
    let pools = Pools::new(nodes.clone(), cancels.clone(), BOUNDS);
    let hit = identity("hit", None);
    let mut lease = pools.acquire(0, &hit, 1, later()).await.unwrap();
    let session = cancels.register();
    session.set(Some(Target { node: 0, key: lease.key }));
    let asleep = async {
        let sql = "select 1 from pg_stat_activity where usename = 'hit' and state = 'active'";
        until("it sleeps", SOON, async || (postgres.sql(sql) == "1").then_some(())).await;
        cancels.deliver(session.key()).await;
    };
    let begun = Instant::now();
    let (answer, ()) = tokio::join!(query(&mut lease, "select pg_sleep(60)"), asleep);
    assert_eq!(answer, Err("57014".to_owned()));
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert_eq!((cancels.sent(), cancels.unknown()), (1, 0));
    session.set(None);
    lease.give_back();
    assert_eq!(stats(&pools, &hit), (0, 1, 0));

    // The same, given back while the request is still on its way: to something that takes it and does
    // not close.
    let lease = pools.acquire(0, &hit, 1, later()).await.unwrap();
    session.set(Some(Target { node: 0, key: lease.key }));
    let slow = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut elsewhere = postgres.node();
    elsewhere.address = slow.local_addr().unwrap().to_string().parse().unwrap();
    nodes.replace(Known { addresses: vec![elsewhere], tls: None });
    let under_way = async {
        let (taken, _) = slow.accept().await.unwrap();
        session.set(None);
        lease.give_back();
        assert_eq!(stats(&pools, &hit), (0, 0, 0));
        drop(taken);
    };
    tokio::join!(cancels.deliver(session.key()), under_way);
    assert_eq!(cancels.sent(), 2);
}

async fn resized(postgres: &Postgres) {
    let (pools, _cancels) = pools(postgres, BOUNDS);
    let shrunk = identity("shrunk", None);
    let mut leases = Vec::new();
    for _ in 0..6 {
        leases.push(pools.acquire(0, &shrunk, 1, later()).await.unwrap());
    }
    for lease in leases.split_off(3) {
        lease.give_back();
    }
    let known = || Known { addresses: vec![postgres.node()], tls: None };
    pools.reconfigure(Bounds { max: 4, ..BOUNDS }, known());
    assert_eq!(stats(&pools, &shrunk), (3, 1, 0));
    pools.reconfigure(Bounds { max: 2, ..BOUNDS }, known());
    assert_eq!(stats(&pools, &shrunk), (3, 0, 0));
    let now = || Instant::now() + Duration::from_millis(20);
    for expected in [2, 1] {
        leases.pop().unwrap().give_back();
        assert_eq!(stats(&pools, &shrunk).0, expected);
    }
    let more = pools.acquire(0, &shrunk, 1, later()).await.unwrap();
    assert!(matches!(pools.acquire(0, &shrunk, 1, now()).await, Err(PoolError::Exhausted { max: 2, .. })));
    pools.reconfigure(Bounds { max: 3, ..BOUNDS }, known());
    let last = pools.acquire(0, &shrunk, 1, later()).await.unwrap();
    assert!(pools.acquire(0, &shrunk, 1, now()).await.is_err());
    assert_eq!(stats(&pools, &shrunk), (3, 0, 0));

    // Another address: what leads to the old one is not used again.
    let mut moved = postgres.node();
    moved.address = format!("localhost:{}", postgres.port()).parse().unwrap();
    last.give_back();
    pools.reconfigure(BOUNDS, Known { addresses: vec![moved], tls: None });
    more.give_back();
    assert_eq!(stats(&pools, &shrunk), (1, 0, 0));
    drop(leases);
    let lease = pools.acquire(0, &shrunk, 1, later()).await.unwrap();
    lease.give_back();
    pools.reconfigure(BOUNDS, Known::default());
    match pools.acquire(0, &shrunk, 1, later()).await {
        Err(PoolError::Login(LoginError::Unreachable(why))) => assert!(why.contains("no longer configured")),
        other => panic!("{:?}", other.err()),
    }
}

/// What is idle beyond `max_idle` is closed after a moment, not at once.
async fn surplus(postgres: &Postgres) {
    let (pools, _cancels) = pools(postgres, Bounds { max_idle: 2, ..BOUNDS });
    let surplus = identity("surplus", None);
    let mut leases = Vec::new();
    for _ in 0..6 {
        leases.push(pools.acquire(0, &surplus, 1, later()).await.unwrap());
    }
    for lease in leases {
        lease.give_back();
    }
    assert_eq!(stats(&pools, &surplus), (0, 6, 0));
    until("the surplus is closed", SOON, async || (stats(&pools, &surplus) == (0, 2, 0)).then_some(())).await;
    until("on the server too", SOON, async || (connections(postgres, "surplus") == 2).then_some(())).await;
}

/// What the server ended is not given to anyone.
async fn ended_by_the_server(postgres: &Postgres) {
    let (pools, _cancels) = pools(postgres, BOUNDS);
    let ended = identity("ended", None);
    let first = pid(&pools, &ended, 1).await;
    postgres.sql(&format!("select pg_terminate_backend({first})"));
    until("it is noticed", SOON, async || (stats(&pools, &ended) == (0, 0, 0)).then_some(())).await;
    let mut lease = pools.acquire(0, &ended, 1, later()).await.unwrap();
    assert_eq!(query(&mut lease, "select 1").await.unwrap(), ["1"]);
    assert!(!postgres.log().contains("unexpected EOF"), "{}", postgres.log());
}

async fn unreachable(postgres: &Postgres) {
    let (pools, _cancels) = pools(postgres, BOUNDS);
    match pools.acquire(0, &identity("nobody", None), 1, later()).await {
        Err(PoolError::Login(LoginError::Refused { code, .. })) => assert_eq!(code, "28000"),
        other => panic!("{:?}", other.err()),
    }
    match pools.acquire(7, &identity("crowd", None), 1, later()).await {
        Err(PoolError::Login(LoginError::Unreachable(why))) => assert!(why.contains("number 7"), "{why}"),
        other => panic!("{:?}", other.err()),
    }
    // A place that led to nothing is free again.
    assert!(pools.stats().iter().all(|stats| stats.in_use == 0 && stats.idle == 0));
}
