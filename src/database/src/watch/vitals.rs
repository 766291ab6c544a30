//! A node's own statistics: what dashboards and alarms need and no decision does.

use super::session::{Failure, Session};
use std::time::{Duration, SystemTime};
use tokio::time::timeout;

/// How often they are gathered.
pub(super) const EVERY: Duration = Duration::from_secs(5);

/// How often the size is asked for, in rounds: the node looks at every file.
const SIZE_EVERY: u64 = 12;

/// They are asked for on the probe's session: a node that takes longer must not delay the next probe.
const WITHIN: Duration = Duration::from_millis(250);

/// A node's statistics at one moment. What the node would not tell is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Vitals {
    /// When they were asked for.
    pub at: SystemTime,
    /// Client sessions, those of others too.
    pub connections: u64,
    /// How many there may be.
    pub max_connections: u64,
    /// Sessions that execute something.
    pub active: u64,
    /// Sessions that wait for their client, outside a transaction.
    pub idle: u64,
    /// Sessions that wait for their client inside a transaction.
    pub idle_in_transaction: u64,
    /// Active sessions that wait, by the type of what they wait for (`Lock`, `IO`, …).
    pub wait_events: Vec<(String, u64)>,
    /// What pg_stat_statements tells.
    pub statements: Statements,
    /// The bytes of the database that the watcher logs in to; asked once a minute.
    pub size: Option<u64>,
}

/// What pg_stat_statements tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Statements {
    /// It is not installed in the database that the watcher logs in to.
    NotInstalled,
    /// It is, and cannot be read: why.
    Unreadable(String),
    /// Statements known to it.
    Counted {
        /// Those whose mean execution time is above a second.
        slow: u64,
        /// The longest mean.
        slowest: Duration,
    },
}

const SESSIONS: &str = "\
SELECT count(*) AS connections,
       current_setting('max_connections')::bigint AS most,
       count(*) FILTER (WHERE state = 'active') AS active,
       count(*) FILTER (WHERE state = 'idle') AS idle,
       count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS idle_in_transaction,
       to_regclass('pg_stat_statements') IS NOT NULL AS statements
  FROM pg_stat_activity WHERE backend_type = 'client backend'";

const WAITS: &str = "\
SELECT wait_event_type AS kind, count(*) AS sessions
  FROM pg_stat_activity
 WHERE backend_type = 'client backend' AND state = 'active' AND wait_event_type IS NOT NULL
 GROUP BY 1 ORDER BY 1";

const STATEMENTS: &str = "\
SELECT count(*) FILTER (WHERE mean_exec_time > 1000) AS slow, coalesce(max(mean_exec_time), 0) AS slowest
  FROM pg_stat_statements";

const SIZE: &str = "SELECT pg_database_size(current_database())";

/// Asks a node for its statistics; `round` counts how often this was done.
pub(super) async fn ask(session: &Session, round: u64, last: Option<&Vitals>) -> Result<Vitals, Failure> {
    let at = SystemTime::now();
    let sessions = bounded(session, SESSIONS).await?;
    let waits = bounded(session, WAITS).await?;
    let row = sessions.first().ok_or(Failure::Late)?;
    let count = |column: &str| row.try_get::<_, i64>(column).unwrap_or(0).cast_unsigned();
    let statements = if row.try_get("statements").unwrap_or(false) {
        statements(session).await
    } else {
        Statements::NotInstalled
    };
    let size = if round.is_multiple_of(SIZE_EVERY) {
        let rows = bounded(session, SIZE).await?;
        rows.first().and_then(|row| row.try_get::<_, i64>(0).ok()).map(i64::cast_unsigned)
    } else {
        last.and_then(|last| last.size)
    };
    let wait = |row: &tokio_postgres::Row| {
        Some((row.try_get("kind").ok()?, row.try_get::<_, i64>("sessions").ok()?.cast_unsigned()))
    };
    Ok(Vitals {
        at,
        connections: count("connections"),
        max_connections: count("most"),
        active: count("active"),
        idle: count("idle"),
        idle_in_transaction: count("idle_in_transaction"),
        wait_events: waits.iter().filter_map(wait).collect(),
        statements,
        size,
    })
}

async fn statements(session: &Session) -> Statements {
    let unreadable = |why: &str| Statements::Unreadable(why.to_owned());
    match bounded(session, STATEMENTS).await {
        Err(failure) => unreadable(&failure.words()),
        Ok(rows) => match rows.first() {
            None => unreadable("no answer"),
            Some(row) => Statements::Counted {
                slow: row.try_get::<_, i64>("slow").unwrap_or(0).cast_unsigned(),
                slowest: Duration::try_from_secs_f64(
                    row.try_get::<_, f64>("slowest").unwrap_or(0.0) / 1000.0,
                )
                .unwrap_or_default(),
            },
        },
    }
}

async fn bounded(session: &Session, sql: &str) -> Result<Vec<tokio_postgres::Row>, Failure> {
    timeout(WITHIN, session.ask_once(sql)).await.unwrap_or(Err(Failure::Late))
}
