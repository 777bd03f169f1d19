//! A data message under way (RFC 6455 sections 5.4, 5.6 and 10.4).
//!
//! The module owns the rules of fragmentation, the limits, and what has come of the message so far. It must
//! not know headers' form, control frames or masking.

use crate::config::ReaderConfig;
use crate::error::ProtocolError;
use crate::frame::Opcode;
use crate::frame_header::FrameHeader;
use crate::utf8::{InvalidUtf8, Utf8Decoder};

impl From<InvalidUtf8> for ProtocolError {
    fn from(_: InvalidUtf8) -> Self {
        Self::TextNotUtf8
    }
}

/// What has come of a message.
#[derive(Debug, Default)]
pub(crate) enum Content {
    /// No message is under way.
    #[default]
    None,
    Text(String),
    Binary(Vec<u8>),
}

/// The message under way, if any. Memory grows with what has arrived, never with what is announced.
#[derive(Debug, Default)]
pub(crate) struct Message {
    content: Content,
    decoder: Utf8Decoder,
    /// Frames so far.
    fragments: u32,
    /// Payload bytes as far as headers have declared.
    size: u64,
    /// Whether the payload is compressed (RFC 7692 section 6).
    is_compressed: bool,
}

impl Message {
    pub(crate) fn is_under_way(&self) -> bool {
        !matches!(self.content, Content::None)
    }

    pub(crate) fn content(&self) -> &Content {
        &self.content
    }

    pub(crate) fn is_compressed(&self) -> bool {
        self.is_compressed
    }

    /// Bytes held.
    pub(crate) fn held(&self) -> usize {
        self.decoder.carried()
            + match &self.content {
                Content::None => 0,
                Content::Text(text) => text.len(),
                Content::Binary(bytes) => bytes.len(),
            }
    }

    /// Admit a data frame by its header alone, before any of its payload is held.
    pub(crate) fn admit(&mut self, header: &FrameHeader, config: &ReaderConfig) -> Result<(), ProtocolError> {
        self.check_order(header.opcode)?;
        if !self.is_under_way() {
            self.is_compressed = header.rsv1;
        }
        self.size = check_size(self.size, header.payload_len, self.is_compressed, config)?;
        if !header.fin || self.is_under_way() {
            if self.fragments >= config.max_fragments {
                return Err(ProtocolError::TooManyFragments {
                    limit: config.max_fragments,
                });
            }
            self.fragments += 1;
        }
        Ok(())
    }

    /// Continuation frames belong inside a fragmented message, others outside (section 5.4).
    fn check_order(&self, opcode: Opcode) -> Result<(), ProtocolError> {
        match (self.is_under_way(), opcode == Opcode::Continuation) {
            (false, true) => Err(ProtocolError::UnexpectedContinuation),
            (true, false) => Err(ProtocolError::ExpectedContinuation(opcode)),
            _ => Ok(()),
        }
    }

    /// Begin to hold a message of the opcode, unless it is under way.
    pub(crate) fn begin(&mut self, opcode: Opcode) {
        if !self.is_under_way() {
            self.content = match opcode {
                Opcode::Text => Content::Text(String::new()),
                _ => Content::Binary(Vec::new()),
            };
        }
    }

    /// Hold more payload; text is checked as it arrives, so that an error is known at its first byte.
    pub(crate) fn append(&mut self, payload: &[u8]) -> Result<(), ProtocolError> {
        match &mut self.content {
            Content::None => {}
            Content::Text(text) => self.decoder.push(payload, text)?,
            Content::Binary(bytes) => bytes.extend_from_slice(payload),
        }
        Ok(())
    }

    /// Hold more that was inflated, up to the limit for messages.
    ///
    /// The limit is not hidden behind what comes after it, and memory does not grow past it: a compressed message
    /// may be a thousandth of what it makes.
    pub(crate) fn append_inflated(&mut self, inflated: &[u8], limit: u64) -> Result<(), ProtocolError> {
        let room = usize::try_from(limit)
            .unwrap_or(usize::MAX)
            .saturating_sub(self.held());
        let (within, over) = inflated.split_at(inflated.len().min(room));
        self.reserve(within.len(), room);
        self.append(within)?;
        if over.is_empty() {
            Ok(())
        } else {
            Err(ProtocolError::InflatedTooBig { limit })
        }
    }

    /// Make room for more, by doubling as long as that stays within the room that the limit leaves.
    fn reserve(&mut self, more: usize, room: usize) {
        let (len, capacity) = match &self.content {
            Content::None => return,
            Content::Text(text) => (text.len(), text.capacity()),
            Content::Binary(bytes) => (bytes.len(), bytes.capacity()),
        };
        // A sequence that was carried over becomes text together with its end.
        let more = more + self.decoder.carried();
        if capacity - len < more {
            let wanted = more
                .max(capacity)
                .min(room.saturating_add(self.decoder.carried()));
            match &mut self.content {
                Content::None => {}
                Content::Text(text) => text.reserve_exact(wanted),
                Content::Binary(bytes) => bytes.reserve_exact(wanted),
            }
        }
    }

    /// End the message: its text may not end inside a character.
    pub(crate) fn finish(&self) -> Result<(), ProtocolError> {
        if self.decoder.is_complete() {
            Ok(())
        } else {
            Err(ProtocolError::TextNotUtf8)
        }
    }

    /// Forget the message and release its memory.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// The message's size with one more frame, which must be within the limits.
fn check_size(
    so_far: u64,
    payload_len: u64,
    is_compressed: bool,
    config: &ReaderConfig,
) -> Result<u64, ProtocolError> {
    let limit = on_the_wire(config.max_frame_size, is_compressed);
    if payload_len > limit {
        return Err(ProtocolError::FrameTooBig {
            size: payload_len,
            limit,
        });
    }
    let limit = on_the_wire(config.max_message_size, is_compressed);
    let size = so_far.saturating_add(payload_len);
    if size > limit {
        return Err(ProtocolError::MessageTooBig { size, limit });
    }
    Ok(size)
}

/// The limit as it holds for bytes on the wire.
///
/// What cannot be compressed grows a little, at most by an eighth with any of zlib's settings. A message within
/// the limit is not refused for that; inflated, it meets the limit itself.
fn on_the_wire(limit: u64, is_compressed: bool) -> u64 {
    const LEAST: u64 = 64;
    if is_compressed {
        limit.saturating_add(limit / 8).saturating_add(LEAST)
    } else {
        limit
    }
}
