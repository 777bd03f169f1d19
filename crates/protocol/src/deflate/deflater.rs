//! Compressing messages (RFC 7692 section 7.2.1).
//!
//! The module owns the compressor's state and the form of a compressed payload. It must not know when a message
//! is worth compressing, nor how long a caller may take.

use std::fmt;

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush};

use super::config::{Config, MAX_WINDOW_BITS};
use super::negotiation::Direction;
use super::TAIL;
use crate::frame::{write_header, Opcode, MAX_HEADER};
use crate::mask::apply_mask;

/// The window a compressor is given for the 8 bits that zlib does not have: its matches reach back a window less
/// 262 bytes, so with 9 bits 250 bytes, which is within the 256 that 8 bits allow.
const LEAST_ZLIB_BITS: u8 = 9;

/// Space that is offered to the compressor at a time, beside a share of what is to be compressed.
const LEAST_SPACE: usize = 128;
const MOST_SPACE: usize = 16_384;

/// The payload of an empty message, and an end with nothing before it: the header of an empty block (section 7.2.3.6).
const EMPTY: u8 = 0x00;

/// Compresses messages of one direction.
///
/// With context takeover it belongs to one connection. Without, it holds nothing between messages and may
/// serve any connections whose [`Direction`] is equal.
pub struct Deflater {
    state: Deflate,
    context_takeover: bool,
    /// Nothing was compressed since the last reset.
    is_clear: bool,
}

impl Deflater {
    /// Make a compressor; it takes [`deflater_size`](super::deflater_size) bytes.
    #[must_use]
    pub fn new(direction: Direction, config: &Config) -> Self {
        let config = config.within_ranges();
        let bits = direction.window_bits.clamp(LEAST_ZLIB_BITS, MAX_WINDOW_BITS);
        let state = Deflate::new_with_config(DeflateConfig {
            level: i32::from(config.level),
            // Negative: without zlib's header and trailer.
            window_bits: -i32::from(bits),
            mem_level: i32::from(config.memory_level),
            ..DeflateConfig::default()
        });
        Self {
            state,
            context_takeover: direction.context_takeover,
            is_clear: true,
        }
    }

    /// Append the compressed payload of a message; false, with `out` as it was, if it would not be smaller.
    ///
    /// A message that does not get smaller is to be sent plain. With context takeover it is always compressed:
    /// what comes later may refer to it.
    pub fn compress(&mut self, payload: &[u8], out: &mut Vec<u8>) -> bool {
        let start = out.len();
        self.deflate(payload, out);
        let is_smaller = out.len() - start < payload.len();
        if !is_smaller && !self.context_takeover {
            out.truncate(start);
        }
        is_smaller || self.context_takeover
    }

    /// Append the compressed payload of a message, smaller or not.
    pub fn deflate(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        if payload.is_empty() {
            out.push(EMPTY);
        } else {
            self.start();
            self.flush(payload, out);
        }
    }

    /// Begin a message that is compressed piece by piece, so that other work can be done between.
    ///
    /// The state is inside what is returned until [`Deflation::finish`] gives it back. If that is dropped
    /// before its end, go on with a new `Deflater`: a compressor may forget its context at any time.
    #[must_use]
    pub fn begin(mut self) -> Deflation {
        self.start();
        Deflation {
            deflater: self,
            is_flushed: true,
        }
    }

    fn start(&mut self) {
        if !self.context_takeover && !self.is_clear {
            self.state.reset();
            self.is_clear = true;
        }
    }

    /// Append all that is to come of the message, without the tail that the receiver appends again.
    fn flush(&mut self, input: &[u8], out: &mut Vec<u8>) {
        self.drive(input, out, DeflateFlush::SyncFlush);
        debug_assert!(out.ends_with(&TAIL), "a flush ends with an empty block");
        out.truncate(out.len() - TAIL.len());
    }

    /// Consume all input, and append what comes of it.
    fn drive(&mut self, mut input: &[u8], out: &mut Vec<u8>, flush: DeflateFlush) {
        self.is_clear = false;
        loop {
            let start = out.len();
            let space = LEAST_SPACE + (input.len() / 2).min(MOST_SPACE);
            out.resize(start + space, 0);
            let (before_in, before_out) = (self.state.total_in(), self.state.total_out());
            let result = self.state.compress(input, &mut out[start..], flush);
            debug_assert!(result.is_ok(), "the state is valid and never finished");
            // Both are at most the lengths that were given.
            let consumed = (self.state.total_in() - before_in) as usize;
            let produced = (self.state.total_out() - before_out) as usize;
            out.truncate(start + produced);
            input = &input[consumed..];
            // Space left over means that all was consumed and flushed.
            if produced < space {
                return;
            }
        }
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater")
            .field("context_takeover", &self.context_takeover)
            .finish_non_exhaustive()
    }
}

/// A message that is being compressed piece by piece.
#[derive(Debug)]
pub struct Deflation {
    deflater: Deflater,
    /// Nothing was pushed since the beginning or the last flush.
    is_flushed: bool,
}

impl Deflation {
    /// Compress a piece. Appends what comes of it, which may be nothing yet.
    ///
    /// Pieces of 1 KiB take hardly longer than the whole in one, and 1.5 ms at the worst: data made to be slow, at
    /// level 9. Text at level 1 takes 5 microseconds.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        if !piece.is_empty() {
            self.is_flushed = false;
            self.deflater.drive(piece, out, DeflateFlush::NoFlush);
        }
    }

    /// Append all that was pushed, which shows how small it gets. Costs up to 5 bytes.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        if !self.is_flushed {
            self.is_flushed = true;
            self.deflater.drive(&[], out, DeflateFlush::SyncFlush);
        }
    }

    /// Append the end of the payload.
    #[must_use]
    pub fn finish(mut self, out: &mut Vec<u8>) -> Deflater {
        if self.is_flushed {
            out.push(EMPTY);
        } else {
            self.deflater.flush(&[], out);
        }
        self.deflater
    }
}

/// Append a frame that is a whole message, with its payload compressed already.
#[inline]
pub fn write_compressed_frame(out: &mut Vec<u8>, opcode: Opcode, deflated: &[u8], mask: Option<[u8; 4]>) {
    out.reserve(MAX_HEADER + deflated.len());
    write_header(out, true, true, opcode, deflated.len(), mask);
    let start = out.len();
    out.extend_from_slice(deflated);
    if let Some(key) = mask {
        apply_mask(&mut out[start..], key, 0);
    }
}
