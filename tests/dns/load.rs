//! dnsperf's figures are figures of what it asked.

use crate::*;
use evenkeel_tests::dns::dnsperf::{self, Load};

#[tokio::test]
async fn a_second_of_questions_is_counted() {
    let gdnsd = gdnsd(&Scene::of_two_regions()).await;
    let load = Load {
        client_subnet: Some([203, 0, 113, 0].into()),
        ..Load::of("api.example.com", "A", Duration::from_secs(1))
    };
    for tcp in [false, true] {
        let figures = dnsperf::run(Load { tcp, ..load.clone() }, gdnsd.address()).await.expect("figures");
        assert!(figures.completed > 1000 && figures.per_second > 1000.0, "{figures:?}");
        assert_eq!(figures.codes, [("NOERROR".to_owned(), figures.completed)]);
        assert_eq!(figures.sent, figures.completed + figures.lost);
    }
    let load = Load::of("nobody.example.com", "A", Duration::from_secs(1));
    let figures = dnsperf::run(load, gdnsd.address()).await.expect("figures");
    assert_eq!(figures.codes, [("NXDOMAIN".to_owned(), figures.completed)]);
}

#[tokio::test]
async fn a_server_that_says_nothing_loses_all_questions() {
    let mut gdnsd = gdnsd(&Scene::of_two_regions()).await;
    gdnsd.daemon().freeze().await;
    let load = Load { outstanding: 1, ..Load::of("plain.example.com", "A", Duration::from_secs(1)) };
    let figures = dnsperf::run(load, gdnsd.address()).await.expect("figures");
    assert_eq!((figures.completed, figures.lost), (0, figures.sent), "{figures:?}");
    assert!(figures.sent > 0, "{figures:?}");
}
