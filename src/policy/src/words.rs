//! The words for why something happened: the same in headers, logs, metrics, alerts and replays.

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every word, in a fixed order; its place is [`Self::index`].
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }

            /// Its place in [`Self::ALL`].
            pub const fn index(self) -> usize {
                self as usize
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// Why a request goes where it goes.
    Reason {
        /// An operator pinned the region.
        Override = "override",
        /// The region claims the client's country or continent.
        Geo = "geo",
        /// Drawn by weight.
        Weighted = "weighted",
        /// The lowest probe latency.
        Latency = "latency",
        /// The region of this edge.
        Local = "local",
        /// The key's own region.
        Sticky = "sticky",
        /// The region that should have had it is not eligible.
        Failover = "failover",
        /// One of the few calls that test a recovering region.
        Trial = "trial",
        /// No region is eligible; this one gets it all the same.
        Degraded = "degraded",
        /// No region is eligible, and the configuration says to refuse.
        Rejected = "rejected",
        /// Another edge chose already.
        Hop = "hop",
    }
}

words! {
    /// Why a DNS answer is what it is.
    DnsReason {
        /// No record serves the client.
        NoAnswer = "no_answer",
        /// A record without a policy.
        Simple = "simple",
        /// All that are healthy.
        Multivalue = "multivalue",
        /// The record claims the client's country or continent.
        Geo = "geo",
        /// Drawn by weight.
        Weighted = "weighted",
        /// The lowest latency by the table.
        Latency = "latency",
        /// The primary is healthy.
        Primary = "primary",
        /// The record that should have been answered is not healthy.
        Failover = "failover",
        /// No record is healthy; this one is answered all the same.
        Degraded = "degraded",
    }
}

impl DnsReason {
    /// The reason of an answer that came about by both, `next` being the later one: the later one says
    /// more, but whatever passed a record over outlives what did not, and a single record says nothing.
    pub const fn or(self, next: DnsReason) -> DnsReason {
        match (self, next) {
            (DnsReason::Degraded, _) | (_, DnsReason::Degraded) => DnsReason::Degraded,
            (DnsReason::Failover, _) | (_, DnsReason::Failover) => DnsReason::Failover,
            (DnsReason::NoAnswer, next) => next,
            (known, DnsReason::Simple | DnsReason::NoAnswer) => known,
            (_, next) => next,
        }
    }
}

words! {
    /// Why a region does not get its full share.
    Cause {
        /// Its probes fail.
        Unhealthy = "unhealthy",
        /// Its last completed probe is too old.
        Stale = "stale",
        /// Live calls to it failed.
        BreakerOpen = "breaker_open",
        /// It is coming back and this request was not admitted yet.
        Ramp = "ramp",
        /// An operator drained it.
        Drain = "drain",
        /// An operator pinned another region.
        Pin = "pin",
        /// Envoy knows no such cluster.
        NoCluster = "no_cluster",
    }
}

words! {
    /// What came of one attempt.
    Outcome {
        /// It was answered.
        Ok = "ok",
        /// The region answered with a failure.
        Error = "error",
        /// The region did not answer in time.
        Timeout = "timeout",
        /// The connection failed or broke.
        Reset = "reset",
        /// It says nothing about the region.
        Ignored = "ignored",
    }
}

impl Outcome {
    /// Whether it counts against the region.
    pub const fn is_failure(self) -> bool {
        matches!(self, Outcome::Error | Outcome::Timeout | Outcome::Reset)
    }
}

words! {
    /// Which of a region's states changed.
    Kind {
        /// What its probes say.
        Health = "health",
        /// What its calls say.
        Breaker = "breaker",
        /// How much of its share it gets.
        Failback = "failback",
        /// What the operator ordered.
        Override = "override",
    }
}

words! {
    /// The states that a [`Transition`](crate::state::Transition) leads from and to.
    Phase {
        /// Probes succeed.
        Healthy = "healthy",
        /// Probes fail.
        Unhealthy = "unhealthy",
        /// Calls pass.
        Closed = "closed",
        /// Calls are kept away.
        Open = "open",
        /// A few calls are let through.
        HalfOpen = "half_open",
        /// The whole share.
        Full = "full",
        /// No share.
        Out = "out",
        /// No share yet; the cause is gone.
        Hold = "hold",
        /// A growing share.
        Ramp = "ramp",
        /// A share halved because errors came back.
        StepBack = "step_back",
        /// No order in force.
        None = "none",
        /// Drained by order.
        Drained = "drained",
        /// A drain that would have left nothing.
        DrainRefused = "drain_refused",
        /// Pinned by order.
        Pinned = "pinned",
        /// Held as it is by order.
        Frozen = "frozen",
    }
}
