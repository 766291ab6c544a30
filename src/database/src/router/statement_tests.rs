use super::*;
use proptest::prelude::*;

fn read(sql: &str) -> Statement {
    Statement::read(sql.as_bytes())
}

#[test]
fn what_reads_may_be_tried_near() {
    for sql in [
        "SELECT 1",
        "select * from orders where note = 'delete me'",
        "/* update */ SELECT 1",
        "(select 1) union (select 2)",
        "VALUES (1)",
        "TABLE orders",
        "WITH x AS (SELECT 1) SELECT * FROM x",
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT 1",
        "SELECT 1; SELECT 2;",
        "SELECT abalance FROM pgbench_accounts WHERE aid = $1",
        "select pg_sleep(1)",
        "",
        ";",
    ] {
        assert!(read(sql).near, "{sql}");
        assert_eq!(read(sql).effects, [], "{sql}");
    }
}

#[test]
fn what_writes_or_would_differ_on_a_replica_goes_to_the_writer() {
    for sql in [
        "INSERT INTO t VALUES (1)",
        "UPDATE t SET a = 1",
        "DELETE FROM t",
        "MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE",
        "WITH x AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM x",
        "SELECT * INTO t2 FROM t",
        "SELECT * FROM t FOR UPDATE",
        "SELECT * FROM t FOR SHARE",
        "SELECT * FROM t FOR NO KEY UPDATE",
        "SELECT * FROM t FOR KEY SHARE",
        "SELECT nextval('s')",
        "SELECT currval('s')",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_catalog.\"pg_try_advisory_lock\"(1)",
        "SELECT pg_advisory_xact_lock(1)",
        "SELECT pg_notify('a', 'b')",
        "SELECT pg_current_wal_lsn()",
        "SELECT txid_current()",
        "SELECT set_config('a.b', 'c', true)",
        "EXPLAIN ANALYZE UPDATE t SET a = 1",
        "COPY t TO STDOUT",
        "COPY t FROM STDIN",
        "SHOW transaction_read_only",
        "SET work_mem = '1MB'",
        "DISCARD ALL",
        "LISTEN a",
        "NOTIFY a",
        "LOCK t",
        "CREATE TABLE t (a int)",
        "VACUUM",
        "CALL p()",
        "DO $$ begin end $$",
        "EXECUTE s",
        "FETCH ALL FROM c",
        "SELECT 1; DELETE FROM t",
        "SELECT * FROM pg_temp.t",
    ] {
        assert!(!read(sql).near, "{sql}");
    }
}

#[test]
fn transactions_are_begun_and_ended() {
    let table = [
        ("BEGIN", Control::Begin { near: false }),
        ("begin transaction read only", Control::Begin { near: true }),
        ("START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", Control::Begin { near: true }),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE", Control::Begin { near: false }),
        ("BEGIN READ WRITE", Control::Begin { near: false }),
        ("COMMIT", Control::Commit),
        ("END WORK;", Control::Commit),
        ("COMMIT AND CHAIN", Control::None),
        ("COMMIT PREPARED 'x'", Control::None),
        ("ROLLBACK", Control::Rollback),
        ("ABORT", Control::Rollback),
        ("ROLLBACK TO SAVEPOINT a", Control::None),
        ("BEGIN; SELECT 1; COMMIT", Control::None),
    ];
    for (sql, control) in table {
        assert_eq!(read(sql).control, control, "{sql}");
    }
}

#[test]
fn settings_are_remembered_by_their_words() {
    let table = [
        ("SET work_mem = '1MB'", "work_mem"),
        ("set session Work_Mem to '1MB';", "work_mem"),
        ("SET app.user = 'x'", "app.user"),
        ("SET \"app\".\"User\" TO 'x'", "app.user"),
        ("SET TIME ZONE 'UTC'", "timezone"),
        ("SET NAMES 'UTF8'", "client_encoding"),
        ("SET SCHEMA 'x'", "search_path"),
        ("SET ROLE reader", "role"),
        ("SET SESSION ROLE reader", "role"),
        ("SET SESSION AUTHORIZATION reader", "session authorization"),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "session characteristics"),
    ];
    for (sql, key) in table {
        let sql_kept = sql.trim_end_matches(';').to_owned();
        assert_eq!(read(sql).effects, [Effect::Set { key: key.to_owned(), sql: sql_kept }], "{sql}");
    }
    let two = read("SET a.b = 1; SET c.d = 2");
    assert_eq!(two.effects.len(), 2);
    assert_eq!(two.effects[1], Effect::Set { key: "c.d".into(), sql: "SET c.d = 2".into() });
}

