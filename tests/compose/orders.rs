//! Orders while nothing is wrong.

use crate::platform::{REGIONS, SOON, other, whole};
use crate::shop::{id, key, order, read};
use evenkeel_tests::until;

#[tokio::test]
async fn an_order_is_taken_once_through_either_edge_and_read_in_both_regions() {
    whole().await;
    for (number, region) in REGIONS.into_iter().enumerate() {
        let key = key("once", number);
        let taken = order(region, &key, 2).await.expect("an answer");
        assert_eq!(taken.status, 201, "{}", taken.text());
        assert!(taken.decision().starts_with(&format!("region={region}")), "{}", taken.decision());
        let again = order(other(region), &key, 2).await.expect("an answer");
        assert_eq!((again.status, id(&again)), (200, id(&taken)), "the same order through the other edge");
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        let conflict = order(region, &key, 3).await.expect("an answer");
        assert_eq!(conflict.status, 409, "{}", conflict.text());
        // At once where it was taken; elsewhere as soon as the replica has it.
        assert_eq!(read(region, &id(&taken)).await.expect("an answer").text(), taken.text());
        let far = until("the other region has it", SOON, async || {
            read(other(region), &id(&taken)).await.ok().filter(|reply| reply.status == 200)
        })
        .await;
        assert_eq!(far.text(), taken.text());
    }
}
