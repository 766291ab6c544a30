//! What `dns.health_check` and `dns.health_checks` may say.

use super::super::{companion::check_url, quoted};
use crate::File;
use crate::dns::{Calculated, Dns, NamedCheck, RegionCheck};
use evenkeel_policy::error::ConfigErrors;
use evenkeel_policy::region::RegionName;
use evenkeel_policy::time::Millis;
use std::collections::HashSet;

/// Each is asked by every voter; Route 53 allows 200 in an account.
const MAX_CHECKS: usize = 1000;

/// Route 53's limit.
const MAX_CHILDREN: usize = 255;

pub(super) fn check(file: &File, dns: &Dns, errors: &mut ConfigErrors) {
    if let Some(RegionCheck { interval, threshold, connect_timeout, response_timeout }) = &dns.health_check {
        let at = "dns.health_check";
        check_pace(*interval, *threshold, at, errors);
        check_above_zero(*connect_timeout, &format!("{at}.connect_timeout"), errors);
        check_above_zero(*response_timeout, &format!("{at}.response_timeout"), errors);
    }
    if dns.health_checks.len() > MAX_CHECKS {
        let many = format!("{} of them", dns.health_checks.len());
        errors.add("dns.health_checks", many, format!("at most {MAX_CHECKS}"));
    }
    let mut names = HashSet::new();
    for (index, check) in dns.health_checks.iter().enumerate() {
        let at = format!("dns.health_checks[{index}]");
        check_name(file, &check.name, !names.insert(&check.name), &format!("{at}.name"), errors);
        check_kind(check, &at, errors);
        check_pace(check.interval, check.threshold, &at, errors);
        if let Some(timeout) = check.connect_timeout {
            check_above_zero(timeout, &format!("{at}.connect_timeout"), errors);
        }
        check_above_zero(check.response_timeout, &format!("{at}.response_timeout"), errors);
    }
}

fn check_name(file: &File, name: &str, taken: bool, at: &str, errors: &mut ConfigErrors) {
    if let Err(remedy) = RegionName::try_new(name) {
        errors.add(at, quoted(name), remedy);
    } else if name == "none" {
        errors.add(at, quoted(name), "choose another: members say none where they depend on no check");
    } else if file.regions.iter().any(|region| region.name == name) {
        errors.add(
            at,
            quoted(name),
            "a region has this name, and a check of its own with it: choose another",
        );
    } else if taken {
        errors.add(at, quoted(name), "another check has this name already: choose another");
    }
}

fn check_kind(check: &NamedCheck, at: &str, errors: &mut ConfigErrors) {
    let NamedCheck { url, tcp, calculated, search, inverted, disabled, .. } = check;
    let given = usize::from(url.is_some()) + usize::from(tcp.is_some()) + usize::from(calculated.is_some());
    if given != 1 {
        errors.add(at, format!("{given} of them"), "give exactly one of url, tcp and calculated");
        return;
    }
    if let Some(url) = url {
        let example = "https://orders.example.com/health";
        check_url(url, &["http", "https"], example, &format!("{at}.url"), errors);
    }
    if let Some(search) = search {
        let field = format!("{at}.search");
        if url.is_none() {
            errors.add(field, quoted(search), "it is looked for in what url answers: give url, or drop it");
        } else if !(1..=255).contains(&search.len()) {
            errors.add(field, format!("{} bytes", search.len()), "1 to 255");
        }
    }
    let Some(Calculated { of, .. }) = calculated else { return };
    let field = format!("{at}.calculated.of");
    if !(1..=MAX_CHILDREN).contains(&of.len()) {
        errors.add(&field, format!("{} of them", of.len()), format!("give 1 to {MAX_CHILDREN}"));
    }
    let mut seen = HashSet::new();
    for (place, name) in of.iter().enumerate().filter(|(_, name)| !seen.insert(*name)) {
        errors.add(format!("{field}[{place}]"), quoted(name), "stands there twice: it has one voice");
    }
    for (field, set) in [("inverted", inverted), ("disabled", disabled)] {
        if *set {
            let remedy = "it matters for checks that are asked: say it there, or drop it";
            errors.add(format!("{at}.{field}"), "true", remedy);
        }
    }
}

fn check_pace(interval: Millis, threshold: u32, at: &str, errors: &mut ConfigErrors) {
    if !(Millis::from_secs(1)..=Millis::from_secs(600)).contains(&interval) {
        errors.add(format!("{at}.interval"), interval, "1s to 10m");
    }
    if !(1..=10).contains(&threshold) {
        errors.add(format!("{at}.threshold"), threshold, "1 to 10");
    }
}

fn check_above_zero(span: Millis, at: &str, errors: &mut ConfigErrors) {
    if span.get() == 0 {
        errors.add(at, span, "give a time above 0");
    }
}
