//! One VM of the process probes every region; the others stand by.
//!
//! The lease is a shared value: who holds it and when it last showed life. A VM on the main thread
//! that dies is never repaired by Envoy, so whoever finds the lease old takes it.

use crate::edge::Edge;
use crate::host::{Answer, Call, CallError, Host, Token};
use crate::request::{HOP, HOP_SECRET};
use evenkeel_policy::health::{Health, Probe, ProbeResult};
use evenkeel_policy::region::RegionId;
use evenkeel_policy::time::{Millis, Time};
use evenkeel_policy::topology::Topology;

/// The lease's key.
pub const LEASE: &str = "evenkeel.prober";

/// How often the holder shows life and the others look.
const BEAT: Millis = Millis::new(500);

/// A lease without life for this long may be taken: under `max_age` less one probe, so that no
/// region grows stale through a change of prober.
const EXPIRY: Millis = Millis::new(2_000);

/// The header by which a region's readiness answer drains it.
pub const DRAIN_HEADER: &str = "x-evenkeel-drain";

/// The longest drain that a readiness answer may ask for: a day. An operator who wants more writes
/// it into the configuration, where it is seen.
const LONGEST_DRAIN: Millis = Millis::from_secs(24 * 3600);

/// One VM's part in probing.
#[derive(Debug)]
pub struct Prober {
    me: u64,
    leads: bool,
    /// When this VM next looks at the lease.
    look_at: Time,
    schedule: Vec<Schedule>,
}

/// One region's probes.
#[derive(Clone, Debug, Default)]
struct Schedule {
    under_way: Option<(Token, Time)>,
    last_started: Option<Time>,
}

/// Who probes, and when it last showed life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lease {
    holder: u64,
    beat: Time,
}

impl Lease {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (holder, beat) = bytes.split_first_chunk::<8>()?;
        let beat = beat.first_chunk::<8>()?;
        Some(Lease {
            holder: u64::from_le_bytes(*holder),
            beat: Time::from_millis(u64::from_le_bytes(*beat)),
        })
    }

    fn written(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        let (holder, beat) = bytes.split_at_mut(8);
        holder.copy_from_slice(&self.holder.to_le_bytes());
        beat.copy_from_slice(&self.beat.as_millis().to_le_bytes());
        bytes
    }
}

impl Prober {
    /// A VM that stands by.
    pub fn new(me: u64, topology: &Topology) -> Self {
        Prober {
            me,
            leads: false,
            look_at: Time::ZERO,
            schedule: vec![Schedule::default(); topology.regions.len()],
        }
    }

    /// The same VM under another configuration: it keeps the lease. Envoy cancelled the calls of the
    /// old root context, so what was under way is forgotten.
    pub fn under(&mut self, topology: &Topology) {
        self.schedule = vec![Schedule::default(); topology.regions.len()];
    }

    /// Whether this VM holds the lease.
    pub fn leads(&self) -> bool {
        self.leads
    }
}

impl<H: Host> Edge<H> {
    /// Writes an empty lease if there is none, so that the first to take it can be told from the
    /// second: a write without a version always succeeds.
    pub(crate) fn prepare_lease(&self) {
        if self.host.shared(LEASE).is_none() {
            self.host.share(LEASE, &Lease { holder: 0, beat: Time::ZERO }.written(), None);
        }
    }

    /// Shows life, takes the lease, or gives it up.
    pub(crate) fn lead(&mut self, now: Time) {
        if now < self.prober.look_at {
            return;
        }
        self.prober.look_at = now.plus(BEAT);
        let me = self.prober.me;
        let shared = self.host.shared(LEASE);
        let version = shared.as_ref().map(|(_, version)| *version);
        let lease = shared.as_ref().and_then(|(bytes, _)| Lease::read(bytes));
        let mine = lease.is_some_and(|lease| lease.holder == me);
        let free = lease.is_none_or(|lease| lease.holder == 0 || now.since(lease.beat) > EXPIRY);
        let led = self.prober.leads;
        self.prober.leads = (mine || free) && {
            let lease = Lease { holder: me, beat: now };
            self.host.share(LEASE, &lease.written(), version)
        };
        if self.prober.leads && !led {
            log::info!("prober: this VM probes now");
            // Every VM reads the same configuration; one of them speaks.
            for warning in self.engine.topology().warnings() {
                log::warn!("configuration: {warning}");
            }
            self.prober.schedule.fill(Schedule::default());
            self.metrics.forget();
        }
    }

