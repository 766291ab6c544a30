//! What stands beside Evenkeel answers as it is believed to.

use crate::*;
use evenkeel_tests::dns::{PowerDns, Tool};
use evenkeel_tests::until;

/// Of 200 draws by 60 to 40, five standard deviations from the mean.
const FAIR: std::ops::RangeInclusive<usize> = 85..=155;

#[tokio::test]
async fn gdnsd_answers_by_place_by_weight_and_by_health() {
    let scene = Scene::of_two_regions();
    let mut gdnsd = gdnsd(&scene).await;
    let server = gdnsd.address();
    let reply = ask(server, "api.example.com", IN_TAIWAN).await;
    assert_eq!(reply.data("A"), [TAIWAN], "{}", reply.text);
    assert_eq!((reply.answer[0].ttl, reply.status.as_str()), (60, "NOERROR"));
    let (network, source, scope) = reply.subnet.expect("the client's network");
    assert_eq!((network.as_str(), source), ("203.0.113.0", 24));
    assert!(scope > 0, "the answer holds for that network alone");
    assert_eq!(ask(server, "api.example.com", IN_JAPAN).await.data("A"), [JAPAN]);
    assert!(FAIR.contains(&share_of(TAIWAN, server, "api.example.com", IN_FRANCE, 200).await));
    assert!(FAIR.contains(&share_of(TAIWAN, server, "spread.example.com", ANYWHERE, 200).await));

    gdnsd.set_health(TAIWAN.parse().expect("an address"), false);
    until("Taiwan's clients get Japan", SOON, async || {
        (ask(server, "api.example.com", IN_TAIWAN).await.data("A") == [JAPAN]).then_some(())
    })
    .await;
    assert_eq!(ask(server, "plain.example.com", IN_TAIWAN).await.data("A"), [TAIWAN]);
    gdnsd.set_health(TAIWAN.parse().expect("an address"), true);
    until("and are back", SOON, async || {
        (ask(server, "api.example.com", IN_TAIWAN).await.data("A") == [TAIWAN]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn powerdns_answers_by_place_and_by_weight() {
    let powerdns = PowerDns::start(&Scene::of_two_regions(), places().path()).await;
    let server = powerdns.address();
    let reply = ask(server, "api.example.com", IN_TAIWAN).await;
    assert_eq!(reply.data("A"), [TAIWAN], "{}", reply.text);
    assert_eq!(reply.answer[0].ttl, 60);
    assert!(reply.subnet.is_some_and(|(_, _, scope)| scope > 0), "{}", reply.text);
    assert_eq!(ask(server, "api.example.com", IN_JAPAN).await.data("A"), [JAPAN]);
    assert!(FAIR.contains(&share_of(TAIWAN, server, "api.example.com", IN_FRANCE, 200).await));
    assert!(FAIR.contains(&share_of(TAIWAN, server, "spread.example.com", ANYWHERE, 200).await));
    assert_eq!(ask(server, "plain.example.com", ANYWHERE).await.data("A"), [TAIWAN]);
}

#[tokio::test]
async fn kdig_and_dig_hear_the_same_by_udp_and_by_tcp() {
    let gdnsd = gdnsd(&Scene::of_two_regions()).await;
    for question in [Question::new("api.example.com", "A").from(IN_JAPAN), Question::new("example.com", "NS")]
    {
        let mut heard = Vec::new();
        for tool in [Tool::Kdig, Tool::Dig] {
            for question in [question.clone().by(tool), question.clone().by(tool).tcp()] {
                let mut reply = question.ask(gdnsd.address()).await.expect("an answer");
                reply.text.clear();
                reply.answer.sort_by(|one, other| one.data.cmp(&other.data));
                heard.push(reply);
            }
        }
        assert!(heard.iter().all(|reply| *reply == heard[0]), "{heard:#?}");
        assert!(heard[0].has("aa") && !heard[0].answer.is_empty(), "{:#?}", heard[0]);
    }
    let reply = Question::new("nobody.example.com", "A").ask(gdnsd.address()).await.expect("an answer");
    assert_eq!((reply.status.as_str(), reply.answer.len()), ("NXDOMAIN", 0));
    assert_eq!(reply.authority.iter().filter(|record| record.kind == "SOA").count(), 1);
}

#[tokio::test]
async fn a_server_that_is_frozen_or_dead_gives_no_answer_and_comes_back_at_its_port() {
    let mut gdnsd = gdnsd(&Scene::of_two_regions()).await;
    let question = Question::new("plain.example.com", "A");
    let server = gdnsd.address();
    gdnsd.daemon().freeze().await;
    assert!(question.ask(server).await.is_err());
    gdnsd.daemon().thaw();
    assert_eq!(question.ask(server).await.expect("an answer").data("A"), [TAIWAN]);
    gdnsd.daemon().kill();
    assert!(question.ask(server).await.is_err());
    gdnsd.daemon().restore().await;
    assert_eq!(question.ask(server).await.expect("an answer").data("A"), [TAIWAN]);
}
