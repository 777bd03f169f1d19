//! The outbound buffer of a connection: frames in order, coalesced, large payloads by reference.
//!
//! Knows nothing of limits: who queues decides.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::sync::Arc;

use django_bolt_protocol::frame::{self, Opcode};

use crate::payload::{HeldBytes, Payload, SharedBytes, SHARE_FROM};

/// A run of small frames is closed at this length, so that what was sent can be freed piecewise, in bytes.
pub(crate) const SEAL_AT: usize = 64 * 1024;
/// Pieces given to one system call.
const MAX_PIECES: usize = 32;
/// A drained buffer larger than this is not kept, in bytes.
const KEEP_UP_TO: usize = 16 * 1024;

enum Piece {
    Owned(Vec<u8>),
    /// Frames that go to several connections.
    Encoded(Arc<[u8]>),
    Shared(SharedBytes),
    /// A payload that waited for its turn.
    Held(Arc<HeldBytes>),
}

impl Piece {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Encoded(bytes) => bytes,
            Self::Shared(bytes) => bytes,
            Self::Held(bytes) => bytes,
        }
    }
}

/// Frames queued for the peer and not yet taken by the kernel.
#[derive(Default)]
pub(crate) struct Outbound {
    /// Closed pieces, sent before `tail`.
    pieces: VecDeque<Piece>,
    /// Where frames are appended.
    tail: Vec<u8>,
    /// Bytes of the first piece (or of the tail, if there is no piece) already sent.
    sent: usize,
    /// Bytes of all these, and those held.
    queued: usize,
    /// Bytes that somebody holds to append them later, and that count already.
    held: usize,
}

impl Outbound {
    /// Bytes queued, with those held.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.queued
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.queued == 0
    }

    /// Whether there is something that can be sent now.
    #[inline]
    pub(crate) fn has_ready(&self) -> bool {
        self.queued > self.held
    }

    /// Count bytes that will be appended later.
    pub(crate) fn hold(&mut self, len: usize) {
        self.queued += len;
        self.held += len;
    }

    /// Count them no longer: they are appended now, in one form or another.
    pub(crate) fn release(&mut self, len: usize) {
        self.queued -= len;
        self.held -= len;
    }

    /// Whether appending would have to allocate.
    #[inline]
    pub(crate) fn wants_buffer(&self) -> bool {
        self.tail.capacity() == 0
    }

    /// Lend a spare buffer to an empty outbound buffer.
    #[inline]
    pub(crate) fn lend(&mut self, buffer: Vec<u8>) {
        self.tail = buffer;
    }

    /// Append bytes that a writer puts at the end of the buffer.
    #[inline]
    pub(crate) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.tail.len();
        write(&mut self.tail);
        self.queued += self.tail.len() - before;
        if self.tail.len() >= SEAL_AT {
            self.seal();
        }
    }

    /// Append a message as one frame; a large payload is shared, not copied.
    #[inline]
    pub(crate) fn push_message(&mut self, opcode: Opcode, payload: &Payload<'_, '_>) {
        match payload.share() {
            None => self.append(|tail| frame::write_frame(tail, opcode, payload.as_bytes(), None)),
            Some(shared) => {
                self.append(|tail| frame::write_header(tail, true, false, opcode, shared.len(), None));
                self.seal();
                self.queued += shared.len();
                self.pieces.push_back(Piece::Shared(shared));
            }
        }
    }

    /// Append frames that were encoded before; many bytes are shared, not copied.
    pub(crate) fn push_encoded(&mut self, frames: Arc<[u8]>) {
        if frames.len() < SHARE_FROM {
            return self.append(|tail| tail.extend_from_slice(&frames));
        }
        self.seal();
        self.queued += frames.len();
        self.pieces.push_back(Piece::Encoded(frames));
    }

    /// Append a message whose payload was held; a large one is shared, not copied.
    pub(crate) fn push_held(&mut self, opcode: Opcode, is_compressed: bool, payload: &Arc<HeldBytes>) {
        let len = payload.len();
        self.append(|tail| frame::write_header(tail, true, is_compressed, opcode, len, None));
        if len < SHARE_FROM {
            return self.append(|tail| tail.extend_from_slice(payload));
        }
        self.seal();
        self.queued += len;
        self.pieces.push_back(Piece::Held(Arc::clone(payload)));
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.pieces
                .push_back(Piece::Owned(std::mem::take(&mut self.tail)));
        }
    }

    /// Write until everything that is ready is sent or the socket would block.
    ///
    /// # Errors
    ///
    /// The socket's, `WouldBlock` excepted: that ends the call with what was sent so far.
    ///
    /// Returns the number of bytes sent.
    pub(crate) fn flush(&mut self, socket: &mut impl Write) -> io::Result<usize> {
        let mut total = 0;
        while self.has_ready() {
            let wanted;
            let result = if self.pieces.is_empty() {
                wanted = self.tail.len() - self.sent;
                socket.write(&self.tail[self.sent..])
            } else {
                let slices = self.slices();
                wanted = slices.iter().map(|slice| slice.len()).sum();
                socket.write_vectored(&slices)
            };
            match result {
                Ok(count) => {
                    self.advance(count);
                    total += count;
                    if count < wanted {
                        break; // a short write: the kernel's buffer is full, its edge will come
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }

    fn slices(&self) -> Vec<IoSlice<'_>> {
        let mut skip = self.sent;
        let tail = std::iter::once(self.tail.as_slice()).filter(|tail| !tail.is_empty());
        self.pieces
            .iter()
            .map(Piece::as_bytes)
            .chain(tail)
            .take(MAX_PIECES)
            .map(|bytes| IoSlice::new(&bytes[std::mem::take(&mut skip)..]))
            .collect()
    }

    fn advance(&mut self, count: usize) {
        self.queued -= count;
        self.sent += count;
        while let Some(piece) = self.pieces.front() {
            let len = piece.as_bytes().len();
            if self.sent < len {
                return;
            }
            self.sent -= len;
            self.pieces.pop_front();
        }
        if !self.has_ready() {
            self.tail.clear();
            self.sent = 0;
        }
    }

    /// Take the buffer back from a drained outbound buffer, so that an idle connection holds none.
    #[inline]
    pub(crate) fn reclaim(&mut self) -> Option<Vec<u8>> {
        let buffer = std::mem::take(&mut self.tail);
        (buffer.capacity() > 0 && buffer.capacity() <= KEEP_UP_TO).then_some(buffer)
    }

    /// Forget everything queued.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
