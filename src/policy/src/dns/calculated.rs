//! Calculated health checks: k of n others (R28).

/// Whether enough children are healthy. 0 needed is always healthy, more than there are never.
pub const fn is_healthy(healthy_children: usize, needed: usize) -> bool {
    healthy_children >= needed
}
