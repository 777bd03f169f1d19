//! One heap of deadlines for a whole reactor, behind one timer of the event loop.
//!
//! A deadline that moves later costs nothing: its entry stays, and is put back when it comes up too early.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// Milliseconds since the clock was made.
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Milliseconds, never 0.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX) + 1
    }
}

/// One owner's deadline together with the earliest heap entry that stands for it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Deadline {
    due: Option<u64>,
    queued_at: Option<u64>,
}

/// What a heap entry that came up means for its owner.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// The deadline has passed.
    Now,
    /// It was moved: put an entry at this time.
    Later(u64),
    /// The entry stands for nothing any more.
    Stale,
}

impl Deadline {
    /// Set or clear it; returns the time at which a heap entry must be added, if one is needed.
    #[must_use]
    pub(crate) fn set(&mut self, due: Option<u64>) -> Option<u64> {
        self.due = due;
        let due = due?;
        if self.queued_at.is_some_and(|queued| queued <= due) {
            return None;
        }
        self.queued_at = Some(due);
        Some(due)
    }

    /// Judge the heap entry of time `at`.
    pub(crate) fn judge(&mut self, at: u64, now: u64) -> Due {
        if self.queued_at != Some(at) {
            return Due::Stale;
        }
        self.queued_at = None;
        match self.due {
            None => Due::Stale,
            Some(due) if due <= now => {
                self.due = None;
                Due::Now
            }
            Some(due) => {
                self.queued_at = Some(due);
                Due::Later(due)
            }
        }
    }
}

/// Heap entries of (time, token).
#[derive(Default)]
pub(crate) struct Timers(BinaryHeap<Reverse<(u64, usize)>>);

impl Timers {
    pub(crate) fn add(&mut self, at: u64, token: usize) {
        self.0.push(Reverse((at, token)));
    }

    /// Time of the earliest entry.
    pub(crate) fn earliest(&self) -> Option<u64> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// Take the earliest entry that is due.
    pub(crate) fn pop_due(&mut self, now: u64) -> Option<(u64, usize)> {
        if self.earliest()? > now {
            return None;
        }
        self.0.pop().map(|Reverse(entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_moves_later_keeps_its_entry() {
        let mut deadline = Deadline::default();
        assert_eq!(deadline.set(Some(10)), Some(10));
        assert_eq!(deadline.set(Some(30)), None);
        assert_eq!(deadline.judge(10, 10), Due::Later(30));
        assert_eq!(deadline.judge(30, 31), Due::Now);
    }

    #[test]
    fn a_deadline_that_moves_earlier_gets_a_second_entry_and_the_first_is_stale() {
        let mut deadline = Deadline::default();
        assert_eq!(deadline.set(Some(30)), Some(30));
        assert_eq!(deadline.set(Some(10)), Some(10));
        assert_eq!(deadline.judge(10, 10), Due::Now);
        assert_eq!(deadline.judge(30, 30), Due::Stale);
    }

    #[test]
    fn a_cleared_deadline_never_comes_due() {
        let mut deadline = Deadline::default();
        assert_eq!(deadline.set(Some(10)), Some(10));
        assert_eq!(deadline.set(None), None);
        assert_eq!(deadline.judge(10, 50), Due::Stale);
    }

    #[test]
    fn entries_come_up_in_order_of_time() {
        let mut timers = Timers::default();
        timers.add(20, 1);
        timers.add(10, 2);
        assert_eq!(timers.earliest(), Some(10));
        assert_eq!(timers.pop_due(9), None);
        assert_eq!(timers.pop_due(25), Some((10, 2)));
        assert_eq!(timers.pop_due(25), Some((20, 1)));
        assert_eq!(timers.pop_due(25), None);
    }
}
