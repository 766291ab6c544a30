//! What stands in `deploy/` agrees with the topology files that it is deployed with.
//!
//! Whether systemd and Kubernetes take it, `scripts/deploy-check.sh` asks them.

use evenkeel_config::Plan;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

const REGIONS: [&str; 2] = ["taiwan", "japan"];

/// What a node may need beside its sessions: `src/companion/src/descriptors.rs`.
const OWN_DESCRIPTORS: u64 = 256;

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(deploy(path)).unwrap_or_else(|error| panic!("deploy/{path}: {error}"))
}

/// The topology file where it is deployed, beside the one secret that reading it takes.
fn installed(topology: &str, secrets: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("evenkeel/evenkeel.yaml");
    let secrets = file.parent().unwrap().join(secrets);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::create_dir_all(&secrets).unwrap();
    std::fs::write(secrets.join("hop"), "0123456789abcdef").unwrap();
    std::fs::copy(deploy(topology), &file).unwrap();
    (folder, file)
}

fn plans(topology: &str, secrets: &str) -> Vec<Plan> {
    let (_folder, file) = installed(topology, secrets);
    let load = |region: &&str| Plan::load(&file, Some(region)).unwrap_or_else(|faults| panic!("{faults}"));
    let plans: Vec<Plan> = REGIONS.iter().map(load).collect();
    for plan in &plans {
        assert_eq!(plan.warnings, [""; 0], "{topology}");
    }
    let witness = Plan::load_anywhere(&file).unwrap_or_else(|faults| panic!("{faults}"));
    assert!(witness.file.quorum.witness.is_some(), "{topology}");
    plans
}

fn on_machines() -> Vec<Plan> {
    plans("systemd/evenkeel.yaml", "secrets")
}

fn on_kubernetes() -> Vec<Plan> {
    plans("kubernetes/topology/evenkeel.yaml", "../evenkeel-secrets")
}

/// The values of a key of a unit.
fn lines<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

#[track_caller]
fn number(unit: &str, key: &str) -> u64 {
    let [value] = lines(unit, key)[..] else { panic!("one {key}") };
    value.parse().unwrap_or_else(|_| panic!("{key}={value}"))
}

#[test]
fn units_ask_where_the_topology_says() {
    let edge = read("systemd/evenkeel-edge.service");
    let companion = read("systemd/evenkeel-companion.service");
    let witness = read("systemd/evenkeel-witness.service");
    for plan in on_machines() {
        let file = &plan.file;
        let admin = format!("http://{}/", file.edge.admin);
        for key in ["ExecStartPost", "ExecStop"] {
            assert!(lines(&edge, key)[0].contains(&admin), "{key} does not ask {admin}");
        }
        let port = file.companion.as_ref().unwrap().address.port();
        let liveness = format!("http://127.0.0.1:{port}/actuator/health/liveness");
        assert!(lines(&companion, "ExecStartPost")[0].ends_with(&liveness), "{liveness}");
        let port = file.quorum.witness.as_ref().unwrap().address.port();
        let liveness = format!("http://127.0.0.1:{port}/actuator/health/liveness");
        assert!(lines(&witness, "ExecStartPost")[0].ends_with(&liveness), "{liveness}");
        // Ports below 1024 need the right to them.
        let privileged = [file.edge.listen.port()]
            .into_iter()
            .chain(file.dns.iter().flat_map(|dns| dns.listen.iter().map(|at| at.port())));
        assert!(privileged.clone().all(|port| port < 1024), "the units' capability has its use");
        for unit in [&edge, &companion] {
            assert_eq!(lines(unit, "AmbientCapabilities"), ["CAP_NET_BIND_SERVICE"]);
        }
    }
}

#[test]
fn units_give_what_the_topology_takes() {
    let companion = read("systemd/evenkeel-companion.service");
    for plan in on_machines() {
        let settings = plan.file.companion.as_ref().unwrap();
        let state = format!("/var/lib/{}", lines(&companion, "StateDirectory")[0]);
        assert_eq!(settings.data_dir.display().to_string(), state);
        assert!(
            Duration::from_secs(number(&companion, "TimeoutStopSec")) > settings.drain_timeout.to_duration()
        );
        let database = plan.file.database.as_ref().unwrap();
        let clients: u64 = database.listeners.iter().map(|listener| u64::from(listener.max_clients)).sum();
        let pools = database.nodes.len() as u64 * u64::from(database.pool.max);
        assert!(number(&companion, "LimitNOFILE") >= clients + pools + OWN_DESCRIPTORS);
    }
    // Envoy is given the time that it drains for.
    let edge = read("systemd/evenkeel-edge.service");
    let words: Vec<&str> = lines(&edge, "ExecStart")[0].split(' ').collect();
    let drain = words.iter().position(|word| *word == "--drain-time-s").expect("a drain time");
    let drain: u64 = words[drain + 1].parse().unwrap();
    let pause: u64 = lines(&edge, "ExecStop")[1].rsplit(' ').next().unwrap().parse().unwrap();
    assert!(pause > drain && number(&edge, "TimeoutStopSec") > pause);
}

