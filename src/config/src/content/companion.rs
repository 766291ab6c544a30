//! What `companion`, `components` and `alerts` may say.

use super::{database, dns, quoted};
use crate::companion::{Alerts, Application, Companion, Components, Kafka, Redis, Webhook};
use crate::{File, HostPort};
use evenkeel_policy::error::ConfigErrors;
use evenkeel_policy::region::RegionName;
use evenkeel_policy::time::Millis;
use std::collections::HashSet;

/// A result that is older than this tells nothing of a component any more (`rules.md`, readiness).
const LONGEST_CACHE: Millis = Millis::from_secs(1);

/// Notes all faults.
pub(super) fn check(file: &File, errors: &mut ConfigErrors) {
    check_components(&file.components, "components", errors);
    for (index, region) in file.regions.iter().enumerate() {
        if let Some(own) = &region.companion.components {
            check_components(own, &format!("regions[{index}].companion.components"), errors);
        }
    }
    check_alerts(&file.alerts, errors);
    let Some(companion) = &file.companion else { return };
    if companion.cluster.is_empty() {
        errors.add("companion.cluster", "\"\"", "give a name");
    }
    for (field, path) in
        [("token_file", companion.token_file.as_ref()), ("data_dir", Some(&companion.data_dir))]
    {
        if path.is_some_and(|path| path.as_os_str().is_empty()) {
            errors.add(format!("companion.{field}"), "\"\"", "give a path");
        }
    }
    check_sockets(file, companion, errors);
}

/// Every socket of one companion needs an address of its own, and the admin's needs a token where
/// others can reach it.
fn check_sockets(file: &File, companion: &Companion, errors: &mut ConfigErrors) {
    // Whoever has no fields of its own shares the general ones: each fault is told once.
    let mut told = HashSet::new();
    for (index, region) in file.regions.iter().enumerate() {
        let own = &region.companion;
        let at = |own: bool, field: &str| match own {
            true => format!("regions[{index}].companion.{field}"),
            false => format!("companion.{field}"),
        };
        let admin = (at(own.admin.is_some(), "admin"), own.admin.as_ref().unwrap_or(&companion.admin));
        let listen = own.listen.as_ref().or(companion.listen.as_ref());
        let listen = listen.map(|listen| (at(own.listen.is_some(), "listen"), listen));
        for (field, address) in listen.iter().chain([&admin]) {
            if address.ip().is_none() && told.insert(field.clone()) {
                errors.add(field, address, "listen on an IP address, like \"127.0.0.1:9902\"");
            }
        }
        let open = admin.1.ip().is_some_and(|ip| !ip.is_loopback());
        if open && companion.token_file.is_none() && told.insert(admin.0.clone()) {
            let remedy = "can be reached from outside: give companion.token_file too, or use 127.0.0.1";
            errors.add(&admin.0, admin.1, remedy);
        }
        let mut taken: Vec<(String, HostPort)> = Vec::new();
        let every = HostPort::known("0.0.0.0", companion.address.port());
        let (field, first) = listen.unwrap_or_else(|| ("companion.address".to_owned(), &every));
        let sockets = [(field, first), admin].into_iter().chain(database::listeners_of(file, index));
        for (field, address) in sockets {
            match taken.iter().find(|(_, other)| meet(address, other)) {
                Some((first, _)) if told.insert(field.clone()) => {
                    errors.add(
                        &field,
                        address,
                        format!("{first} listens there already: choose another port"),
                    );
                }
                Some(_) => {}
                None => taken.push((field, address.clone())),
            }
        }
        // DNS is answered by TCP too. That its own addresses differ is checked with it.
        for (field, address) in dns::listeners_of(file, index) {
            if let Some((first, _)) = taken.iter().find(|(_, other)| meet(address, other))
                && told.insert(field.clone())
            {
                errors.add(&field, address, format!("{first} listens there already: choose another port"));
            }
        }
    }
}

/// Whether two sockets want the same port of the same address.
fn meet(one: &HostPort, other: &HostPort) -> bool {
    let every = |address: &HostPort| address.ip().is_some_and(|ip| ip.is_unspecified());
    one.port() == other.port() && (one.host() == other.host() || every(one) || every(other))
}

