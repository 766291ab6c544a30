//! Route 53: the `dns` section as records of a hosted zone and health checks.
//!
//! What Route 53 has no words for is an error that names the field, or a note at the head of the
//! rendering where it only means something less; nothing is left out in silence.

mod change_batch;
mod checks;
mod groups;
mod records;
mod terraform;

use crate::{Plan, Problem, Problems, Zone};
use evenkeel_policy::error::{ConfigErrors, FieldError};
use evenkeel_policy::time::Millis;

/// Inputs of the AWS command: health checks to create, and a change batch.
///
/// The change batch is what `aws route53 change-resource-record-sets --change-batch` takes. It cannot
/// create health checks, so each stands beside it as the inputs of `create-health-check` and
/// `change-tags-for-resource`. Ids that only Route 53 knows are named where they belong:
/// `health-check:taiwan`, `hosted-zone:example.com`; `docs/route53.md` has the commands that fill them in.
/// A check's caller reference follows from what it asks, so that repeating a command creates nothing twice.
///
/// # Errors
/// What Route 53 cannot do, field by field.
pub fn change_batch(plan: &Plan) -> Result<String, Problems> {
    hosted(plan).map(|hosted| change_batch::write(&hosted))
}

/// The same for Terraform, as a module of one file that finds the hosted zone by its name.
///
/// # Errors
/// What Route 53 cannot do, field by field.
pub fn terraform(plan: &Plan) -> Result<String, Problems> {
    hosted(plan).map(|hosted| terraform::write(&hosted))
}

/// What both are written from.
struct Hosted<'a> {
    service: &'a str,
    zone: &'a Zone,
    checks: Vec<checks::HealthCheck>,
    /// Whatever an alias leads to stands before it: Route 53 wants it to be there already.
    records: Vec<records::RecordSet>,
    /// Where Route 53 does something else than the file says.
    notes: Vec<String>,
}

fn hosted(plan: &Plan) -> Result<Hosted<'_>, Problems> {
    let (Some(zone), Some(dns)) = (&plan.zone, &plan.file.dns) else { return Err(super::without_dns()) };
    let mut errors = ConfigErrors::default();
    let mut notes = vec![
        "failback: Route 53 knows no hold and no ramp: a recovered region has its whole share at once"
            .to_owned(),
        "dns.nameservers, hostmaster, negative_ttl, geoip, client_subnet and rate_limit are Route 53's own \
         business"
            .to_owned(),
    ];
    if let Some(ttl) = dns.failover_ttl {
        notes.push(format!(
            "dns.failover_ttl: {ttl}: a record has one time to live in Route 53, that of dns.ttl"
        ));
    }
    if !dns.latencies.is_empty() {
        notes.push("dns.latencies: Route 53 measures latency itself, to AWS regions".to_owned());
    }
    let checks = checks::all(&plan.file, dns, zone, &mut errors, &mut notes);
    let records = records::all(&plan.file, dns, zone, &mut errors, &mut notes);
    if errors.0.is_empty() {
        return Ok(Hosted { service: &plan.file.service, zone, checks, records, notes });
    }
    let problem = |error: FieldError| Problem { error, place: None };
    Err(Problems(errors.0.into_iter().map(problem).collect()))
}

/// Whole seconds, rounded up: no answer is kept shorter than it may be.
fn seconds(span: Millis) -> u64 {
    span.get().div_ceil(1000)
}
