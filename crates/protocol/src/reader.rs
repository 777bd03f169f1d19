//! The reader of messages: bytes from the peer in, events out (RFC 6455 sections 5 and 8.1).
//!
//! The module owns the way from bytes to events. It must not know what answers an event or an error: no Pong,
//! no Close frame, no timer is made here.
//!
//! | phase | what happens | next phase |
//! |---|---|---|
//! | `Rest` | a whole message in one frame is borrowed from the input | `Rest` |
//! | `Rest`, `Header` | part of a header | `Header` |
//! | `Rest`, `Header` | a whole header | `Payload` |
//! | `Payload` | part of a payload | `Payload` |
//! | `Payload` | a whole fragment that is not final | `Header` |
//! | `Payload` | an event, borrowed from the input | `Rest`; inside a fragmented message `Header` |
//! | `Payload` | an event, borrowed from a buffer | `DeliveredControl`, `DeliveredMessage` |
//! | `Delivered…` | the next read | `Rest`; inside a fragmented message `Header` |
//! | any | a Close frame, an error | `Closed`, for good |

use crate::close::ClosePayload;
pub use crate::config::{ReaderConfig, Role};
use crate::error::ProtocolError;
use crate::frame::{Opcode, FIN, LENGTH_16, LENGTH_64, MASKED, MAX_HEADER};
use crate::frame_header::FrameHeader;
use crate::mask::apply_mask;
use crate::message::{Content, Message};

/// Bytes from the peer that are not yet consumed. The reader unmasks them in place.
#[derive(Debug)]
pub struct Input<'b> {
    bytes: &'b mut [u8],
}

impl<'b> Input<'b> {
    /// Wrap bytes as received.
    #[inline]
    #[must_use]
    pub fn new(bytes: &'b mut [u8]) -> Self {
        Self { bytes }
    }

    /// Whether everything was consumed.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Number of bytes not yet consumed.
    #[inline]
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    fn take(&mut self, len: usize) -> &'b mut [u8] {
        let (taken, rest) = std::mem::take(&mut self.bytes).split_at_mut(len);
        self.bytes = rest;
        taken
    }

    fn discard(&mut self) {
        self.bytes = &mut [];
    }
}

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Between messages, and nothing is held.
    Rest,
    /// Before or inside a header; part of it or of a fragmented message is held.
    Header,
    /// Inside the payload of `frame`.
    Payload,
    /// The last event borrowed from `control`.
    DeliveredControl,
    /// The last event borrowed from `message`.
    DeliveredMessage,
    /// After a Close frame or an error.
    Closed,
}

/// The frame whose payload is being read.
#[derive(Debug)]
struct Frame {
    opcode: Opcode,
    fin: bool,
    /// The masking key, turned so that its first byte belongs to the next byte of payload.
    key: [u8; 4],
    /// Payload bytes still to come.
    remaining: u64,
}

/// A payload that is complete.
enum Complete<'b> {
    /// It lies in the input.
    Borrowed(Opcode, &'b [u8]),
    /// It lies in `control`.
    Control(Opcode),
    /// It lies in `message`.
    Message,
}

/// Reads messages and control frames out of a connection's bytes.
///
/// A message that lies whole in the input, in one frame, is unmasked in place and borrowed; anything else is
/// put together in the reader's own memory, which is released by the `read` that follows its event.
#[derive(Debug)]
pub struct MessageReader {
    config: ReaderConfig,
    frame: Frame,
    message: Message,
    /// Payload of a control frame that did not arrive at once.
    control: Vec<u8>,
    /// Beginning of a header that did not arrive at once.
    header: [u8; MAX_HEADER],
    header_len: u8,
    phase: Phase,
}

impl MessageReader {
    /// Make a reader for a connection whose opening handshake is done.
    #[must_use]
    pub fn new(config: ReaderConfig) -> Self {
        Self {
            config,
            frame: Frame {
                opcode: Opcode::Continuation,
                fin: true,
                key: [0; 4],
                remaining: 0,
            },
            message: Message::default(),
            control: Vec::new(),
            header: [0; MAX_HEADER],
            header_len: 0,
            phase: Phase::Rest,
        }
    }

