//! A run's figures, from its journal alone.

/// The smallest value that at least `percent` of the values do not exceed; none without values. Sorts them.
pub fn percentile<T: Copy + PartialOrd>(values: &mut [T], percent: f64) -> Option<T> {
    values.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    let rank = (percent / 100.0 * values.len() as f64).ceil() as usize;
    values.get(rank.clamp(1, values.len().max(1)) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        assert_eq!(percentile::<f64>(&mut [], 50.0), None);
        assert_eq!(percentile(&mut [7.0], 1.0), Some(7.0));
        let mut values: Vec<_> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut values, 0.0), Some(1.0));
        assert_eq!(percentile(&mut values, 50.0), Some(50.0));
        assert_eq!(percentile(&mut values, 99.0), Some(99.0));
        assert_eq!(percentile(&mut values, 99.5), Some(100.0));
        assert_eq!(percentile(&mut values, 100.0), Some(100.0));
    }
}
