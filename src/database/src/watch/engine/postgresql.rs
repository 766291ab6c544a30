//! PostgreSQL itself.

use super::Engine;

/// PostgreSQL 13 and later, whoever promotes it.
#[derive(Debug)]
pub(super) struct PostgreSql;

/// About 0.1 ms on the node.
///
/// The writer's timeline is in the name of the file that it writes; `pg_control_checkpoint` lags behind
/// for a while after a promotion. A replica has no such file: it tells what its receiver was told, and
/// what is certain from its control file. The subquery asks for the role once, so that a promotion
/// meanwhile cannot make the parts contradict each other.
const PROBE: &str = "\
SELECT NOT r.recovers AS writes,
       CASE WHEN r.recovers
            THEN (SELECT greatest(c.timeline_id, v.min_recovery_end_timeline,
                                  (SELECT received_tli FROM pg_stat_wal_receiver))
                    FROM pg_control_checkpoint() c, pg_control_recovery() v)::bigint
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint
       END AS timeline,
       (CASE WHEN r.recovers THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - '0/0')::bigint AS lsn,
       CASE WHEN r.recovers THEN (pg_last_wal_receive_lsn() - '0/0')::bigint END AS received,
       CASE WHEN r.recovers
            THEN (extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000)::bigint
       END AS age,
       NULL::bigint AS lag,
       pg_snapshot_xmax(pg_current_snapshot())::text AS xmax,
       (SELECT system_identifier FROM pg_control_system()) AS system
  FROM (SELECT pg_is_in_recovery() AS recovers OFFSET 0) r";

/// An error on any other node than a writer.
pub(super) const POSITION: &str = "SELECT (pg_current_wal_lsn() - '0/0')::bigint";

pub(super) const REPLAYED: &str = "\
SELECT (pg_last_wal_replay_lsn() - '0/0')::bigint AS lsn,
       (SELECT received_tli FROM pg_stat_wal_receiver)::bigint AS timeline
 WHERE pg_is_in_recovery()";

impl Engine for PostgreSql {
    fn probe(&self, _form: bool) -> &'static str {
        PROBE
    }

    fn position(&self) -> &'static str {
        POSITION
    }

    fn replayed(&self) -> &'static str {
        REPLAYED
    }
}
