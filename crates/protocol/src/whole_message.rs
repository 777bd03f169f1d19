//! The hot path: a message that lies whole in the input, in one frame.
//!
//! The module owns how such a message is found and taken. It must not know anything else about a connection, and
//! leaves whatever is unusual about a frame to [`crate::reader`], which names what is wrong with it.

use crate::config::{ReaderConfig, Role};
use crate::error::ProtocolError;
use crate::event::{text, Event};
use crate::frame::{Opcode, FIN, LENGTH_16, LENGTH_64, MASKED};
use crate::input::Input;
use crate::mask::apply_mask;

/// Where a message lies that is whole in the input, in one frame, within the limits, and not compressed.
pub(crate) struct WholeMessage {
    is_text: bool,
    payload_start: usize,
    end: usize,
}

impl WholeMessage {
    const TEXT: u8 = FIN | Opcode::Text as u8;
    const BINARY: u8 = FIN | Opcode::Binary as u8;

    #[inline]
    pub(crate) fn find(bytes: &[u8], config: &ReaderConfig) -> Option<Self> {
        let &[first, second, ..] = bytes else { return None };
        let (mask_bit, key_len) = match config.role {
            Role::Server => (MASKED, 4),
            Role::Client => (0, 0),
        };
        if (first != Self::TEXT && first != Self::BINARY) || second & MASKED != mask_bit {
            return None;
        }
        let (payload_len, length_end) = Self::length(bytes, second & !MASKED)?;
        let payload_start = length_end + key_len;
        let end = payload_start + payload_len;
        let size = payload_len as u64;
        let fits = size <= config.max_frame_size && size <= config.max_message_size;
        (fits && end <= bytes.len()).then_some(Self {
            is_text: first == Self::TEXT,
            payload_start,
            end,
        })
    }

    #[inline]
    fn length(bytes: &[u8], short: u8) -> Option<(usize, usize)> {
        match short {
            LENGTH_64 => None,
            LENGTH_16 => {
                let &[_, _, high, low, ..] = bytes else {
                    return None;
                };
                let length = u16::from_be_bytes([high, low]);
                (length >= u16::from(LENGTH_16)).then_some((usize::from(length), 4))
            }
            _ => Some((usize::from(short), 2)),
        }
    }

    #[inline]
    pub(crate) fn take<'b>(self, input: &mut Input<'b>, role: Role) -> Result<Event<'b>, ProtocolError> {
        let (header, payload) = input.take(self.end).split_at_mut(self.payload_start);
        if let (Role::Server, Some(key)) = (role, header.last_chunk::<4>()) {
            apply_mask(payload, *key, 0);
        }
        if self.is_text {
            Ok(Event::Text(text(payload)?))
        } else {
            Ok(Event::Binary(payload))
        }
    }
}
