//! Aurora PostgreSQL, in one region or as a global database.
//!
//! Its readers share the writer's storage, so there are no timelines, and its own functions tell who
//! writes and how late the others are. A node writes only if both PostgreSQL and those functions say
//! so. Positions are Aurora's own numbers.

use super::Engine;

/// Aurora PostgreSQL.
#[derive(Debug)]
pub(super) struct Aurora;

const IS_GLOBAL: &str = "SELECT to_regproc('aurora_global_db_instance_status') IS NOT NULL
   AND to_regproc('aurora_global_db_status') IS NOT NULL";

/// In a global database a reader is late by what its storage is behind the writer's region, and by what
/// it is behind that storage itself. A durability lag of -1 marks the writer's own region.
const GLOBAL: &str = "\
SELECT NOT pg_is_in_recovery() AND coalesce(i.session_id, r.session_id) = 'MASTER_SESSION_ID' AS writes,
       1::bigint AS timeline,
       CASE WHEN pg_is_in_recovery() THEN r.current_read_lsn
            ELSE greatest(r.durable_lsn, r.highest_lsn_rcvd) END::bigint AS lsn,
       r.highest_lsn_rcvd::bigint AS received,
       NULL::bigint AS age,
       (coalesce(i.visibility_lag_in_msec, r.replica_lag_in_msec)
         + greatest(coalesce(g.durability_lag_in_msec, 0), 0))::bigint AS lag,
       pg_snapshot_xmax(pg_current_snapshot())::text AS xmax,
       NULL::bigint AS system
  FROM aurora_replica_status() r
  LEFT JOIN aurora_global_db_instance_status() i ON i.server_id = r.server_id
  LEFT JOIN aurora_global_db_status() g ON g.aws_region = i.aws_region
 WHERE r.server_id = aurora_db_instance_identifier()";

const REGIONAL: &str = "\
SELECT NOT pg_is_in_recovery() AND r.session_id = 'MASTER_SESSION_ID' AS writes,
       1::bigint AS timeline,
       CASE WHEN pg_is_in_recovery() THEN r.current_read_lsn
            ELSE greatest(r.durable_lsn, r.highest_lsn_rcvd) END::bigint AS lsn,
       r.highest_lsn_rcvd::bigint AS received,
       NULL::bigint AS age,
       r.replica_lag_in_msec::bigint AS lag,
       pg_snapshot_xmax(pg_current_snapshot())::text AS xmax,
       NULL::bigint AS system
  FROM aurora_replica_status() r
 WHERE r.server_id = aurora_db_instance_identifier()";

const POSITION: &str = "\
SELECT greatest(durable_lsn, highest_lsn_rcvd)::bigint
  FROM aurora_replica_status()
 WHERE server_id = aurora_db_instance_identifier() AND session_id = 'MASTER_SESSION_ID'
   AND NOT pg_is_in_recovery()";

const REPLAYED: &str = "\
SELECT current_read_lsn::bigint AS lsn, 1::bigint AS timeline
  FROM aurora_replica_status()
 WHERE server_id = aurora_db_instance_identifier() AND pg_is_in_recovery()";

impl Engine for Aurora {
    fn form(&self) -> Option<&'static str> {
        Some(IS_GLOBAL)
    }

    fn probe(&self, form: bool) -> &'static str {
        if form { GLOBAL } else { REGIONAL }
    }

    fn position(&self) -> &'static str {
        POSITION
    }

    fn replayed(&self) -> &'static str {
        REPLAYED
    }

    fn has_timelines(&self) -> bool {
        false
    }
}
