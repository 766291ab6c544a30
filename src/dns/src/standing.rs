//! What the responder is told of health.

/// What holds for all answers from one moment to the next. Replaced as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// For each check of the zone, by its number: per cent of its normal share. 0 is unhealthy, 100
    /// healthy; what lies between is a region on its way back.
    pub shares: Vec<u8>,
    /// A failover is fresh: `failover_ttl` is in force where it is configured.
    pub fresh: bool,
}
