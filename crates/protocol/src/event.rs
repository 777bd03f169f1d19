//! What a reader makes of a connection's bytes.
//!
//! The module owns the events, and how the payload of a whole frame becomes one. It must not know how the
//! payload was put together.

use crate::close::ClosePayload;
use crate::error::ProtocolError;
use crate::frame::Opcode;

/// What the peer sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'e> {
    /// A whole text message.
    Text(&'e str),
    /// A whole binary message.
    Binary(&'e [u8]),
    /// A Ping; it is answered by a Pong with the same payload (section 5.5.2).
    Ping(&'e [u8]),
    /// A Pong.
    Pong(&'e [u8]),
    /// A Close frame; nothing is read after it (section 5.5.1).
    Close(ClosePayload<'e>),
}

/// The event of a frame that is complete by itself.
#[inline]
pub(crate) fn frame_event(opcode: Opcode, payload: &[u8]) -> Result<Event<'_>, ProtocolError> {
    Ok(match opcode {
        Opcode::Text => Event::Text(text(payload)?),
        Opcode::Ping => Event::Ping(payload),
        Opcode::Pong => Event::Pong(payload),
        Opcode::Close => Event::Close(ClosePayload::parse(payload)?),
        Opcode::Binary | Opcode::Continuation => Event::Binary(payload),
    })
}

#[inline]
pub(crate) fn text(payload: &[u8]) -> Result<&str, ProtocolError> {
    simdutf8::basic::from_utf8(payload).map_err(|_| ProtocolError::TextNotUtf8)
}