    /// Starts the probes that are due.
    pub(crate) fn probe_what_is_due(&mut self, now: Time) {
        for id in self.engine.topology().ids() {
            if self.is_due(now, id) {
                self.probe(now, id);
            }
        }
    }

    fn is_due(&self, now: Time, id: RegionId) -> bool {
        let (Some(schedule), Some(known)) =
            (self.prober.schedule.get(id.index()), self.engine.state().regions.get(id.index()))
        else {
            return false;
        };
        let settings = &self.engine.topology().health_check;
        if let Some((_, started)) = schedule.under_way {
            // Envoy answers every call, if only by its time-out. One that it forgot must not stop the
            // region's probes for ever.
            return now.since(started) > settings.timeout.saturating_double();
        }
        // A VM that took over goes on where the last one stopped.
        match schedule.last_started.or(known.health.last_completed()) {
            Some(last) => now.since(last) >= known.health.pause(settings),
            None => true,
        }
    }

    fn probe(&mut self, now: Time, id: RegionId) {
        let topology = self.engine.topology();
        let Some(region) = topology.region(id) else { return };
        let mut headers = vec![
            (":method", "GET"),
            (":path", region.health_path.as_str()),
            (":authority", region.health_authority.as_str()),
            ("user-agent", concat!("evenkeel/", env!("CARGO_PKG_VERSION"))),
        ];
        if let (true, Some(hop), Some(local)) = (region.edge, &topology.hop, topology.local) {
            // Another edge must answer for its own region, not send the probe on to a third.
            headers.extend([(HOP, topology.name(local)), (HOP_SECRET, hop.secret.as_str())]);
        }
        let call = Call {
            cluster: &region.health_cluster,
            headers: &headers,
            body: b"",
            timeout: topology.health_check.timeout,
        };
        let started = self.host.call(&call);
        if let Some(schedule) = self.prober.schedule.get_mut(id.index()) {
            schedule.last_started = Some(now);
            schedule.under_way = started.ok().map(|token| (token, now));
        }
        let failed = |result| Probe { result, latency: Millis::ZERO, drain: None };
        match started {
            Ok(_) => {}
            Err(CallError::NoCluster) => self.on_probe(now, id, &failed(ProbeResult::NoCluster)),
            Err(CallError::NoHost) => self.on_probe(now, id, &failed(ProbeResult::Failed)),
        }
    }

    /// The answer to a probe.
    pub(crate) fn on_probe_answer(&mut self, now: Time, token: Token, answer: &Answer) {
        let found = self.prober.schedule.iter_mut().enumerate().find_map(|(index, schedule)| {
            let (_, started) = schedule.under_way.take_if(|(under_way, _)| *under_way == token)?;
            Some((RegionId::new(index)?, started))
        });
        let Some((id, started)) = found else { return };
        let ok = answer.status.is_some_and(|status| (200..300).contains(&status));
        let probe = Probe {
            result: if ok { ProbeResult::Ok } else { ProbeResult::Failed },
            latency: now.since(started),
            drain: answer.drain.as_deref().and_then(|text| drain(self.engine.topology().name(id), text)),
        };
        self.on_probe(now, id, &probe);
    }

    fn on_probe(&mut self, now: Time, id: RegionId, probe: &Probe) {
        let good = Health::is_good(&self.engine.topology().health_check, probe);
        self.metrics.probed(&self.host, id, good, probe.latency.get());
        self.change(now, |engine| engine.on_probe(now, id, probe));
    }
}

fn drain(region: &str, text: &str) -> Option<Millis> {
    match Millis::parse(text) {
        Ok(left) => Some(left.min(LONGEST_DRAIN)),
        Err(problem) => {
            log::warn!("{DRAIN_HEADER} of region {region}: {problem}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_read_as_it_was_written() {
        let lease = Lease { holder: 7, beat: Time::from_millis(1_234_567) };
        assert_eq!(Lease::read(&lease.written()), Some(lease));
        assert_eq!(Lease::read(b"short"), None);
    }
}
