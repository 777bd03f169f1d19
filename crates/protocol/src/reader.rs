//! The reader of messages: bytes from the peer in, events out (RFC 6455 sections 5 and 8.1, RFC 7692).
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

pub use crate::config::{ReaderConfig, Role};
use crate::deflate::{Direction, Inflation};
use crate::error::ProtocolError;
use crate::event::frame_event;
pub use crate::event::Event;
use crate::frame::{Opcode, MAX_HEADER};
use crate::frame_header::FrameHeader;
pub use crate::input::Input;
use crate::mask::apply_mask;
use crate::message::{Content, Message};
use crate::whole_message::WholeMessage;

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
    inflation: Inflation,
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
        Self::with_deflate(config, None)
    }

    /// Make a reader for a connection whose peer may send compressed messages, if a direction is given.
    ///
    /// See [`Agreement::reading`](crate::deflate::Agreement::reading).
    #[must_use]
    pub fn with_deflate(config: ReaderConfig, deflate: Option<Direction>) -> Self {
        Self {
            config,
            frame: Frame {
                opcode: Opcode::Continuation,
                fin: true,
                key: [0; 4],
                remaining: 0,
            },
            message: Message::default(),
            inflation: Inflation::new(deflate),
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

    /// Whether the state of a compressed message or of its context is held, which is
    /// [`INFLATER_SIZE`](crate::deflate::INFLATER_SIZE) bytes.
    #[must_use]
    pub fn holds_inflater(&self) -> bool {
        self.inflation.is_held()
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
        self.inflation.release(input.pool.as_deref_mut());
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
        let header = FrameHeader::parse(
            &self.header[..end],
            self.config.role,
            self.inflation.is_negotiated(),
        )?;
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
            self.take_data(payload, input)
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

    fn take_data<'b>(
        &mut self,
        payload: &'b [u8],
        input: &mut Input<'_>,
    ) -> Result<Option<Complete<'b>>, ProtocolError> {
        let whole = self.frame.remaining == 0;
        let is_last = whole && self.frame.fin;
        if is_last && !self.message.is_under_way() && !self.message.is_compressed() {
            self.message.clear();
            self.phase = Phase::Rest;
            return Ok(Some(Complete::Borrowed(self.frame.opcode, payload)));
        }
        self.message.begin(self.frame.opcode);
        if self.message.is_compressed() {
            self.inflate(payload, is_last, input)?;
        } else {
            self.message.append(payload)?;
        }
        if is_last {
            self.message.finish()?;
            self.phase = Phase::DeliveredMessage;
            return Ok(Some(Complete::Message));
        }
        if whole {
            self.phase = Phase::Header;
        }
        Ok(None)
    }

    /// Inflate a piece of a compressed message; its end as well if it is the last.
    fn inflate(&mut self, payload: &[u8], is_last: bool, input: &mut Input<'_>) -> Result<(), ProtocolError> {
        let (limit, pool) = (self.config.max_message_size, &mut input.pool);
        self.inflation
            .push(payload, &mut self.message, limit, pool.as_deref_mut())?;
        if is_last {
            self.inflation.finish(pool.as_deref_mut())?;
        }
        Ok(())
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
            self.inflation.release(input.pool.as_deref_mut());
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

#[cfg(test)]
mod tests {
    use super::MessageReader;

    /// One is kept for each connection, idle ones included.
    #[test]
    fn an_idle_reader_is_small() {
        assert!(std::mem::size_of::<MessageReader>() <= 160);
    }
}
