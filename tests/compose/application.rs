//! A region's application dies.

use crate::observed::arrived;
use crate::platform::{REGIONS, SOON, answers, docker, whole};
use crate::shop::{known_order, read};
use evenkeel_tests::until;
use std::collections::BTreeSet;
use std::time::Instant;

#[tokio::test]
async fn a_killed_application_costs_no_read_dns_follows_and_who_is_on_call_is_told() {
    whole().await;
    let id = known_order("application").await;
    let (taiwan, japan) = ("172.30.81.10".to_owned(), "172.30.82.10".to_owned());
    assert_eq!(answers("japan", "main"), BTreeSet::from([taiwan.clone()]));
    let words = ["FIRING EvenkeelRegionOut", "region taiwan is out of the DNS answers"];
    let mut before = [0; 2];
    for (count, words) in before.iter_mut().zip(words) {
        *count = arrived(words).await;
    }

    docker("kill", &["taiwan-shop"]);
    let begun = Instant::now();
    let mut reads = 0;
    let followed = until("both companions answer with Japan alone", SOON, async || {
        for region in REGIONS {
            let reply = read(region, &id).await.expect("an answer");
            assert_eq!(reply.status, 200, "{region}, {:?}: {}", begun.elapsed(), reply.text());
            reads += 1;
        }
        let only = BTreeSet::from([japan.clone()]);
        let all =
            REGIONS.iter().all(|region| ["main", "api"].iter().all(|name| answers(region, name) == only));
        all.then(|| begun.elapsed())
    })
    .await;
    println!("measured: DNS followed a killed application after {followed:?}; {reads} reads, none failed");

    for (count, words) in before.into_iter().zip(words) {
        until(words, SOON, async || (arrived(words).await > count).then_some(())).await;
        println!("measured: {words:?} arrived {:?} after the kill", begun.elapsed());
    }

    docker("start", &["taiwan-shop"]);
    whole().await;
    until("DNS answers with Taiwan again", SOON, async || {
        (answers("japan", "main") == BTreeSet::from([taiwan.clone()])).then_some(())
    })
    .await;
}
