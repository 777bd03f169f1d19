//! Frames on the wire (RFC 6455 section 5.2): opcodes and the writing of frames.
//!
//! The module owns the form of a frame. It must not know messages (see [`crate::reader`]), sockets, or where
//! masking keys come from: section 5.3 wants them unpredictable, which is the caller's duty.

use std::fmt;

use crate::close::MAX_REASON;
use crate::mask::apply_mask;

/// Largest header of a frame: 2 bytes, 8 of extended length, 4 of masking key.
pub const MAX_HEADER: usize = 14;

/// Largest payload of a control frame (section 5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;

pub(crate) const FIN: u8 = 0x80;
/// The bit that permessage-deflate sets on the first frame of a compressed message (RFC 7692 section 6).
pub(crate) const RSV1: u8 = 0x40;
pub(crate) const RESERVED: u8 = 0x70;
pub(crate) const MASKED: u8 = 0x80;
/// Values of the 7-bit length that announce 2 and 8 bytes of extended length.
pub(crate) const LENGTH_16: u8 = 126;
pub(crate) const LENGTH_64: u8 = 127;

/// What a frame is (section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// Carries on a fragmented message.
    Continuation = 0,
    /// Starts a text message.
    Text = 1,
    /// Starts a binary message.
    Binary = 2,
    /// Starts or answers the closing handshake.
    Close = 8,
    /// Asks for a Pong.
    Ping = 9,
    /// Answers a Ping, or is a one-way heartbeat.
    Pong = 10,
}

impl Opcode {
    /// The opcode of a number from the wire; None if reserved.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    /// Whether frames of this opcode are control frames (section 5.5).
    #[must_use]
    pub fn is_control(self) -> bool {
        self as u8 >= Self::Close as u8
    }
}

impl fmt::Display for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Continuation => "continuation",
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Close => "close",
            Self::Ping => "ping",
            Self::Pong => "pong",
        })
    }
}

/// Append a frame's header; `mask` is the masking key of a client, None for a server.
///
/// The caller appends `payload_len` bytes after it, masked with the key. A control frame's payload must not
/// exceed [`MAX_CONTROL_PAYLOAD`].
#[inline]
pub fn write_header(
    out: &mut Vec<u8>,
    fin: bool,
    rsv1: bool,
    opcode: Opcode,
    payload_len: usize,
    mask: Option<[u8; 4]>,
) {
    debug_assert!(!opcode.is_control() || (fin && payload_len <= MAX_CONTROL_PAYLOAD));
    let first = if fin { FIN } else { 0 } | if rsv1 { RSV1 } else { 0 } | opcode as u8;
    let masked = if mask.is_some() { MASKED } else { 0 };
    write_length(out, first, masked, payload_len);
    if let Some(key) = mask {
        out.extend_from_slice(&key);
    }
}

/// Append the first byte and the length in the fewest bytes that hold it, as section 5.2 demands.
#[inline]
fn write_length(out: &mut Vec<u8>, first: u8, masked: u8, payload_len: usize) {
    if let Ok(length @ 0..LENGTH_16) = u8::try_from(payload_len) {
        out.extend_from_slice(&[first, masked | length]);
    } else if let Ok(length) = u16::try_from(payload_len) {
        let [high, low] = length.to_be_bytes();
        out.extend_from_slice(&[first, masked | LENGTH_16, high, low]);
    } else {
        out.extend_from_slice(&[first, masked | LENGTH_64]);
        out.extend_from_slice(&(payload_len as u64).to_be_bytes());
    }
}

/// Append a whole unfragmented frame, masking the copied payload if a key is given.
#[inline]
pub fn write_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) {
    out.reserve(MAX_HEADER + payload.len());
    write_header(out, true, false, opcode, payload.len(), mask);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = mask {
        apply_mask(&mut out[start..], key, 0);
    }
}

/// Append a Close frame; without a code its payload is empty and the reason is left out.
///
/// A reason over [`MAX_REASON`] bytes is cut at the end of a character, as no control frame may be longer.
/// Whether the code may be sent is the caller's to ask of [`crate::close::is_sendable`].
pub fn write_close(out: &mut Vec<u8>, code: Option<u16>, reason: &str, mask: Option<[u8; 4]>) {
    let mut payload = Vec::with_capacity(MAX_CONTROL_PAYLOAD);
    if let Some(code) = code {
        payload.extend_from_slice(&code.to_be_bytes());
        payload.extend_from_slice(cut(reason, MAX_REASON).as_bytes());
    }
    write_frame(out, Opcode::Close, &payload, mask);
}

/// The longest beginning of `text` that has at most `limit` bytes and ends with a whole character.
fn cut(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
