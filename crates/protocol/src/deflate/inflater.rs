//! Inflating messages (RFC 7692 section 7.2.2).
//!
//! The module owns the inflater's state, where it comes from, and what deflate data may be. It must not know
//! frames; what is inflated goes to the message under way, which knows its limit.

use std::fmt;

use zlib_rs::{Inflate, InflateError, InflateFlush, Status};

use super::negotiation::Direction;
use super::TAIL;
use crate::error::ProtocolError;
use crate::message::Message;

/// Bytes that are inflated before the message is asked whether it may go on.
const CHUNK: usize = 8192;

/// States that are kept for the next message.
const MOST_POOLED: usize = 4;

/// Inflater states that no message needs at the moment, lent to readers by [`Input::with_pool`].
///
/// One serves all connections of a thread. Without a pool a reader allocates a state for each message, which
/// costs up to a microsecond.
///
/// [`Input::with_pool`]: crate::Input::with_pool
#[derive(Debug, Default)]
pub struct InflaterPool {
    #[allow(clippy::vec_box, reason = "states move between pool and readers as pointers")]
    idle: Vec<Box<Inflater>>,
}

impl InflaterPool {
    /// Make an empty pool; it keeps at most four states.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of states kept at the moment.
    #[must_use]
    pub fn len(&self) -> usize {
        self.idle.len()
    }

    /// Whether none is kept at the moment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.idle.is_empty()
    }

    fn put(&mut self, mut inflater: Box<Inflater>) {
        if self.idle.len() < MOST_POOLED {
            // Nothing of one connection's messages may be reached from another's.
            inflater.clear();
            self.idle.push(inflater);
        }
    }
}

/// How far a message's deflate data have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Nothing has come yet.
    Untouched,
    /// Blocks have begun.
    Inside,
    /// A block said that it was the last, and nothing came after it.
    Ended,
}

/// The state of inflating: the window, the tables of the block under way.
struct Inflater {
    state: Inflate,
    progress: Progress,
}

impl Inflater {
    fn new() -> Self {
        Self {
            // Raw deflate. A smaller window would take as much memory.
            state: Inflate::new(false, super::MAX_WINDOW_BITS),
            progress: Progress::Untouched,
        }
    }

    /// Forget the context.
    fn clear(&mut self) {
        self.state.reset(false);
        self.progress = Progress::Untouched;
    }

    /// Inflate a piece of deflate data into the message.
    ///
    /// After a block that says it is the last (BFINAL, section 7.2.3.4) a new stream begins, with an empty window:
    /// so do the senders that make such blocks with zlib.
    fn push(&mut self, mut piece: &[u8], message: &mut Message, limit: u64) -> Result<(), ProtocolError> {
        let mut chunk = [0; CHUNK];
        let mut is_full = false;
        while is_full || !piece.is_empty() {
            let step = self.step(piece, &mut chunk, InflateFlush::NoFlush);
            message.append_inflated(&chunk[..step.produced], limit)?;
            self.progress = match step.result {
                Err(_) => return Err(ProtocolError::CorruptDeflate),
                Ok(Status::StreamEnd) => {
                    self.state.reset(false);
                    Progress::Ended
                }
                Ok(_) if step.produced == 0 && step.consumed == 0 => return Ok(()),
                Ok(_) => Progress::Inside,
            };
            piece = &piece[step.consumed..];
            is_full = step.produced == CHUNK && self.progress == Progress::Inside;
        }
        Ok(())
    }

    /// End the message: its data must be whole blocks once the tail is appended (section 7.2.2).
    ///
    /// Two ends that section 7.2.1 does not make are let pass, as other receivers do, for they leave no doubt:
    /// no data at all for an empty message, and a last block without the empty one behind it.
    fn finish(&mut self) -> Result<(), ProtocolError> {
        let progress = std::mem::replace(&mut self.progress, Progress::Untouched);
        if progress != Progress::Inside {
            return Ok(());
        }
        // Inflating stops where a block ends, which must be before the byte behind the tail.
        let [a, b, c, d] = TAIL;
        let step = self.step(&[a, b, c, d, 0], &mut [0; 8], InflateFlush::Block);
        match step {
            Step {
                consumed: 4,
                produced: 0,
                result: Ok(Status::Ok),
            } => Ok(()),
            _ => Err(ProtocolError::CorruptDeflate),
        }
    }

    fn step(&mut self, input: &[u8], output: &mut [u8], flush: InflateFlush) -> Step {
        let (before_in, before_out) = (self.state.total_in(), self.state.total_out());
        let result = self.state.decompress(input, output, flush);
        Step {
            // Both are at most the lengths that were given.
            consumed: (self.state.total_in() - before_in) as usize,
            produced: (self.state.total_out() - before_out) as usize,
            result,
        }
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

/// What one call of the inflater did; output that comes before an error counts.
struct Step {
    consumed: usize,
    produced: usize,
    result: Result<Status, InflateError>,
}

/// A reader's side of permessage-deflate: what was agreed on, and the state while it is needed.
#[derive(Debug)]
pub(crate) struct Inflation {
    direction: Option<Direction>,
    inflater: Option<Box<Inflater>>,
}

impl Inflation {
    pub(crate) fn new(direction: Option<Direction>) -> Self {
        Self {
            direction,
            inflater: None,
        }
    }

    /// Whether messages may be compressed.
    #[inline]
    pub(crate) fn is_negotiated(&self) -> bool {
        self.direction.is_some()
    }

    /// Whether a state is held.
    pub(crate) fn is_held(&self) -> bool {
        self.inflater.is_some()
    }

    /// Inflate a piece of a payload into the message.
    pub(crate) fn push(
        &mut self,
        piece: &[u8],
        message: &mut Message,
        limit: u64,
        pool: Option<&mut InflaterPool>,
    ) -> Result<(), ProtocolError> {
        if piece.is_empty() {
            return Ok(());
        }
        self.inflater
            .get_or_insert_with(|| {
                pool.and_then(|pool| pool.idle.pop())
                    .unwrap_or_else(|| Box::new(Inflater::new()))
            })
            .push(piece, message, limit)
    }

    /// End the message; without context takeover the state is given back.
    pub(crate) fn finish(&mut self, pool: Option<&mut InflaterPool>) -> Result<(), ProtocolError> {
        if let Some(inflater) = &mut self.inflater {
            inflater.finish()?;
        }
        if !self.direction.is_some_and(|direction| direction.context_takeover) {
            self.release(pool);
        }
        Ok(())
    }

    /// Give the state back, or drop it.
    pub(crate) fn release(&mut self, pool: Option<&mut InflaterPool>) {
        if let (Some(inflater), Some(pool)) = (self.inflater.take(), pool) {
            pool.put(inflater);
        }
    }
}
