//! Compressing what was put off: for a slice in each turn of the loop.

use std::time::Instant;

use pyo3::prelude::*;

use super::batch::FirstError;
use super::entries::Entry;
use super::Reactor;
use crate::compression::{Finished, SLICE};
use crate::connection::Connection;

impl Reactor {
    /// Compress short messages for a slice, and long ones for another, and give them to their connections.
    pub(super) fn compress(&self, py: Python<'_>, first_error: &mut FirstError) {
        let until = Instant::now() + SLICE;
        while let Some(finished) = self.finish_short(py, until) {
            self.deliver(py, finished, first_error);
        }
        let until = Instant::now() + SLICE;
        while let Some(finished) = self.finish_long(py, until) {
            self.deliver(py, finished, first_error);
        }
    }

    fn finish_short(&self, py: Python<'_>, until: Instant) -> Option<Finished> {
        self.queues.borrow_mut(py).compressions.finish_short(until)
    }

    fn finish_long(&self, py: Python<'_>, until: Instant) -> Option<Finished> {
        self.queues.borrow_mut(py).compressions.finish_long(until)
    }

    fn deliver(&self, py: Python<'_>, mut finished: Finished, first_error: &mut FirstError) {
        for token in std::mem::take(&mut finished.receivers) {
            let connection = match self.entries.borrow_mut(py).get_mut(token) {
                Some(Entry::Live(connection)) => connection.clone_ref(py),
                _ => continue,
            };
            first_error.note(Connection::with(connection.bind(py), |state, env| {
                state.on_compressed(env, &mut finished)
            }));
        }
    }
}