    /// Consume bytes up to the end of the next event; None when all are consumed and more are needed.
    ///
    /// Call it until it returns None: that also releases the memory of the last event. After an error or a
    /// Close frame, every call consumes and ignores all input and returns None.
    ///
    /// # Errors
    /// The peer broke a rule; events that came before have been returned. Fail the connection with
    /// [`ProtocolError::close_code`].
    #[inline]
    pub fn read<'e>(&'e mut self, input: &'e mut Input<'_>) -> Result<Option<Event<'e>>, ProtocolError> {
        if self.phase == Phase::Rest {
            if let Some(whole) = WholeMessage::find(input.bytes, &self.config) {
                return match whole.take(input, self.config.role) {
                    Ok(event) => Ok(Some(event)),
                    Err(error) => Err(self.fail(input, error)),
                };
            }
        }
        self.read_piecewise(input)
    }

    /// Whether a data message has begun and not ended.
    #[must_use]
    pub fn is_mid_message(&self) -> bool {
        self.message.is_under_way() && self.phase != Phase::DeliveredMessage
    }

    /// Bytes held of what has not yet become an event, and of the last event until the next `read`.
    #[must_use]
    pub fn buffered(&self) -> usize {
        usize::from(self.header_len) + self.control.len() + self.message.held()
    }

    /// Read whatever is not a whole message in one frame at rest.
    fn read_piecewise<'e>(
        &'e mut self,
        input: &'e mut Input<'_>,
    ) -> Result<Option<Event<'e>>, ProtocolError> {
        self.release();
        match self.advance(input) {
            Ok(Some(complete)) => self.deliver(complete, input).map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(self.fail(input, error)),
        }
    }

    /// Release the memory of the event that the last call returned.
    fn release(&mut self) {
        match self.phase {
            Phase::DeliveredMessage => {
                self.message.clear();
                self.phase = Phase::Rest;
            }
            Phase::DeliveredControl => {
                self.control = Vec::new();
                self.phase = self.boundary();
            }
            Phase::Closed => self.control = Vec::new(),
            Phase::Rest | Phase::Header | Phase::Payload => {}
        }
    }

    /// The phase after a frame that was consumed whole.
    fn boundary(&self) -> Phase {
        if self.message.is_under_way() {
            Phase::Header
        } else {
            Phase::Rest
        }
    }

    /// End reading: forget everything, ignore what may still come.
    #[cold]
    fn fail(&mut self, input: &mut Input<'_>, error: ProtocolError) -> ProtocolError {
        self.message.clear();
        self.control = Vec::new();
        self.header_len = 0;
        self.phase = Phase::Closed;
        input.discard();
        error
    }

    /// Consume up to the end of the next payload that is an event.
    fn advance<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Complete<'b>>, ProtocolError> {
        loop {
            match self.phase {
                Phase::Closed => {
                    input.discard();
                    return Ok(None);
                }
                Phase::Payload => {
                    let complete = self.read_payload(input)?;
                    if complete.is_some() || self.phase == Phase::Payload {
                        return Ok(complete);
                    }
                }
                _ => match self.read_header(input)? {
                    Some(header) => self.begin_frame(&header)?,
                    None => return Ok(None),
                },
            }
        }
    }

    /// Consume a header, perhaps together with what is held of it; hold what is not yet whole.
    fn read_header(&mut self, input: &mut Input<'_>) -> Result<Option<FrameHeader>, ProtocolError> {
        let held = usize::from(self.header_len);
        let wanted = input.remaining().min(MAX_HEADER - held);
        let end = held + wanted;
        self.header[held..end].copy_from_slice(&input.bytes[..wanted]);
        let header = FrameHeader::parse(&self.header[..end], self.config.role)?;
        // A header that is not whole has fewer than MAX_HEADER bytes, so `end` fits.
        let (used, keep) = header.map_or((wanted, end as u8), |header| (header.size - held, 0));
        input.take(used);
        self.header_len = keep;
        if keep > 0 {
            self.phase = Phase::Header;
        }
        Ok(header)
    }

    fn begin_frame(&mut self, header: &FrameHeader) -> Result<(), ProtocolError> {
        if !header.opcode.is_control() {
            self.message.admit(header, &self.config)?;
        }
        let FrameHeader {
            fin,
            opcode,
            key,
            payload_len: remaining,
            ..
        } = *header;
        self.frame = Frame {
            opcode,
            fin,
            key,
            remaining,
        };
        self.phase = Phase::Payload;
        Ok(())
    }

    /// Consume what is here of the frame's payload.
    fn read_payload<'b>(&mut self, input: &mut Input<'b>) -> Result<Option<Complete<'b>>, ProtocolError> {
        let here = usize::try_from(self.frame.remaining)
            .unwrap_or(usize::MAX)
            .min(input.remaining());
        let payload = input.take(here);
        if self.config.role == Role::Server {
            apply_mask(payload, self.frame.key, 0);
            self.frame.key.rotate_left(here % 4);
        }
        self.frame.remaining -= here as u64;
        if self.frame.opcode.is_control() {
            Ok(self.take_control(payload))
        } else {
            self.take_data(payload)
        }
    }

    fn take_control<'b>(&mut self, payload: &'b [u8]) -> Option<Complete<'b>> {
        let opcode = self.frame.opcode;
        let whole = self.frame.remaining == 0;
        if whole && self.control.is_empty() {
            self.phase = self.boundary();
            return Some(Complete::Borrowed(opcode, payload));
        }
        self.control.extend_from_slice(payload);
        whole.then(|| {
            self.phase = Phase::DeliveredControl;
            Complete::Control(opcode)
        })
    }

    fn take_data<'b>(&mut self, payload: &'b [u8]) -> Result<Option<Complete<'b>>, ProtocolError> {
        let whole = self.frame.remaining == 0;
        if whole && self.frame.fin && !self.message.is_under_way() {
            self.message.clear();
            self.phase = Phase::Rest;
            return Ok(Some(Complete::Borrowed(self.frame.opcode, payload)));
        }
        self.message.begin(self.frame.opcode);
        self.message.append(payload)?;
        if whole && self.frame.fin {
            self.message.finish()?;
            self.phase = Phase::DeliveredMessage;
            return Ok(Some(Complete::Message));
        }
        if whole {
            self.phase = Phase::Header;
        }
        Ok(None)
    }

    /// Make the event of a complete payload.
    fn deliver<'e>(
        &'e mut self,
        complete: Complete<'e>,
        input: &mut Input<'_>,
    ) -> Result<Event<'e>, ProtocolError> {
        let (opcode, payload): (Opcode, &'e [u8]) = match complete {
            Complete::Message => return Ok(self.message_event()),
            Complete::Control(opcode) => (opcode, &self.control),
            Complete::Borrowed(opcode, payload) => (opcode, payload),
        };
        let event = frame_event(opcode, payload);
        if opcode == Opcode::Close || event.is_err() {
            // Only the payload that the event borrows stays, until the next call.
            self.message.clear();
            self.phase = Phase::Closed;
            input.discard();
        }
        event
    }

    fn message_event(&self) -> Event<'_> {
        match self.message.content() {
            Content::Text(text) => Event::Text(text),
            Content::Binary(bytes) => Event::Binary(bytes),
            Content::None => Event::Binary(&[]),
        }
    }
}

