//! Latencies in buckets whose width is at most 1/64 of their value.

const SUB_BUCKETS: usize = 64;
const SUB_BITS: u32 = 6;

/// Counts of values, in nanoseconds.
#[derive(Debug)]
pub struct Histogram {
    buckets: Vec<u64>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: vec![0; SUB_BUCKETS * (65 - SUB_BITS as usize)],
            total: 0,
            max: 0,
        }
    }
}

impl Histogram {
    /// Counts `value` `count` times.
    pub fn record(&mut self, value: u64, count: u64) {
        self.buckets[bucket_of(value)] += count;
        self.total += count;
        self.max = self.max.max(value);
    }

    /// Microseconds below which the share `quantile` of the values lies; 0 without values.
    #[must_use]
    pub fn quantile_us(&self, quantile: f64) -> f64 {
        let rank = (quantile * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return to_us(highest_of(bucket).min(self.max));
            }
        }
        0.0
    }

    /// The largest value in microseconds.
    #[must_use]
    pub fn max_us(&self) -> f64 {
        to_us(self.max)
    }
}

fn to_us(nanoseconds: u64) -> f64 {
    (nanoseconds as f64 / 100.0).round() / 10.0
}

fn bucket_of(value: u64) -> usize {
    let bits = u64::BITS - value.leading_zeros();
    let shift = bits.saturating_sub(SUB_BITS + 1);
    // Below 128 the value is its own bucket; above, its seven leading bits.
    SUB_BUCKETS * shift as usize + (value >> shift) as usize
}

fn highest_of(bucket: usize) -> u64 {
    let shift = (bucket / SUB_BUCKETS).saturating_sub(1);
    let leading = (bucket - SUB_BUCKETS * shift) as u64;
    (leading << shift) + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_their_values() {
        for value in [
            0,
            1,
            63,
            64,
            127,
            128,
            129,
            1_000,
            123_456,
            10_000_000_000,
            u64::MAX / 2,
        ] {
            let highest = highest_of(bucket_of(value));
            assert!(
                highest >= value && highest - value <= value / 64 + 1,
                "{value} {highest}"
            );
        }
        assert!(bucket_of(u64::MAX) < Histogram::default().buckets.len());
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut histogram = Histogram::default();
        assert!(histogram.quantile_us(0.5) < 0.05);
        for value in 1..=100 {
            histogram.record(value * 1_000, 1);
        }
        assert!((histogram.quantile_us(0.50) - 50.0).abs() < 1.0);
        assert!((histogram.quantile_us(0.99) - 99.0).abs() < 2.0);
        assert!((histogram.max_us() - 100.0).abs() < 0.1);
    }
}