/// The documents of a file.
fn resources(path: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&read(path)).unwrap_or_else(|error| panic!("deploy/{path}: {error}"))
}

fn one(path: &str) -> Value {
    let [resource] = &resources(path)[..] else { panic!("deploy/{path}: one resource") };
    resource.clone()
}

fn list<'a>(value: &'a Value, at: &str) -> &'a [Value] {
    value.pointer(at).and_then(Value::as_array).unwrap_or_else(|| panic!("a list at {at}: {value}"))
}

/// A pod's one container.
fn container(workload: &Value) -> &Value {
    let [container] = list(workload, "/spec/template/spec/containers") else { panic!("one container") };
    container
}

/// Name, transport and number of each port.
fn ports<'a>(of: &'a Value, at: &str, number: &str) -> BTreeMap<&'a str, (&'a str, u64)> {
    let port = |port: &'a Value| {
        let transport = port["protocol"].as_str().unwrap_or("TCP");
        (port["name"].as_str().unwrap(), (transport, port[number].as_u64().unwrap()))
    };
    list(of, at).iter().map(port).collect()
}

#[test]
fn the_companions_ports_are_the_topologys() {
    let workload = one("kubernetes/companion/statefulset.yaml");
    let declared = ports(container(&workload), "/ports", "containerPort");
    for plan in on_kubernetes() {
        let (file, database) = (&plan.file, plan.file.database.as_ref().unwrap());
        let settings = file.companion.as_ref().unwrap();
        let [dns] = &file.dns.as_ref().unwrap().listen[..] else { panic!("one address") };
        let mut wanted = BTreeMap::from([
            ("readiness", ("TCP", u64::from(settings.address.port()))),
            ("admin", ("TCP", u64::from(settings.admin.port()))),
            ("dns-udp", ("UDP", u64::from(dns.port()))),
            ("dns-tcp", ("TCP", u64::from(dns.port()))),
        ]);
        for listener in &database.listeners {
            wanted.insert(listener.name(), ("TCP", u64::from(listener.listen.port())));
        }
        assert_eq!(declared, wanted);
        // Others reach it by the same port as its own edges.
        for region in &file.regions {
            assert_eq!(region.companion.address.as_ref().unwrap().port(), settings.address.port());
            assert_eq!(region.readiness.address.as_ref().unwrap().port(), settings.address.port());
        }
    }
    let services = resources("kubernetes/companion/service.yaml");
    for service in &services {
        assert_eq!(service["spec"]["selector"], workload["spec"]["selector"]["matchLabels"]);
        for port in list(service, "/spec/ports") {
            let name = port["targetPort"].as_str().unwrap();
            let (transport, number) = declared[name];
            assert_eq!(port["protocol"].as_str().unwrap_or("TCP"), transport, "{name}");
            let outside = if name.starts_with("dns-") { 53 } else { number };
            assert_eq!(port["port"], outside, "{name}");
        }
    }
    // The admin listener is for Prometheus alone, which asks the pod.
    let served: BTreeSet<&str> = services
        .iter()
        .flat_map(|service| list(service, "/spec/ports"))
        .filter_map(|port| port["targetPort"].as_str())
        .collect();
    let mut all: BTreeSet<&str> = declared.keys().copied().collect();
    assert!(all.remove("admin"));
    assert_eq!(served, all);
}

#[test]
fn what_may_come_in_are_ports_that_exist() {
    for (workload, policy) in [
        ("kubernetes/companion/statefulset.yaml", "kubernetes/companion/network-policy.yaml"),
        ("kubernetes/witness/deployment.yaml", "kubernetes/witness/network-policy.yaml"),
    ] {
        let (workload, policy) = (one(workload), one(policy));
        assert_eq!(policy["spec"]["podSelector"], workload["spec"]["selector"]);
        let declared = ports(container(&workload), "/ports", "containerPort");
        let mut open = BTreeSet::new();
        for port in list(&policy, "/spec/ingress").iter().flat_map(|rule| list(rule, "/ports")) {
            let name = port["port"].as_str().unwrap();
            assert_eq!(port["protocol"], declared[name].0, "{name}");
            open.insert(name);
        }
        assert_eq!(open, declared.keys().copied().collect());
    }
    let disruption = one("kubernetes/companion/disruption.yaml");
    assert_eq!(
        disruption["spec"]["selector"],
        one("kubernetes/companion/statefulset.yaml")["spec"]["selector"]
    );
}