fn check_components(components: &Components, at: &str, errors: &mut ConfigErrors) {
    let Components { application, database, redis, kafka, cache_for } = components;
    let mut times = vec![("database.timeout", database.timeout)];
    if let Some(Application { url, connect_timeout, read_timeout, .. }) = application {
        check_url(url, &["http"], "http://127.0.0.1:8080/health", &format!("{at}.application.url"), errors);
        times.push(("application.connect_timeout", *connect_timeout));
        times.push(("application.read_timeout", *read_timeout));
    }
    if let Some(Redis { url, timeout, password_file, .. }) = redis {
        check_url(url, &["redis"], "redis://127.0.0.1:6379/0", &format!("{at}.redis.url"), errors);
        times.push(("redis.timeout", *timeout));
        if password_file.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            errors.add(format!("{at}.redis.password_file"), "\"\"", "give a path");
        }
    }
    if let Some(Kafka { brokers, topic, timeout, .. }) = kafka {
        if brokers.is_empty() {
            errors.add(format!("{at}.kafka.brokers"), "[]", "give at least one, like [\"127.0.0.1:9092\"]");
        }
        // Kafka's own rule.
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if !(1..=249).contains(&topic.len()) || !topic.bytes().all(legal) || topic == "." || topic == ".." {
            let remedy = "use 1 to 249 letters, digits, dots, underscores and hyphens";
            errors.add(format!("{at}.kafka.topic"), quoted(topic), remedy);
        }
        times.push(("kafka.timeout", *timeout));
    }
    for (field, time) in times {
        if time.get() == 0 {
            errors.add(format!("{at}.{field}"), time, "give a time above 0");
        }
    }
    if *cache_for > LONGEST_CACHE {
        errors.add(format!("{at}.cache_for"), cache_for, "at most 1s: an older result tells nothing");
    }
}

/// Checks the form alone. A URL may hold a password where none belongs, so it is never shown.
pub(super) fn check_url(url: &str, schemes: &[&str], example: &str, at: &str, errors: &mut ConfigErrors) {
    let authority = url
        .split_once("://")
        .filter(|(scheme, _)| schemes.contains(scheme))
        .map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    match authority {
        None => {
            let schemes: Vec<String> = schemes.iter().map(|scheme| format!("{scheme}://")).collect();
            errors.add(at, "", format!("begin with {}, like {example}", schemes.join(" or ")));
        }
        Some(authority) if authority.contains('@') => {
            let remedy = match schemes {
                ["redis"] => "a password belongs in password_file, where it is not shown".to_owned(),
                _ => format!("leave out what stands before the @: write it like {example}"),
            };
            errors.add(at, "", remedy);
        }
        Some(authority) => {
            // The colons of an IPv6 address stand in brackets.
            let host_alone = authority.ends_with(']') || !authority.contains(':');
            let with_port = if host_alone { format!("{authority}:80") } else { authority.to_owned() };
            if with_port.parse::<HostPort>().is_err() || url.bytes().any(|b| b <= b' ' || b == 0x7f) {
                errors.add(at, "", format!("is no address: write it like {example}"));
            }
        }
    }
}

fn check_alerts(alerts: &Alerts, errors: &mut ConfigErrors) {
    let Alerts { webhooks, repeat_after, max_per_minute, replication_lag } = alerts;
    let mut names = HashSet::new();
    for (index, Webhook { name, url, url_file, .. }) in webhooks.iter().enumerate() {
        let at = format!("alerts.webhooks[{index}]");
        if let Err(remedy) = RegionName::try_new(name) {
            errors.add(format!("{at}.name"), quoted(name), remedy);
        }
        if !names.insert(name) {
            let remedy = "another webhook has this name already: choose another";
            errors.add(format!("{at}.name"), quoted(name), remedy);
        }
        match (url, url_file) {
            (Some(url), None) => {
                // Its path is the secret: it is not shown, however wrong it may be.
                if !url.starts_with("https://") && !url.starts_with("http://") {
                    errors.add(format!("{at}.url"), "", "begin with https:// or http://");
                }
            }
            (None, Some(path)) if !path.as_os_str().is_empty() => {}
            _ => errors.add(&at, "", "give either url or url_file"),
        }
    }
    if repeat_after.get() == 0 {
        errors.add("alerts.repeat_after", repeat_after, "give a time above 0");
    }
    if *max_per_minute == 0 {
        errors.add("alerts.max_per_minute", 0, "at least 1: 0 tells nobody");
    }
    let lag = "alerts.replication_lag";
    if replication_lag.above.get() == 0 {
        errors.add(format!("{lag}.above"), replication_lag.above, "give a time above 0");
    }
    if !(1..=60).contains(&replication_lag.periods) {
        errors.add(format!("{lag}.periods"), replication_lag.periods, "1 to 60");
    }
    if replication_lag.period.get() < 1000 {
        errors.add(format!("{lag}.period"), replication_lag.period, "at least 1s");
    }
}

/// What is allowed but probably not meant.
pub(super) fn warnings(file: &File, warnings: &mut Vec<String>) {
    let Some(companion) = &file.companion else {
        if file.database.is_some() || !file.alerts.webhooks.is_empty() {
            warnings.push(
                "companion: not set, so nothing uses database, components or alerts: evenkeel run needs it"
                    .to_owned(),
            );
        }
        return;
    };
    if companion.token_file.is_none() {
        warnings.push(
            "companion.token_file: not set, so orders (evenkeel drain, evenkeel db pause) are refused"
                .to_owned(),
        );
    }
    let silent = file.regions.iter().filter(|region| region.companion.address.is_none()).count();
    if file.regions.len() > 1 && silent > 0 {
        let names: Vec<&str> = file
            .regions
            .iter()
            .filter(|region| region.companion.address.is_none())
            .map(|region| region.name.as_str())
            .collect();
        warnings.push(format!(
            "regions[].companion.address: not set for {}: nobody notices when that companion falls silent",
            names.join(", ")
        ));
    }
}