/// The event of a frame that is complete by itself.
#[inline]
fn frame_event(opcode: Opcode, payload: &[u8]) -> Result<Event<'_>, ProtocolError> {
    Ok(match opcode {
        Opcode::Text => Event::Text(text(payload)?),
        Opcode::Ping => Event::Ping(payload),
        Opcode::Pong => Event::Pong(payload),
        Opcode::Close => Event::Close(ClosePayload::parse(payload)?),
        Opcode::Binary | Opcode::Continuation => Event::Binary(payload),
    })
}

#[inline]
fn text(payload: &[u8]) -> Result<&str, ProtocolError> {
    simdutf8::basic::from_utf8(payload).map_err(|_| ProtocolError::TextNotUtf8)
}

/// Where a message lies that is whole in the input, in one frame, within the limits: the hot path.
///
/// Whatever is unusual about a frame is left to the piecewise way, which names what is wrong with it.
struct WholeMessage {
    is_text: bool,
    payload_start: usize,
    end: usize,
}

impl WholeMessage {
    const TEXT: u8 = FIN | Opcode::Text as u8;
    const BINARY: u8 = FIN | Opcode::Binary as u8;

    #[inline]
    fn find(bytes: &[u8], config: &ReaderConfig) -> Option<Self> {
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
    fn take<'b>(self, input: &mut Input<'b>, role: Role) -> Result<Event<'b>, ProtocolError> {
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

#[cfg(test)]
mod tests {
    use super::MessageReader;

    /// One is kept for each connection, idle ones included.
    #[test]
    fn an_idle_reader_is_small() {
        assert!(std::mem::size_of::<MessageReader>() <= 160);
    }
}