#[test]
fn the_witness_listens_where_the_companions_ask() {
    let workload = one("kubernetes/witness/deployment.yaml");
    let [service] = &resources("kubernetes/witness/service.yaml")[..] else { panic!("one service") };
    assert_eq!(service["spec"]["selector"], workload["spec"]["selector"]["matchLabels"]);
    for plan in on_kubernetes() {
        let port = u64::from(plan.file.quorum.witness.as_ref().unwrap().address.port());
        assert_eq!(
            ports(container(&workload), "/ports", "containerPort"),
            BTreeMap::from([("votes", ("TCP", port))])
        );
        assert_eq!(service["spec"]["ports"][0]["port"], port);
        assert_eq!(service["spec"]["ports"][0]["targetPort"], "votes");
    }
}

#[test]
fn probes_ask_for_what_is_served() {
    let served = include_str!("../../companion/src/public.rs");
    let served_by_the_witness = include_str!("../../companion/src/witness.rs");
    for (path, served, kinds) in [
        (
            "kubernetes/companion/statefulset.yaml",
            served,
            &["startupProbe", "readinessProbe", "livenessProbe"][..],
        ),
        ("kubernetes/witness/deployment.yaml", served_by_the_witness, &["readinessProbe", "livenessProbe"]),
    ] {
        let workload = one(path);
        let declared = ports(container(&workload), "/ports", "containerPort");
        for kind in kinds {
            let get = &container(&workload)[kind]["httpGet"];
            assert!(declared.contains_key(get["port"].as_str().unwrap()), "{path}: {kind}");
            let route = format!(".route(\"{}\"", get["path"].as_str().unwrap());
            assert!(served.contains(&route), "{path}: {kind}: {route}");
        }
    }
}

/// Mounts lead where the topology file looks, and shutdown is given its time.
#[test]
fn pods_give_what_the_topology_takes() {
    let workload = one("kubernetes/companion/statefulset.yaml");
    let mounts: BTreeMap<&str, &str> = list(container(&workload), "/volumeMounts")
        .iter()
        .map(|mount| (mount["name"].as_str().unwrap(), mount["mountPath"].as_str().unwrap()))
        .collect();
    let run = &list(container(&workload), "/args")[1];
    assert_eq!(run, &format!("{}/evenkeel.yaml", mounts["topology"]));
    for plan in on_kubernetes() {
        let settings = plan.file.companion.as_ref().unwrap();
        assert_eq!(settings.data_dir, Path::new(mounts["data"]));
        let grace = workload["spec"]["template"]["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap();
        assert!(Duration::from_secs(grace) > settings.drain_timeout.to_duration());
        let token = Path::new(mounts["topology"]).join(settings.token_file.as_ref().unwrap());
        assert_eq!(token.parent().unwrap(), Path::new(mounts["topology"]).join("../evenkeel-secrets"));
        assert_eq!(mounts["secrets"], "/etc/evenkeel-secrets");
    }
}

/// Every file stands in a kustomization and is there; overlays patch what exists.
#[test]
fn kustomizations_are_whole() {
    let mut told = BTreeSet::new();
    for folder in
        ["topology", "companion", "witness", "overlays/taiwan", "overlays/japan", "overlays/witness"]
    {
        let folder = deploy("kubernetes").join(folder);
        let text = std::fs::read_to_string(folder.join("kustomization.yaml")).unwrap();
        let kustomization: Value = serde_saphyr::from_str(&text).unwrap();
        for name in list(&kustomization, "/resources") {
            let path = folder.join(name.as_str().unwrap());
            let path = path.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(path.is_file() || path.join("kustomization.yaml").is_file(), "{}", path.display());
            told.insert(path);
        }
        for file in std::fs::read_dir(&folder).unwrap() {
            let file = file.unwrap().path().canonicalize().unwrap();
            let name = file.file_name().unwrap().to_str().unwrap();
            let known = file.is_dir()
                || ["kustomization.yaml", "evenkeel.yaml"].contains(&name)
                || told.contains(&file);
            assert!(known, "{} stands in no kustomization", file.display());
        }
    }
    // `add …/args/-` needs a list, whose end is the option that takes the region.
    let workload = one("kubernetes/companion/statefulset.yaml");
    assert_eq!(list(container(&workload), "/args").last().unwrap(), "--region");
    for region in REGIONS {
        let overlay = one(&format!("kubernetes/overlays/{region}/kustomization.yaml"));
        let [patch] = list(&overlay, "/patches") else { panic!("one patch") };
        assert_eq!(patch["target"]["kind"], workload["kind"]);
        assert_eq!(patch["target"]["name"], workload["metadata"]["name"]);
        let operations: Value = serde_saphyr::from_str(patch["patch"].as_str().unwrap()).unwrap();
        let [add] = operations.as_array().unwrap().as_slice() else { panic!("one operation") };
        assert_eq!((&add["op"], &add["value"]), (&"add".into(), &region.into()));
        let list_of = add["path"].as_str().unwrap().strip_suffix("/-").unwrap();
        assert!(workload.pointer(list_of).is_some_and(Value::is_array), "{list_of}");
    }
}
