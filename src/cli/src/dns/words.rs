//! An explanation as text.

use crate::text::section;
use evenkeel_dns::Explanation;
use evenkeel_dns::explain::{ClientPlace, Odds, Step};
use evenkeel_policy::time::Millis;
use ipnet::IpNet;
use std::slice::from_ref;

/// The most answers whose odds are told one by one.
const MOST_ODDS: usize = 10;

/// The whole explanation, ready to print. `state` says what it rests on.
pub fn text(explanation: &Explanation, state: &str) -> String {
    let Explanation { name, record_type, from, rcode, answer, .. } = explanation;
    let mut out = String::new();
    section(&mut out, "Question", &[format!("{name} {record_type}, from {from}")]);
    section(&mut out, "Client", &[whereabouts(&explanation.place)]);
    // The columns of zone files are tabs.
    let records: Vec<String> = answer.iter().map(|record| record.replace('\t', " ")).collect();
    let none = [format!("{rcode}, and no records")];
    section(&mut out, "Answer", if records.is_empty() { &none } else { &records });
    section(&mut out, "Because", &[because(explanation)]);
    let steps: Vec<String> = explanation.steps.iter().map(step).collect();
    section(&mut out, "Looked at", &steps);
    section(&mut out, "Odds", &odds(&explanation.odds));
    section(&mut out, "Kept for", &[kept(explanation)]);
    section(&mut out, "Holds for", &[holds(explanation)]);
    section(&mut out, "State", from_ref(&state.to_owned()));
    out
}

fn whereabouts(place: &ClientPlace) -> String {
    let ClientPlace { country, continent, subdivision, network, database } = place;
    let mut parts: Vec<&str> = Vec::new();
    parts.extend(subdivision.as_deref().or(country.as_deref()));
    parts.extend(continent.as_deref());
    match (&parts[..], network) {
        ([], _) if !database => "nobody knows where: there is no database (dns.geoip)".to_owned(),
        ([], _) => "nobody knows where: the database says nothing of this address".to_owned(),
        (_, Some(network)) => format!("in {}, says the database of {network}", parts.join(", ")),
        (_, None) => format!("in {}, says the database", parts.join(", ")),
    }
}

fn because(explanation: &Explanation) -> String {
    let Explanation { rcode, reason, answer, steps, record_type, .. } = explanation;
    let why = match (rcode.as_str(), reason.as_str()) {
        ("REFUSED", _) => return "the name lies in no zone that is answered here.".to_owned(),
        ("NXDOMAIN", _) => return "the zone has no such name.".to_owned(),
        (_, "no_answer") => {
            return format!(
                "the name is there, but nobody in it serves this client ({reason}), or it has no {record_type} at all."
            );
        }
        (_, "simple") if steps.is_empty() => "it is the zone's own record",
        (_, "simple") => "it is the name's only answer, whatever its health",
        (_, "multivalue") => "all healthy members are answered, 8 of them at most",
        (_, "geo") => "that member serves the client's place",
        (_, "weighted") => "it was drawn by weight among the healthy ones",
        (_, "latency") => "it is the nearest healthy one by dns.latencies",
        (_, "primary") => "the primary is healthy",
        (_, "failover") => {
            "the one that should be answered is not healthy, or not fully back, so another one is"
        }
        (_, "degraded") => "no member is healthy, and an answer is better than none",
        _ => "the rules say so",
    };
    let region = explanation.region.as_ref().map_or_else(String::new, |region| format!("{region}: "));
    let nothing =
        if answer.is_empty() { format!("; but what was chosen has no {record_type}") } else { String::new() };
    format!("{region}{why} ({reason}){nothing}.")
}

fn step(step: &Step) -> String {
    let Step { set, policy, member, weight, latency_ms, check, share, taken } = step;
    let mut about = vec![policy.clone()];
    about.extend(weight.map(|weight| format!("weight {weight}")));
    about.extend(latency_ms.map(|ms| format!("{ms} ms away")));
    let check = match check {
        Some(check) => format!("check {check}"),
        None if *share < 100 => "what it leads to".to_owned(),
        None => "no check".to_owned(),
    };
    let health = match share {
        0 => format!("{check} is down"),
        100 if check == "no check" => check,
        100 => format!("{check} is up"),
        share => format!("{check} is coming back and takes {share} % of its share"),
    };
    let done = match (taken, share) {
        (true, 0) => "taken all the same",
        (true, _) => "taken",
        (false, 1..100) => "not admitted this time",
        (false, _) => "passed over",
    };
    format!("{member} of {set} ({}): {done}: {health}", about.join(", "))
}

fn odds(odds: &[Odds]) -> Vec<String> {
    let answer = |odds: &Odds| {
        let data = if odds.answer.is_empty() { "no records".to_owned() } else { odds.answer.join(" ") };
        match &odds.region {
            Some(region) => format!("{data} ({region})"),
            None => data,
        }
    };
    match odds {
        [] => Vec::new(),
        [only] => vec![format!("always {}", answer(only))],
        several => {
            let mut lines: Vec<String> = several
                .iter()
                .take(MOST_ODDS)
                .map(|odds| format!("{:.1} % {}", odds.percent, answer(odds)))
                .collect();
            if several.len() > MOST_ODDS {
                let rest: f64 = several.iter().skip(MOST_ODDS).map(|odds| odds.percent).sum();
                lines.push(format!("{rest:.1} % one of {} others", several.len() - MOST_ODDS));
            }
            lines
        }
    }
}

fn kept(explanation: &Explanation) -> String {
    let span = Millis::from_secs(explanation.ttl.into());
    match (explanation.answer.is_empty(), explanation.ttl_lowered) {
        (true, _) => format!("{span}: that there is nothing (dns.negative_ttl)"),
        (false, true) => format!("{span}: lowered, since a failover is fresh (dns.failover_ttl)"),
        (false, false) => span.to_string(),
    }
}

fn holds(explanation: &Explanation) -> String {
    let network = IpNet::new(explanation.from, explanation.scope).ok().filter(|_| explanation.scope > 0);
    match network {
        Some(network) => format!("clients of {} alone (EDNS Client Subnet)", network.trunc()),
        None => "everyone".to_owned(),
    }
}
