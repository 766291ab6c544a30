//! HCL for Terraform's AWS provider, laid out as `terraform fmt` does.

use super::Hosted;
use super::checks::{HealthCheck, Kind};
use super::records::{Answer, RecordSet, Routing};
use evenkeel_policy::dns::Place;
use std::collections::HashSet;

pub(super) fn write(hosted: &Hosted) -> String {
    let mut ids = HashSet::new();
    let mut text = format!(
        "# The zone {} of the service {}, written by `evenkeel render route53 --format terraform`.\n",
        hosted.zone.origin, hosted.service
    );
    for note in &hosted.notes {
        text.push_str(&format!("# Note: {note}\n"));
    }
    let aws = "{ source = \"hashicorp/aws\", version = \">= 4.0\" }".to_owned();
    let mut blocks = vec![
        Block::new("terraform").with(Block::new("required_providers").set("aws", aws)),
        Block::new("data \"aws_route53_zone\" \"zone\"").text("name", hosted.zone.origin.as_str()),
    ];
    // Names of checks are labels of DNS: what follows from one is unique too.
    blocks.extend(hosted.checks.iter().map(health_check));
    let names: Vec<String> = hosted.records.iter().map(|record| resource(record, &mut ids)).collect();
    for (record, name) in hosted.records.iter().zip(&names) {
        blocks.push(record_set(record, name, hosted, &names));
    }
    for block in blocks {
        text.push('\n');
        block.write(0, &mut text);
    }
    text
}

/// A block with its arguments, then the blocks in it.
struct Block {
    header: String,
    arguments: Vec<(&'static str, String)>,
    blocks: Vec<Block>,
}

impl Block {
    fn new(header: impl Into<String>) -> Self {
        Block { header: header.into(), arguments: Vec::new(), blocks: Vec::new() }
    }

    fn set(mut self, name: &'static str, value: impl ToString) -> Self {
        self.arguments.push((name, value.to_string()));
        self
    }

    fn text(self, name: &'static str, value: &str) -> Self {
        self.set(name, quoted(value))
    }

    fn with(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }

    fn write(&self, depth: usize, text: &mut String) {
        let indent = "  ".repeat(depth);
        text.push_str(&format!("{indent}{} {{\n", self.header));
        let width = self.arguments.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in &self.arguments {
            text.push_str(&format!("{indent}  {name:width$} = {value}\n"));
        }
        for (index, block) in self.blocks.iter().enumerate() {
            if index > 0 || !self.arguments.is_empty() {
                text.push('\n');
            }
            block.write(depth + 1, text);
        }
        text.push_str(&format!("{indent}}}\n"));
    }
}

/// A string that means itself: `${` and `%{` would begin a template.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '$' | '%' if characters.peek() == Some(&'{') => quoted.extend([character, character]),
            character if character.is_control() => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            character => quoted.push(character),
        }
    }
    quoted + "\""
}

fn list(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(", "))
}

/// A name that Terraform takes: letters, digits, hyphens and underscores, no digit first.
fn identifier(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c.to_ascii_lowercase() } else { '_' };
    let name: String = text.chars().map(plain).collect();
    if name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_') { name } else { format!("_{name}") }
}

fn health_check(check: &HealthCheck) -> Block {
    let mut block =
        Block::new(format!("resource \"aws_route53_health_check\" {}", quoted(&identifier(&check.name))));
    match &check.kind {
        Kind::Asked(asked) => {
            block = block.text("type", &asked.kind());
            if let Some(ip) = asked.ip {
                block = block.text("ip_address", &ip.to_string());
            }
            if let Some(name) = &asked.name {
                block = block.text("fqdn", name);
            }
            block = block.set("port", asked.port);
            if let Some(path) = &asked.path {
                block = block.text("resource_path", path);
            }
            if let Some(search) = &asked.search {
                block = block.text("search_string", search);
            }
            block = block
                .set("request_interval", asked.interval)
                .set("failure_threshold", asked.threshold)
                .set("measure_latency", true);
            if let Some(sni) = asked.sni() {
                block = block.set("enable_sni", sni);
            }
        }
        Kind::Calculated { of, at_least } => {
            block = block
                .text("type", "CALCULATED")
                .set("child_healthchecks", list(of.iter().map(|name| check_id(name))))
                .set("child_health_threshold", at_least);
        }
    }
    for (name, set) in [("invert_healthcheck", check.inverted), ("disabled", check.disabled)] {
        if set {
            block = block.set(name, true);
        }
    }
    let tags: Vec<String> =
        check.tags.iter().map(|(key, value)| format!("{key} = {}", quoted(value))).collect();
    block.set("tags", format!("{{ {} }}", tags.join(", ")))
}