#[test]
fn settings_are_taken_back() {
    let table = [
        ("RESET work_mem", Effect::Reset("work_mem".into())),
        ("RESET TIME ZONE", Effect::Reset("timezone".into())),
        ("RESET SESSION AUTHORIZATION", Effect::Reset("session authorization".into())),
        ("RESET ROLE", Effect::Reset("role".into())),
        ("SET work_mem TO DEFAULT", Effect::Reset("work_mem".into())),
        ("SET TIME ZONE DEFAULT", Effect::Reset("timezone".into())),
        ("RESET ALL", Effect::ResetAll),
        ("DISCARD ALL", Effect::DiscardAll),
    ];
    for (sql, effect) in table {
        assert_eq!(read(sql).effects, [effect], "{sql}");
    }
    for sql in ["SET LOCAL work_mem = 1", "SET TRANSACTION READ ONLY", "SET CONSTRAINTS ALL DEFERRED"] {
        assert_eq!(read(sql).effects, [], "{sql}");
    }
}

#[test]
fn state_in_the_connection_is_seen() {
    let table = [
        ("LISTEN a", Pins::LISTEN),
        ("CREATE TEMP TABLE t (a int)", Pins::TEMPORARY),
        ("CREATE LOCAL TEMPORARY TABLE t AS SELECT 1", Pins::TEMPORARY),
        ("SELECT 1 AS a INTO TEMP t", Pins::TEMPORARY),
        ("PREPARE s AS SELECT 1", Pins::PREPARED),
        ("SELECT pg_advisory_lock(1)", Pins::LOCK),
        ("SELECT pg_try_advisory_lock_shared(1)", Pins::LOCK),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", Pins::CURSOR),
        ("LOAD 'x'", Pins::OTHER),
        ("SELECT set_config('a.b', f('c', true), false)", Pins::OTHER),
        ("SET SEED TO 0.5", Pins::OTHER),
    ];
    for (sql, pin) in table {
        assert_eq!(read(sql).pins(), pin, "{sql}");
    }
    for sql in [
        "PREPARE TRANSACTION 'x'",
        "SELECT pg_advisory_xact_lock(1)",
        "DECLARE c CURSOR FOR SELECT 1",
        "SELECT set_config('a.b', f(1), true)",
        "DISCARD TEMP",
    ] {
        assert!(read(sql).pins().is_empty(), "{sql}");
    }
}

#[test]
fn the_reset_of_a_driver_ends_what_it_says() {
    let reset = read("SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;");
    assert_eq!(
        reset.effects,
        [
            Effect::Unpin(Pins::LOCK),
            Effect::Unpin(Pins::CURSOR),
            Effect::Unpin(Pins::LISTEN),
            Effect::ResetAll
        ]
    );
}

#[test]
fn prepared_statements_are_forgotten_by_name() {
    let table = [
        ("DEALLOCATE \"_pg3_0\"", Some(b"_pg3_0".to_vec())),
        ("DEALLOCATE PREPARE Abc", Some(b"abc".to_vec())),
    ];
    for (sql, name) in table {
        assert_eq!(read(sql).effects, [Effect::Deallocate(name)], "{sql}");
    }
    assert_eq!(read("DEALLOCATE ALL").effects.first(), Some(&Effect::Deallocate(None)));
}

proptest! {
    #[test]
    fn any_text_is_read(bytes: Vec<u8>) {
        let _ = Statement::read(&bytes);
    }

    #[test]
    fn no_spacing_or_case_hides_a_write(
        space in "[ \t\n]{1,3}|/\\*[a-z ]{0,5}\\*/",
        word in prop::sample::select(vec!["insert", "UPDATE", "Delete", "mErGe"]),
    ) {
        let sql = format!("{space}with{space}x as ({space}{word}{space}t) select 1");
        prop_assert!(!read(&sql).near);
    }
}

