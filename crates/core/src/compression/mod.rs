//! permessage-deflate (RFC 7692) on the way out: who compresses what and when, and what is shared.
//!
//! Without context takeover one compressor serves all connections with equal parameters, and what goes to many of
//! them is compressed once.
//!
//! Compressing holds up every other connection, so only what is short is compressed where it is sent, and only until
//! that has taken [`SLICE`] of the turn. Everything else becomes a [`Jobs`] entry: the reactor works on those for a
//! slice in each turn of the loop, and the connection keeps what is sent behind it in order ([`Compressor`]).
//!
//! Knows nothing of connections' states.

mod compressor;
mod job;
mod jobs;
mod shared;

use std::time::{Duration, Instant};

use django_bolt_protocol::deflate::{Config, Deflater, Direction};
use pyo3::prelude::*;

pub(crate) use compressor::{Compressor, Output};
pub(crate) use jobs::Finished;
use jobs::Jobs;
use shared::SharedDeflaters;

/// How long others wait for compression at a time.
pub(crate) const SLICE: Duration = Duration::from_millis(1);
/// A scratch buffer larger than this is not kept, in bytes.
const KEEP_UP_TO: usize = 64 * 1024;

/// What the endpoint wishes; an object with these attributes.
#[derive(FromPyObject, Clone, Copy)]
pub(crate) struct Wishes {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: u8,
    client_max_window_bits: u8,
    level: u8,
    memory_level: u8,
    min_size: usize,
}

impl From<Wishes> for Config {
    fn from(wishes: Wishes) -> Self {
        Self {
            server_no_context_takeover: wishes.server_no_context_takeover,
            client_no_context_takeover: wishes.client_no_context_takeover,
            server_max_window_bits: wishes.server_max_window_bits,
            client_max_window_bits: wishes.client_max_window_bits,
            level: wishes.level,
            memory_level: wishes.memory_level,
            min_size: wishes.min_size,
        }
    }
}

/// What two connections must have in common to share a compressor.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Parameters {
    direction: Direction,
    level: u8,
    memory_level: u8,
}

impl Parameters {
    fn deflater(&self) -> Deflater {
        let config = Config {
            level: self.level,
            memory_level: self.memory_level,
            ..Config::default()
        };
        Deflater::new(self.direction, &config)
    }

    /// Longest message that is compressed in one go, in bytes: up to half a slice for text, two for noise. Text made
    /// to be slow takes 4 milliseconds at level 6 and 6 at level 9.
    const fn whole_size(&self) -> usize {
        match self.level {
            0..=3 => 64 * 1024,
            4..=6 => 16 * 1024,
            _ => 4 * 1024,
        }
    }
}

/// All that a reactor has for compressing.
#[derive(Default)]
pub(crate) struct Compressions {
    shared: SharedDeflaters,
    jobs: Jobs,
    scratch: Vec<u8>,
    /// Compressing took so much of this turn, jobs not counted.
    spent: Duration,
}

impl Compressions {
    /// Whether messages wait to be compressed.
    pub(crate) fn has_jobs(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// Begin to count a new turn. Returns the messages that were kept for further receivers.
    #[must_use = "to be dropped where Python code may run"]
    pub(crate) fn end_turn(&mut self) -> Vec<Py<PyAny>> {
        self.spent = Duration::ZERO;
        self.shared.forget_messages()
    }

    /// Compress the next message that is short, unless the time has come.
    pub(crate) fn finish_short(&mut self, until: Instant) -> Option<Finished> {
        self.jobs.finish_short(&mut self.shared, until)
    }

    /// Compress on until a long message is done or the time has come.
    pub(crate) fn finish_long(&mut self, until: Instant) -> Option<Finished> {
        self.jobs.finish_long(&mut self.shared, until)
    }

    /// Pieces of work done on long messages since the start.
    pub(crate) fn slices(&self) -> u64 {
        self.jobs.slices()
    }

    /// Whether a message may be compressed at once.
    fn has_time_for(&self, parameters: &Parameters, len: usize) -> bool {
        len <= parameters.whole_size() && self.spent < SLICE
    }
}
