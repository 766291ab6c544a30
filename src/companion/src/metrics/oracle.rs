//! The votes and checks behind DNS' answers.
//!
//! `evenkeel_region_healthy`, `evenkeel_region_share`, `evenkeel_health_checks_total` and
//! `evenkeel_failovers_total` are names that an edge's page has too, of what that edge does; here they
//! bear `layer="dns"`.

use super::{Labels, Page, seconds_of};
use crate::oracle::Oracle;
use crate::oracle::layer;
use crate::status::{CheckKind, CheckStatus};

/// Writes them.
pub(super) fn write(oracle: &Oracle, page: &mut Page) {
    let (votes, checks) = (oracle.votes(), oracle.checks());
    let flag = |set: bool| f64::from(u8::from(set));
    let check = |check: &CheckStatus| -> Labels { vec![("check", check.name.clone())] };
    let region = |check: &CheckStatus| -> Labels { vec![("region", check.name.clone()), layer()] };
    page.gauges(
        "evenkeel_health_check_up",
        "1 if the check is healthy by the votes of all, else 0",
        checks.iter().map(|status| (check(status), flag(status.up))),
    );
    page.gauges(
        "evenkeel_health_check_healthy_percent",
        "Percent of the votes in force that call the check healthy",
        checks.iter().filter_map(|status| Some((check(status), status.healthy_percent?))),
    );
    let mut times = |name, help, time: &dyn Fn(&CheckStatus) -> Option<f64>| {
        let known = checks.iter().filter_map(|status| Some((check(status), seconds_of(time(status)?))));
        page.seconds(name, help, known);
    };
    let connect = "How long this voter's last probe took to connect";
    times("evenkeel_health_check_connect", connect, &|status| status.connect_ms);
    times("evenkeel_health_check_tls", "How long that probe's TLS handshake took", &|status| status.tls_ms);
    let first_byte = "How long that probe took from its request to the answer's head";
    times("evenkeel_health_check_first_byte", first_byte, &|status| status.first_byte_ms);
    let regions = || checks.iter().filter(|status| status.kind == CheckKind::Region);
    page.gauges(
        "evenkeel_region_healthy",
        "1 if the region is healthy by the votes of all, else 0",
        regions().map(|status| (region(status), flag(status.up))),
    );
    page.gauges(
        "evenkeel_region_share",
        "Percent of its normal share that the region gets in DNS' answers",
        regions().map(|status| (region(status), f64::from(status.share))),
    );
    page.gauges(
        "evenkeel_votes",
        "1 if the voter calls the check healthy, 0 if not; none where its vote is not in force",
        checks.iter().flat_map(|status| {
            status.votes.iter().map(|(voter, up)| {
                (vec![("voter", voter.clone()), ("check", status.name.clone())], flag(*up))
            })
        }),
    );
    page.gauges(
        "evenkeel_voter_heard",
        "1 if the voter is heard, else 0",
        votes.voters.iter().map(|voter| (vec![("voter", voter.name.clone())], flag(voter.heard))),
    );
    let counters = &oracle.counters;
    page.0.register("evenkeel_health_checks", "Probes by this voter", counters.probes.clone());
    page.0.register(
        "evenkeel_failovers",
        "Regions that went out of DNS' answers",
        counters.failovers.clone(),
    );
}
