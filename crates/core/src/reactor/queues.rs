//! What a step of one connection leaves to be done outside of it, and what is counted.

use django_bolt_protocol::deflate::InflaterPool;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::awaitable::Awaitable;
use crate::compression::Compressions;
use crate::connection::Connection;

/// Spare buffers kept for connections that begin to send.
const MAX_SPARE: usize = 256;

#[derive(Default)]
pub(crate) struct Queues {
    /// Connections to flush.
    pub(crate) dirty: Vec<Py<Connection>>,
    /// Connections that may have bytes to read without an edge to tell.
    pub(crate) ready: Vec<Py<Connection>>,
    /// Those who waited for something that happened.
    pub(crate) wakes: Vec<Py<Awaitable>>,
    /// Tokens of connections that are over.
    pub(crate) ended: Vec<usize>,
    /// Times and tokens for the heap of timers.
    pub(crate) deadlines: Vec<(u64, usize)>,
    /// Empty buffers with capacity.
    pub(crate) spare: Vec<Vec<u8>>,
    /// Compressors that serve many connections, and messages that wait for one.
    pub(crate) compressions: Compressions,
    /// Spare states for compressed messages that are being read.
    pub(crate) inflaters: InflaterPool,
    pub(crate) counters: Counters,
}

impl Queues {
    /// Whether anything waits to be done.
    #[inline]
    pub(crate) fn has_work(&self) -> bool {
        !(self.dirty.is_empty()
            && self.ready.is_empty()
            && self.wakes.is_empty()
            && self.ended.is_empty()
            && self.deadlines.is_empty())
    }

    pub(crate) fn keep_spare(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < MAX_SPARE {
            self.spare.push(buffer);
        }
    }
}

/// Events since the reactor was made.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counters {
    pub(crate) accepted: u64,
    pub(crate) opened: u64,
    pub(crate) closed: u64,
    pub(crate) rejected: u64,
    pub(crate) slow_consumers: u64,
    pub(crate) protocol_errors: u64,
    pub(crate) rate_limited: u64,
    pub(crate) handshake_timeouts: u64,
    pub(crate) ping_timeouts: u64,
}

impl Counters {
    pub(crate) fn to_dict<'py>(self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counters = PyDict::new(py);
        for (name, value) in [
            ("accepted", self.accepted),
            ("opened", self.opened),
            ("closed", self.closed),
            ("rejected", self.rejected),
            ("slow_consumers", self.slow_consumers),
            ("protocol_errors", self.protocol_errors),
            ("rate_limited", self.rate_limited),
            ("handshake_timeouts", self.handshake_timeouts),
            ("ping_timeouts", self.ping_timeouts),
        ] {
            counters.set_item(name, value)?;
        }
        Ok(counters)
    }
}
