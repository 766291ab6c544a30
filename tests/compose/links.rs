//! The way between the regions is cut.

use crate::platform::{REGIONS, SOON, cut_links, other, whole, writer};
use crate::shop::{key, known_order, order, read};
use evenkeel_tests::until;
use std::time::{Duration, Instant};

#[tokio::test]
#[ignore = "long: a minute and a half"]
async fn with_both_links_cut_regions_read_on_and_one_alone_writes() {
    whole().await;
    let id = known_order("links").await;
    let (_, near) = writer().await;
    let far = other(&near);

    cut_links(true).await;
    let held = key("links", 1);
    let refused = order(far, &held, 1);
    let reads = async {
        let begun = Instant::now();
        let mut reads = 0;
        while begun.elapsed() < Duration::from_secs(5) {
            for region in REGIONS {
                let reply = read(region, &id).await.expect("an answer");
                assert_eq!(reply.status, 200, "{region}, {:?}: {}", begun.elapsed(), reply.text());
                reads += 1;
            }
        }
        reads
    };
    let at_the_writer = key("links", 2);
    let taken = order(&near, &at_the_writer, 1);
    let (refused, reads, taken) = tokio::join!(refused, reads, taken);
    let (refused, taken) = (refused.expect("an answer"), taken.expect("an answer"));
    println!(
        "measured: {reads} reads while cut; the order at the writer took {:?}, the one on the other side was \
         refused after {:?}",
        taken.took, refused.took
    );
    assert_eq!(taken.status, 201, "where the writer is: {}", taken.text());
    assert_eq!(refused.status, 503, "where none is: {}", refused.text());
    assert!(refused.text().contains("ask again with the same idempotency-key"), "{}", refused.text());

    cut_links(false).await;
    let healed = Instant::now();
    // Its fate was unknown to the customer: asked again, it is one order.
    until("the far region orders again", SOON, async || {
        order(far, &held, 1).await.ok().filter(|reply| [200, 201].contains(&reply.status))
    })
    .await;
    println!("measured: orders at the far side {:?} after healing", healed.elapsed());
    whole().await;
}
