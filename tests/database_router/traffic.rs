//! Everything that a protocol of two ways carries: COPY, cursors, pipelines, large values.

use crate::{Options, Setup};
use bytes::Bytes;
use futures_util::{SinkExt, TryStreamExt, future::join_all, pin_mut};
use std::time::Instant;

/// 50 MB in pieces of 1 MB, each a thousand lines.
const PIECES: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_megabytes_are_copied_in_and_out_unharmed() {
    let setup = Setup::start(Options::default()).await;
    setup.prepare("CREATE TABLE big (id int, text text)").await;
    let session = setup.connect("auto").await;
    let begun = Instant::now();
    let sink = session.copy_in::<_, Bytes>("COPY big FROM STDIN").await.unwrap();
    pin_mut!(sink);
    let padding = "x".repeat(1000);
    for piece in 0..PIECES {
        let mut text = String::with_capacity(1_050_000);
        for line in 0..1000 {
            text.push_str(&format!("{}\t{padding}\n", piece * 1000 + line));
        }
        sink.send(text.into()).await.unwrap();
    }
    assert_eq!(sink.finish().await.unwrap(), 50_000);
    println!("COPY in: {:.0} ms", crate::session::ms(begun));
    assert_eq!(
        session.value("SELECT count(DISTINCT id) || ' ' || sum(length(text)) FROM big").await,
        "50000 50000000"
    );

    let begun = Instant::now();
    let out = session.copy_out("COPY big TO STDOUT").await.unwrap();
    pin_mut!(out);
    let (mut bytes, mut lines) = (0, 0);
    while let Some(part) = out.try_next().await.unwrap() {
        bytes += part.len();
        lines += part.iter().filter(|byte| **byte == b'\n').count();
    }
    println!("COPY out: {:.0} ms, companion at {:.0} MB", crate::session::ms(begun), setup.memory());
    assert_eq!(lines, 50_000);
    assert!(bytes > 50_000_000);

    // One that is given up leaves nothing, and the session usable.
    let sink = session.copy_in::<_, Bytes>("COPY big FROM STDIN").await.unwrap();
    {
        pin_mut!(sink);
        sink.send("7\tlost\n".into()).await.unwrap();
    }
    assert_eq!(session.value("SELECT count(*) FROM big").await, "50000");
    // And one that the node refuses in the middle.
    let sink = session.copy_in::<_, Bytes>("COPY big FROM STDIN").await.unwrap();
    pin_mut!(sink);
    for _ in 0..100 {
        if sink.send(Bytes::from(vec![b'a'; 100_000])).await.is_err() {
            break;
        }
    }
    let _ = sink.send("not a number\tx\n".into()).await;
    assert_eq!(sink.finish().await.unwrap_err().code().unwrap().code(), "22P02");
    assert_eq!(session.value("SELECT count(*) FROM big").await, "50000");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_twenty_megabytes_go_both_ways() {
    let setup = Setup::start(Options::default()).await;
    setup.prepare("CREATE TABLE blobs (blob bytea)").await;
    let session = setup.connect("auto").await;
    let blob: Vec<u8> = (0..20_000_000_u32).map(|number| (number % 251) as u8).collect();
    let begun = Instant::now();
    session.execute("INSERT INTO blobs VALUES ($1)", &[&blob]).await.unwrap();
    let row = session.query_one("SELECT blob FROM blobs", &[]).await.unwrap();
    println!("both ways: {:.0} ms", crate::session::ms(begun));
    assert!(row.get::<_, &[u8]>(0) == blob, "20 MB are as they were");
    // As a text of SQL too.
    let text = "b".repeat(10_000_000);
    assert_eq!(session.value(&format!("SELECT length('{text}')")).await, "10000000");
    assert_eq!(session.value(&format!("SELECT '{text}'")).await.len(), 10_000_000);
    // A text that cannot be kept is refused, and said how it can be done.
    let error = session.prepare(&format!("SELECT '{text}'")).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "54000");
    assert_eq!(session.value("SELECT 1").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_and_portals_work_inside_transactions() {
    let setup = Setup::start(Options::default()).await;
    let mut session = setup.connect("auto").await;
    for begin in ["BEGIN", "BEGIN READ ONLY"] {
        session.run(begin).await;
        session.run("DECLARE c CURSOR FOR SELECT * FROM generate_series(1, 10000)").await;
        assert_eq!(session.simple_query("FETCH 100 FROM c").await.unwrap().len(), 102);
        assert_eq!(session.value("FETCH c").await, "101");
        session.run("CLOSE c; COMMIT").await;
    }
    let transaction = session.transaction().await.unwrap();
    let portal = transaction.bind("SELECT * FROM generate_series(1, 1000)", &[]).await.unwrap();
    let mut sum = 0;
    loop {
        let rows = transaction.query_portal(&portal, 300).await.unwrap();
        sum += rows.iter().map(|row| i64::from(row.get::<_, i32>(0))).sum::<i64>();
        if rows.len() < 300 {
            break;
        }
    }
    assert_eq!(sum, 500_500);
    transaction.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_statements_are_answered_in_order() {
    let setup = Setup::start(Options::default()).await;
    setup.prepare("CREATE TABLE numbers (number int)").await;
    let session = setup.connect("auto").await;
    let insert = session.prepare("INSERT INTO numbers VALUES ($1) RETURNING number").await.unwrap();
    let read = session.prepare("SELECT count(*)::int FROM numbers").await.unwrap();
    let numbers: Vec<i32> = (0..200).collect();
    let begun = Instant::now();
    // Written, read, written …: each read sees the writes before it and none after.
    let asked = numbers.iter().map(|number| async {
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [number];
        let (written, seen) =
            tokio::join!(session.query_one(&insert, &parameters), session.query_one(&read, &[]));
        (written.unwrap().get::<_, i32>(0), seen.unwrap().get::<_, i32>(0))
    });
    let answers = join_all(asked).await;
    println!("400 pipelined statements: {:.0} ms", crate::session::ms(begun));
    let expected: Vec<(i32, i32)> = numbers.iter().map(|number| (*number, number + 1)).collect();
    assert_eq!(answers, expected);
    // An error in the middle is its own statement's.
    let results = join_all(["SELECT 1", "SELECT 1/0", "SELECT 2"].map(|sql| session.query(sql, &[]))).await;
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
}
