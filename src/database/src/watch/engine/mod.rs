//! What differs between plain PostgreSQL, Patroni and Aurora: the questions.
//!
//! The answers have one form, so that everything else is the same for all.

mod aurora;
mod patroni;
mod postgresql;

pub use patroni::Word;
pub(super) use patroni::ask as ask_patroni;

use super::session::{Failure, Session};
use evenkeel_config::database::Engine as Kind;
use evenkeel_policy::database::{Lsn, Role, Sample};
use evenkeel_policy::time::Millis;
use std::fmt::Debug;
use tokio_postgres::{Row, Statement};

/// An engine's questions.
pub(super) trait Engine: Debug + Send + Sync {
    /// A question whose answer, one boolean, tells which form of the others the node understands.
    fn form(&self) -> Option<&'static str> {
        None
    }

    /// What a node is and how far it is. Columns: `writes` boolean, `timeline`, `lsn`, `received`,
    /// `age`, `lag` bigint (milliseconds), `xmax` text, `system` bigint.
    fn probe(&self, form: bool) -> &'static str;

    /// The writer's position now (bigint); an error or no row from any other node.
    fn position(&self) -> &'static str;

    /// How far a replica has replayed (`lsn`), and on which timeline if it says so (`timeline`).
    fn replayed(&self) -> &'static str;

    /// Whether a promotion begins a timeline.
    fn has_timelines(&self) -> bool {
        true
    }

    /// Whether Patroni is to be asked beside the node itself.
    fn has_patroni(&self) -> bool {
        false
    }
}

/// The engine of that name.
pub(super) fn engine(kind: Kind) -> &'static dyn Engine {
    match kind {
        Kind::Postgresql => &postgresql::PostgreSql,
        Kind::Patroni => &patroni::Patroni,
        Kind::Aurora => &aurora::Aurora,
    }
}

/// What a probe was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// What the rules judge.
    pub(super) sample: Sample,
    /// The transaction number that the node will meet next.
    pub(super) xmax: Option<u64>,
    /// Which database this is: all nodes of one have the same.
    pub(super) system: Option<u64>,
}

/// The probe's statement, on a session of its own.
pub(super) async fn prepare(engine: &dyn Engine, session: &Session) -> Result<Statement, Failure> {
    let form = match engine.form() {
        None => false,
        Some(question) => {
            let rows = session.ask_once(question).await?;
            rows.first().is_some_and(|row| row.try_get(0).unwrap_or(false))
        }
    };
    session.prepare(engine.probe(form)).await
}

/// Probes once.
pub(super) async fn probe(session: &Session, statement: &Statement) -> Result<Answer, Failure> {
    match session.ask(statement).await? {
        Some(row) => read(&row).map_err(|error| Failure::Refused(format!("the probe's answer: {error}"))),
        None => Err(Failure::Refused("its status functions do not list the node itself".to_owned())),
    }
}

fn read(row: &Row) -> Result<Answer, tokio_postgres::Error> {
    let number = |column: &str| row.try_get::<_, Option<i64>>(column);
    let position = |column: &str| Ok::<_, tokio_postgres::Error>(number(column)?.map(lsn));
    let span = |column: &str| {
        Ok::<_, tokio_postgres::Error>(number(column)?.map(|ms| Millis::new(u64::try_from(ms).unwrap_or(0))))
    };
    let role = if row.try_get("writes")? { Role::Writer } else { Role::Replica };
    let sample = Sample {
        role,
        timeline: number("timeline")?.and_then(|timeline| u32::try_from(timeline).ok()).unwrap_or(0),
        lsn: position("lsn")?.unwrap_or_default(),
        received: position("received")?,
        replay_age: span("age")?,
        lag: span("lag")?,
    };
    let xmax = row.try_get::<_, Option<&str>>("xmax")?.and_then(|xmax| xmax.parse().ok());
    let system = number("system")?.map(i64::cast_unsigned);
    Ok(Answer { sample, xmax, system })
}

/// A position as the questions write it.
pub(super) fn lsn(number: i64) -> Lsn {
    Lsn(number.cast_unsigned())
}
