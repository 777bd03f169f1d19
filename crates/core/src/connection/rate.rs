//! How many messages and bytes a second one connection may send: token buckets that hold one second's worth.

use crate::options::Options;

struct Bucket {
    /// Tokens a second; 0: no limit.
    rate: f64,
    level: f64,
}

impl Bucket {
    fn new(rate: f64) -> Self {
        Self {
            rate,
            level: rate.max(1.0),
        }
    }

    fn refill(&mut self, milliseconds: f64) {
        self.level = (self.level + self.rate * milliseconds / 1000.0).min(self.rate.max(1.0));
    }

    /// Milliseconds until the bucket is out of debt.
    fn wait(&self) -> u64 {
        if self.rate == 0.0 || self.level >= 0.0 {
            return 0;
        }
        // Cannot be negative or NaN: the rate is positive and the level below zero.
        (-self.level / self.rate * 1000.0).ceil() as u64
    }

    fn is_overdrawn(&self) -> bool {
        self.rate > 0.0 && self.level < 0.0
    }
}

/// The two limits of a connection.
pub(super) struct RateLimit {
    messages: Bucket,
    bytes: Bucket,
    refilled_at: u64,
}

impl RateLimit {
    /// None where neither is limited.
    pub(super) fn new(options: &Options, now: u64) -> Option<Box<Self>> {
        let is_limited = options.message_rate > 0.0 || options.byte_rate > 0.0;
        is_limited.then(|| {
            Box::new(Self {
                messages: Bucket::new(options.message_rate),
                bytes: Bucket::new(options.byte_rate),
                refilled_at: now,
            })
        })
    }

    /// Bytes to read at once: no more than a second's worth, so that what is owed is soon worked off.
    pub(super) fn read_size(&self) -> usize {
        if self.bytes.rate > 0.0 {
            self.bytes.rate.max(1024.0) as usize
        } else {
            usize::MAX
        }
    }

    /// Count bytes that were read.
    pub(super) fn take_bytes(&mut self, count: usize, now: u64) {
        let elapsed = now.saturating_sub(self.refilled_at) as f64;
        self.refilled_at = now;
        self.messages.refill(elapsed);
        self.bytes.refill(elapsed);
        self.bytes.level -= count as f64;
    }

    /// Count a message or a control frame: a flood of pings is a flood.
    pub(super) fn take_message(&mut self) {
        self.messages.level -= 1.0;
    }

    pub(super) fn is_overdrawn(&self) -> bool {
        self.messages.is_overdrawn() || self.bytes.is_overdrawn()
    }

    /// Milliseconds until reading may go on.
    pub(super) fn wait(&self) -> u64 {
        self.messages.wait().max(self.bytes.wait())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(messages: f64, bytes: f64) -> RateLimit {
        RateLimit {
            messages: Bucket::new(messages),
            bytes: Bucket::new(bytes),
            refilled_at: 0,
        }
    }

    #[test]
    fn a_second_worth_passes_at_once_and_one_more_overdraws() {
        let mut limit = limit(10.0, 0.0);
        for _ in 0..10 {
            limit.take_message();
            assert!(!limit.is_overdrawn());
        }
        limit.take_message();
        assert!(limit.is_overdrawn());
        assert_eq!(limit.wait(), 100);
    }

    #[test]
    fn it_refills_with_time_up_to_one_second_worth() {
        let mut limit = limit(0.0, 1000.0);
        limit.take_bytes(1500, 0);
        assert_eq!(limit.wait(), 500);
        limit.take_bytes(0, 500);
        assert!(!limit.is_overdrawn());
        limit.take_bytes(1000, 60_000);
        assert!(!limit.is_overdrawn());
        limit.take_bytes(1, 60_000);
        assert!(limit.is_overdrawn());
    }

    #[test]
    fn a_rate_below_one_lets_single_messages_pass() {
        let mut limit = limit(0.5, 0.0);
        limit.take_message();
        assert!(!limit.is_overdrawn());
        limit.take_message();
        assert_eq!(limit.wait(), 2000);
    }
}