fn check_id(name: &str) -> String {
    format!("aws_route53_health_check.{}.id", identifier(name))
}

/// The resource's name, used once.
fn resource(record: &RecordSet, ids: &mut HashSet<String>) -> String {
    let id = record.id.as_ref().map(|id| format!("_{id}")).unwrap_or_default();
    let name = identifier(&format!("{}{id}_{}", record.name, record.kind.as_str()));
    let mut others = (2..).map(|at| format!("{name}_{at}"));
    let name = if ids.contains(&name) {
        others.find(|other| !ids.contains(other)).unwrap_or_default()
    } else {
        name.clone()
    };
    ids.insert(name.clone());
    name
}

fn record_set(record: &RecordSet, name: &str, hosted: &Hosted, names: &[String]) -> Block {
    let mut block = Block::new(format!("resource \"aws_route53_record\" {}", quoted(name)))
        .set("zone_id", "data.aws_route53_zone.zone.zone_id")
        .text("name", &record.name)
        .text("type", record.kind.as_str());
    if let Some(id) = &record.id {
        block = block.text("set_identifier", id);
    }
    if let Some(check) = &record.check {
        block = block.set("health_check_id", check_id(check));
    }
    if matches!(record.routing, Routing::Multivalue) {
        block = block.set("multivalue_answer_routing_policy", true);
    }
    let alias = |name: &str, zone: String, evaluate: bool| {
        Block::new("alias").text("name", name).set("zone_id", zone).set("evaluate_target_health", evaluate)
    };
    let mut target = None;
    match &record.answer {
        Answer::Values { ttl, values } => {
            // The provider puts a text's outer quotes there itself.
            let plain = |value: &String| match value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) {
                Some(text) => quoted(text),
                None => quoted(value),
            };
            block = block.set("ttl", ttl).set("records", list(values.iter().map(plain)));
        }
        Answer::Alias { name, evaluate } => {
            // What it leads to must be there before.
            let targets = hosted.records.iter().zip(names);
            let targets = targets
                .filter(|(other, _)| other.name == *name && other.kind == record.kind)
                .map(|(_, resource)| format!("aws_route53_record.{resource}"));
            block = block.set("depends_on", list(targets));
            target = Some(alias(name, "data.aws_route53_zone.zone.zone_id".to_owned(), *evaluate));
        }
        Answer::LoadBalancer { name, zone } => target = Some(alias(name, quoted(zone), false)),
    }
    block.blocks.extend(target);
    block.blocks.extend(routing(&record.routing));
    block
}

fn routing(routing: &Routing) -> Option<Block> {
    Some(match routing {
        Routing::Simple | Routing::Multivalue => return None,
        Routing::Weighted(weight) => Block::new("weighted_routing_policy").set("weight", weight),
        Routing::Geolocation(place) => {
            let block = Block::new("geolocation_routing_policy");
            match place {
                Place::Subdivision(part) => {
                    block.text("country", part.country().as_str()).text("subdivision", part.code())
                }
                Place::Country(country) => block.text("country", country.as_str()),
                Place::Continent(continent) => block.text("continent", continent.as_str()),
                Place::Default => block.text("country", "*"),
            }
        }
        Routing::Latency(region) => Block::new("latency_routing_policy").text("region", region),
        Routing::Failover { primary } => {
            let kind = if *primary { "PRIMARY" } else { "SECONDARY" };
            Block::new("failover_routing_policy").text("type", kind)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_means_itself() {
        for text in ["plain", "a\"b\\c", "${var.x} %{ if } $ { %", "a\nb\tc\u{1}", "台灣"] {
            let source = format!("x = {}\n", quoted(text));
            let body: std::collections::BTreeMap<String, String> = hcl::from_str(&source).unwrap();
            assert_eq!(body["x"], text, "{source}");
        }
    }
}
