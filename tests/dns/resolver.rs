//! A caching resolver between clients and the server.

use crate::*;
use evenkeel_tests::dns::{Resolving, Unbound};
use evenkeel_tests::until;

async fn unbound(server: SocketAddr, client_subnet: bool) -> Unbound {
    let zone = "example.com".to_owned();
    Unbound::start(&Resolving { zone, servers: vec![server], client_subnet }).await
}

#[tokio::test]
async fn it_answers_from_its_cache_when_the_server_is_gone() {
    let mut gdnsd = gdnsd(&Scene::of_two_regions()).await;
    let unbound = unbound(gdnsd.address(), false).await;
    let first = ask(unbound.address(), "plain.example.com", ANYWHERE).await;
    assert_eq!(first.data("A"), [TAIWAN], "{}", first.text);
    assert!(!first.has("aa") && first.has("ra"), "{:?}", first.flags);
    gdnsd.daemon().kill();
    let again = ask(unbound.address(), "plain.example.com", ANYWHERE).await;
    assert_eq!(again.data("A"), [TAIWAN]);
    assert!(again.answer[0].ttl <= first.answer[0].ttl, "{}", again.text);
    let unknown = Question::new("spread.example.com", "A").ask(unbound.address()).await;
    assert!(unknown.is_err() || unknown.is_ok_and(|reply| reply.status == "SERVFAIL"));
}

#[tokio::test]
async fn without_client_subnet_all_its_clients_share_one_answer() {
    let gdnsd = gdnsd(&Scene::of_two_regions()).await;
    let unbound = unbound(gdnsd.address(), false).await;
    let first = ask(unbound.address(), "api.example.com", IN_TAIWAN).await;
    let other = ask(unbound.address(), "api.example.com", IN_JAPAN).await;
    assert_eq!(first.data("A"), other.data("A"));
    assert_eq!(first.subnet, None, "{}", first.text);
}

#[tokio::test]
async fn with_client_subnet_each_country_has_its_own_answer_also_from_the_cache() {
    let mut gdnsd = gdnsd(&Scene::of_two_regions()).await;
    let unbound = unbound(gdnsd.address(), true).await;
    for round in ["from the server", "from the cache"] {
        for (network, answer) in [(IN_TAIWAN, TAIWAN), (IN_JAPAN, JAPAN)] {
            let reply = ask(unbound.address(), "api.example.com", network).await;
            assert_eq!(reply.data("A"), [answer], "{round}: {}", reply.text);
            assert!(reply.subnet.is_some_and(|(_, source, _)| source == 24), "{round}: {}", reply.text);
        }
        gdnsd.daemon().kill();
    }
}

#[tokio::test]
async fn its_clients_follow_a_failover_when_the_time_to_live_is_over() {
    let scene = Scene { ttl: 2, ..Scene::of_two_regions() };
    let mut gdnsd = gdnsd(&scene).await;
    let (server, unbound) = (gdnsd.address(), unbound(gdnsd.address(), true).await);
    assert_eq!(ask(unbound.address(), "api.example.com", IN_TAIWAN).await.data("A"), [TAIWAN]);
    gdnsd.set_health(TAIWAN.parse().expect("an address"), false);
    until("the server answers Japan", SOON, async || {
        (ask(server, "api.example.com", IN_TAIWAN).await.data("A") == [JAPAN]).then_some(())
    })
    .await;
    let reply = until("the resolver answers Japan", SOON, async || {
        let reply = ask(unbound.address(), "api.example.com", IN_TAIWAN).await;
        (reply.data("A") == [JAPAN]).then_some(reply)
    })
    .await;
    assert!(reply.answer[0].ttl <= 2, "{}", reply.text);
}
