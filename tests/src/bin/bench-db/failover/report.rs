//! What the failovers showed.

use super::ledger::Account;
use super::{Fault, Round};
use crate::front::Kind;
use evenkeel_tests::figures::quantile;
use evenkeel_tests::verdict::Verdict;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::{self, Display};

/// All failovers of a run.
pub struct Failovers {
    pub(super) rounds: Vec<Round>,
    pub(super) accounts: BTreeMap<Kind, Account>,
    pub(super) kinds: Vec<Kind>,
}

/// What Evenkeel's share may be at the 95th percentile, in ms.
pub const BOUND_MS: f64 = 250.0;

impl Failovers {
    /// The fronts.
    pub fn kinds(&self) -> &[Kind] {
        &self.kinds
    }

    /// A front's shares in ms, of one kind of fault or of all.
    pub fn shares(&self, kind: Kind, fault: Option<Fault>) -> Vec<f64> {
        let rounds = self.rounds.iter().filter(|round| fault.is_none_or(|fault| fault == round.fault));
        let shares = rounds.flat_map(|round| &round.shares).filter(|(of, _)| *of == kind);
        shares.map(|(_, share)| share.as_secs_f64() * 1e3).collect()
    }

    /// Idle sessions of a front before and after, over all failovers.
    fn kept(&self, kind: Kind) -> Option<(usize, usize)> {
        let kept = self.rounds.iter().flat_map(|round| &round.kept).filter(|kept| kept.front == kind);
        kept.map(|kept| (kept.of, kept.kept)).reduce(|sum, next| (sum.0 + next.0, sum.1 + next.1))
    }

    fn on_older_timeline(&self, kind: Kind) -> u64 {
        self.rounds.iter().filter_map(|round| round.on_older_timeline.get(&kind)).sum()
    }

    /// The promises.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let own = Kind::Evenkeel;
        let count = |fault| self.rounds.iter().filter(|round| round.fault == fault).count();
        let [kills, freezes, switchovers] = Fault::ALL.map(count);
        let share = format!(
            "from the new writer's readiness to the first write under {BOUND_MS} ms at p95 over {kills} kills, \
             {freezes} freezes and {switchovers} switchovers"
        );
        let idle = "every idle session is kept in every failover";
        let ledger = "no acknowledged commit lost, none doubled";
        let guard = "no write accepted by a node on an older timeline";
        if !self.kinds.contains(&own) {
            return [share.as_str(), idle, ledger, guard].map(|p| Verdict::none(p, "needs Evenkeel")).into();
        }
        let p95 = quantile(&self.shares(own, None), 0.95);
        let (of, kept) = self.kept(own).unwrap_or_default();
        let account = self.accounts.get(&own).cloned().unwrap_or_default();
        let older = self.on_older_timeline(own);
        vec![
            Verdict::of(share, format!("{p95:.0} ms"), p95 < BOUND_MS),
            Verdict::of(idle, format!("{kept} of {of}"), of > 0 && kept == of),
            Verdict::of(
                ledger,
                format!("{} lost, {} doubled of {}", account.lost, account.doubled, account.acknowledged),
                account.acknowledged > 0 && account.lost == 0 && account.doubled == 0,
            ),
            Verdict::of(guard, format!("{older} in {freezes} temptations"), freezes > 0 && older == 0),
        ]
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let rounds: Vec<Value> = self
            .rounds
            .iter()
            .map(|round| {
                let shares: BTreeMap<&str, f64> =
                    round.shares.iter().map(|(kind, share)| (kind.id(), share.as_secs_f64() * 1e3)).collect();
                let kept: BTreeMap<&str, Value> = round
                    .kept
                    .iter()
                    .map(|kept| {
                        let took_ms = kept.took.as_secs_f64() * 1e3;
                        (
                            kept.front.id(),
                            json!({"of": kept.of, "kept": kept.kept, "answered_within_ms": took_ms}),
                        )
                    })
                    .collect();
                json!({
                    "fault": round.fault.name(),
                    "engine_ms": round.engine.as_secs_f64() * 1e3,
                    "share_ms": shares,
                    "idle_sessions": kept,
                })
            })
            .collect();
        let fronts: BTreeMap<&str, Value> = self
            .kinds
            .iter()
            .map(|kind| {
                let shares = self.shares(*kind, None);
                let account = self.accounts.get(kind).cloned().unwrap_or_default();
                let summary = json!({
                    "share_ms": {
                        "p50": quantile(&shares, 0.5), "p95": quantile(&shares, 0.95), "max": quantile(&shares, 1.0),
                    },
                    "acknowledged": account.acknowledged,
                    "lost": account.lost,
                    "doubled": account.doubled,
                    "unknown": account.unknown,
                    "unknown_but_there": account.unknown_but_there,
                    "on_an_older_timeline": self.on_older_timeline(*kind),
                });
                (kind.id(), summary)
            })
            .collect();
        json!({"rounds": rounds, "fronts": fronts})
    }
}

impl Display for Failovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let engine: Vec<f64> = self.rounds.iter().map(|round| round.engine.as_secs_f64() * 1e3).collect();
        writeln!(
            f,
            "{} failovers; promotion itself took {:.0} ms (p50), {:.0} ms (max). From the first write directly on \
             the new writer to the first through each front, ms:",
            self.rounds.len(),
            quantile(&engine, 0.5),
            quantile(&engine, 1.0)
        )?;
        writeln!(
            f,
            "{:<21} {:>7} {:>7} {:>7}   {:>9} {:>9} {:>9}   {:>14}",
            "", "p50", "p95", "max", "kill p95", "freeze", "switch", "idle kept"
        )?;
        for kind in &self.kinds {
            let at = |fault, part| quantile(&self.shares(*kind, fault), part);
            let [kill, freeze, switchover] = Fault::ALL.map(|fault| at(Some(fault), 0.95));
            let kept =
                self.kept(*kind).map_or_else(|| "–".to_owned(), |(of, kept)| format!("{kept} of {of}"));
            writeln!(
                f,
                "{:<21} {:>7.0} {:>7.0} {:>7.0}   {kill:>9.0} {freeze:>9.0} {switchover:>9.0}   {kept:>14}",
                kind.title(),
                at(None, 0.5),
                at(None, 0.95),
                at(None, 1.0),
            )?;
        }
        writeln!(
            f,
            "{:<21} {:>12} {:>6} {:>8} {:>18} {:>15} {:>16}",
            "ledger", "acknowledged", "lost", "doubled", "fate not told", "of these there", "on old timeline"
        )?;
        for (kind, account) in &self.accounts {
            writeln!(
                f,
                "{:<21} {:>12} {:>6} {:>8} {:>18} {:>15} {:>16}",
                kind.title(),
                account.acknowledged,
                account.lost,
                account.doubled,
                account.unknown,
                account.unknown_but_there,
                self.on_older_timeline(*kind)
            )?;
        }
        writeln!(
            f,
            "(HAProxy asks a small HTTP server beside each node for its role, which stands for Patroni's REST \
             interface: inter 3s fall 3 rise 2 as in Patroni's documentation, and inter 200ms fall 2 rise 1.)"
        )
    }
}