#[test]
fn what_may_commit_is_known_from_what_cannot() {
    for (sql, alone, stays, atomic) in [
        ("INSERT INTO t VALUES (1)", true, true, true),
        ("INSERT INTO t VALUES (1); SELECT 'commit'", false, true, true),
        ("ROLLBACK TO a", true, true, true),
        ("CALL p()", true, true, false),
        ("DO $$BEGIN COMMIT; END$$", true, true, false),
        ("CREATE INDEX CONCURRENTLY ON t (a)", true, true, false),
        ("COMMIT", true, false, false),
        ("COMMIT AND CHAIN", true, false, false),
        ("INSERT INTO t VALUES (1); END", false, false, false),
        ("PREPARE TRANSACTION 'a'", true, false, false),
        ("SELECT 1; ROLLBACK; SELECT 2", false, false, true),
        ("", true, true, true),
    ] {
        let read = read(sql);
        assert_eq!((read.alone, read.stays, read.atomic), (alone, stays, atomic), "{sql}");
    }
    let unread = Statement::default();
    assert!(!unread.alone && !unread.stays && !unread.atomic, "what was not read may do anything");
}

#[test]
fn transactions_that_end_in_a_text_and_savepoints_are_effects() {
    let set = |key: &str, sql: &str| Effect::Set { key: key.to_owned(), sql: sql.to_owned() };
    assert_eq!(read("COMMIT").effects, []);
    assert_eq!(
        read("SET a = 1; ROLLBACK; SET b = 2; COMMIT").effects,
        [
            set("a", "SET a = 1"),
            Effect::Ended { kept: false },
            set("b", "SET b = 2"),
            Effect::Ended { kept: true }
        ]
    );
    assert_eq!(read("SAVEPOINT Mine").effects, [Effect::Savepoint(b"mine".to_vec())]);
    assert_eq!(read("ROLLBACK TO SAVEPOINT \"Mine\"").effects, [Effect::RollbackTo(b"Mine".to_vec())]);
    assert_eq!(read("ROLLBACK WORK TO mine;").effects, [Effect::RollbackTo(b"mine".to_vec())]);
}

#[test]
fn what_would_let_a_reader_write_is_known() {
    for (sql, unlocks) in [
        ("SELECT 'read write'", Unlock::None),
        ("SHOW transaction_read_only", Unlock::None),
        ("SELECT current_setting('transaction_read_only')", Unlock::None),
        ("BEGIN READ ONLY", Unlock::None),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", Unlock::None),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", Unlock::Later),
        ("SET default_transaction_read_only = off", Unlock::Later),
        ("RESET default_transaction_read_only", Unlock::Later),
        ("RESET ALL", Unlock::Later),
        ("SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL", Unlock::Later),
        ("RESET ALL; COMMIT; DELETE FROM t", Unlock::Now),
        ("BEGIN READ WRITE", Unlock::Now),
        ("START TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE", Unlock::Now),
        ("SET TRANSACTION READ WRITE", Unlock::Now),
        ("SET transaction_read_only = off", Unlock::Now),
        ("SET LOCAL transaction_read_only TO off", Unlock::Now),
        ("SELECT set_config('transaction_read_only', 'off', true)", Unlock::Now),
        ("SELECT set_config('Default_Transaction_Read_Only', 'off', false)", Unlock::Now),
        ("DO $$BEGIN PERFORM set_config('default_transaction_read_only', 'off', false); END$$", Unlock::Now),
    ] {
        assert_eq!(read(sql).unlocks, unlocks, "{sql}");
    }
}

#[test]
fn names_are_taken_as_postgresql_takes_them() {
    let table = [
        ("SAVEPOINT One", Effect::Savepoint(b"one".to_vec())),
        ("savepoint \"One\"", Effect::Savepoint(b"One".to_vec())),
        ("ROLLBACK TO one", Effect::RollbackTo(b"one".to_vec())),
        ("rollback work to savepoint ONE;", Effect::RollbackTo(b"one".to_vec())),
        ("ROLLBACK TRANSACTION TO \"One\"", Effect::RollbackTo(b"One".to_vec())),
        ("DEALLOCATE PREPARE A", Effect::Deallocate(Some(b"a".to_vec()))),
        ("DROP DATABASE shop", Effect::DropDatabase(b"shop".to_vec())),
        ("DROP DATABASE IF EXISTS \"Shop\" WITH (FORCE)", Effect::DropDatabase(b"Shop".to_vec())),
    ];
    for (sql, effect) in table {
        assert_eq!(read(sql).effects, [effect], "{sql}");
        assert_eq!(read(sql).control, Control::None, "{sql}");
    }
}
