//! One WebSocket of the generator: client side of RFC 6455 over a non-blocking socket.
//!
//! ```text
//! Opening ──101──► Open ──Close sent──► Closing ──Close received──► Closed ──end of stream──► gone
//!                    └────────Close received, and answered────────────┘
//! ```
//!
//! Answers are compared with the table of expected frames where they arrive. At the first byte that
//! differs, the frame goes through the parser: it may be a Ping, a Close, or an answer in fragments.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read};

use mio::event::Event;
use mio::net::TcpStream;

use crate::compression::Inflater;
use crate::handshake::{check_response, Request};
use crate::messages::Messages;
use crate::outbox::Outbox;
use crate::wire::{opcode, parse_extended_header, push_client_frame, Header, RSV1};

/// Masks control frames; those of the messages are in the table.
const CONTROL_MASKING_KEY: [u8; 4] = [0x5A, 0x96, 0xC3, 0x3C];
const NORMAL_CLOSURE: u16 = 1000;
/// Bytes by which a compressed message may be longer than it was.
const INCOMPRESSIBLE: usize = 1024;

thread_local! {
    /// One for all connections: no message refers to another.
    static INFLATER: RefCell<Inflater> = RefCell::default();
}

/// Why a connection failed.
#[derive(Debug)]
pub enum Failure {
    /// The socket failed.
    Io(io::Error),
    /// The opening handshake failed.
    Handshake(String),
    /// The server broke the protocol.
    Protocol(&'static str),
    /// An answer is not the one expected.
    Mismatch,
    /// An answer came that nobody asked for.
    Unsolicited,
    /// The server closed the connection; its close code, if it gave one.
    Closed(Option<u16>),
    /// The stream ended without a closing handshake.
    EndOfStream,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(formatter, "socket: {error}"),
            Self::Handshake(text) => write!(formatter, "opening handshake: {text}"),
            Self::Protocol(text) => write!(formatter, "protocol: {text}"),
            Self::Mismatch => formatter.write_str("the answer differs from what was expected"),
            Self::Unsolicited => formatter.write_str("an answer that was not asked for"),
            Self::Closed(code) => write!(formatter, "closed by the server, code {code:?}"),
            Self::EndOfStream => formatter.write_str("the stream ended without a closing handshake"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What an event brought.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The opening handshake is complete.
    pub opened: bool,
    /// Answers received, all of them right.
    pub answers: usize,
    /// Pings received, and answered.
    pub pings: usize,
    /// The closing handshake that we started is complete, and the stream has ended.
    pub ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Opening,
    Open,
    Closing,
    Closed,
}

/// What has come of a message.
#[derive(Debug)]
struct Fragments {
    payload: Vec<u8>,
    compressed: bool,
}

impl Fragments {
    /// Whether this is the whole of `expected`.
    fn is(self, expected: &[u8]) -> bool {
        if !self.compressed {
            return self.payload == expected;
        }
        let plain = INFLATER.with_borrow_mut(|inflater| inflater.inflate(self.payload, expected.len()));
        plain.is_some_and(|plain| plain == expected)
    }
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    state: State,
    accept_key: String,
    compressed: bool,
    /// Bytes that the kernel has not taken yet; at first those of the request.
    unsent: Outbox,
    /// Bytes of an incomplete response head, or of an incomplete frame that is not the expected one.
    unread: Vec<u8>,
    /// Payload of the message whose fragments are arriving.
    fragments: Option<Fragments>,
    /// Number in the ring of the next message to send.
    next_message: usize,
    /// Number in the ring of the next answer.
    next_answer: usize,
    /// Bytes of the next answer that came already.
    matched: usize,
    /// Answers still to come.
    outstanding: usize,
}

impl Connection {
    /// Takes a socket that is connecting; `first` is the number of its first message in the ring.
    #[must_use]
    pub fn new(stream: TcpStream, request: Request, first: usize) -> Self {
        Self {
            stream,
            state: State::Opening,
            accept_key: request.accept_key,
            compressed: request.compressed,
            unsent: Outbox::new(request.head),
            unread: Vec::new(),
            fragments: None,
            next_message: first,
            next_answer: first,
            matched: 0,
            outstanding: 0,
        }
    }

    /// The socket, to register it with a poller.
    pub const fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Sends what the kernel has not taken yet: the request, as soon as the socket is connected.
    ///
    /// # Errors
    ///
    /// `Failure::Io` when the socket fails.
    pub fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.unsent.flush(&mut self.stream)?)
    }

    /// Answers still to come.
    #[must_use]
    pub const fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Sends the next `count` messages of the ring.
    ///
    /// # Errors
    ///
    /// `Failure::Io` when the socket fails.
    pub fn send(&mut self, messages: &Messages, count: usize) -> Result<(), Failure> {
        let first = self.next_message;
        self.next_message = (first + count) % messages.ring_length();
        self.write(messages.frames(first, count))
    }

    /// Lets `count` more answers come.
    pub const fn expect(&mut self, count: usize) {
        self.outstanding += count;
    }

    /// Starts the closing handshake, unless the connection is not open.
    ///
    /// # Errors
    ///
    /// `Failure::Io` when the socket fails.
    pub fn close(&mut self) -> Result<(), Failure> {
        if self.state != State::Open {
            return Ok(());
        }
        self.state = State::Closing;
        self.send_control(opcode::CLOSE, &NORMAL_CLOSURE.to_be_bytes())
    }

    /// Does what a readiness event allows: flush, read, check, answer.
    ///
    /// # Errors
    ///
    /// The failure that ends the connection.
    pub fn handle(
        &mut self,
        event: &Event,
        messages: &Messages,
        scratch: &mut [u8],
    ) -> Result<Progress, Failure> {
        let mut progress = Progress::default();
        if !self.unsent.is_empty() && event.is_writable() {
            self.flush()?;
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.read(event.is_read_closed(), messages, scratch, &mut progress)?;
        }
        Ok(progress)
    }

    /// Reads until nothing is left. A short read says so too, unless the end of the stream may be behind it (epoll(7)).
    fn read(
        &mut self,
        to_the_end: bool,
        messages: &Messages,
        scratch: &mut [u8],
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        loop {
            match self.stream.read(scratch) {
                Ok(0) => return self.end_of_stream(progress),
                Ok(length) => {
                    self.receive(&scratch[..length], messages, progress)?;
                    if length < scratch.len() && !to_the_end {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Whoever has said Close may end TCP as it likes.
                Err(_) if self.state == State::Closed => return self.end_of_stream(progress),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn end_of_stream(&self, progress: &mut Progress) -> Result<(), Failure> {
        if self.state != State::Closed {
            return Err(Failure::EndOfStream);
        }
        progress.ended = true;
        Ok(())
    }

    fn receive(&mut self, bytes: &[u8], messages: &Messages, progress: &mut Progress) -> Result<(), Failure> {
        let mut rest = bytes;
        if self.unread.is_empty() && self.fragments.is_none() && self.state != State::Opening {
            rest = &bytes[self.match_answers(bytes, messages, progress)..];
            if rest.is_empty() {
                return Ok(());
            }
            self.unread
                .extend_from_slice(&messages.answers_from(self.next_answer)[..self.matched]);
            self.matched = 0;
        }
        self.unread.extend_from_slice(rest);
        self.parse(messages, progress)
    }

    /// Compares `bytes` with the answers expected; returns how many bytes are right.
    ///
    /// Where a byte differs, it returns the length up to the answer it is in, or up to the start of `bytes`.
    fn match_answers(&mut self, bytes: &[u8], messages: &Messages, progress: &mut Progress) -> usize {
        let length = messages.answer_length();
        let mut position = 0;
        while position < bytes.len() && self.outstanding > 0 {
            let expected = &messages.answers_from(self.next_answer)[self.matched..];
            let room = self.outstanding * length - self.matched;
            let run = expected.len().min(room).min(bytes.len() - position);
            if expected[..run] != bytes[position..position + run] {
                return position + self.match_one_by_one(&bytes[position..], messages, progress);
            }
            position += run;
            self.count_answers((self.matched + run) / length, messages, progress);
            self.matched = (self.matched + run) % length;
        }
        position
    }

    /// As `match_answers` when a byte in the run differs: stops before the answer that has it.
    fn match_one_by_one(&mut self, bytes: &[u8], messages: &Messages, progress: &mut Progress) -> usize {
        let mut position = 0;
        loop {
            let length = messages.answer_length() - self.matched;
            let expected = &messages.answers_from(self.next_answer)[self.matched..][..length];
            if bytes.get(position..position + length) != Some(expected) {
                return position;
            }
            position += length;
            self.matched = 0;
            self.count_answers(1, messages, progress);
        }
    }

    fn count_answers(&mut self, count: usize, messages: &Messages, progress: &mut Progress) {
        self.outstanding -= count;
        self.next_answer = (self.next_answer + count) % messages.ring_length();
        progress.answers += count;
    }

    /// Parses what stands in `unread`: the response head first, then frames.
    fn parse(&mut self, messages: &Messages, progress: &mut Progress) -> Result<(), Failure> {
        let unread = std::mem::take(&mut self.unread);
        let mut position = 0;
        if self.state == State::Opening {
            match check_response(&unread, &self.accept_key, self.compressed).map_err(Failure::Handshake)? {
                Some(length) => position = length,
                None => {
                    self.unread = unread;
                    return Ok(());
                }
            }
            self.state = State::Open;
            progress.opened = true;
        }
        while let Some(header) = self.next_frame(&unread[position..], messages)? {
            let payload = &unread[position + header.length..position + header.frame_length()];
            position += header.frame_length();
            self.receive_frame(&header, payload, messages, progress)?;
        }
        self.unread.extend_from_slice(&unread[position..]);
        Ok(())
    }

    /// Returns the header at the start of `bytes` if its whole frame is there.
    fn next_frame(&self, bytes: &[u8], messages: &Messages) -> Result<Option<Header>, Failure> {
        let allowed = if messages.compressed { RSV1 } else { 0 };
        let Some(header) =
            parse_extended_header(bytes, allowed).map_err(|error| Failure::Protocol(error.0))?
        else {
            return Ok(None);
        };
        if header.masking_key.is_some() {
            return Err(Failure::Protocol("the server masked a frame (section 5.1)"));
        }
        let before = self.fragments.as_ref().map_or(0, |message| message.payload.len());
        let most = messages.answer_payload(0).len() + if messages.compressed { INCOMPRESSIBLE } else { 0 };
        if !header.is_control() && before + header.payload_length > most {
            return Err(Failure::Mismatch);
        }
        Ok((bytes.len() >= header.frame_length()).then_some(header))
    }

    fn receive_frame(
        &mut self,
        header: &Header,
        payload: &[u8],
        messages: &Messages,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        if self.state == State::Closed {
            return Err(Failure::Protocol("a frame after Close (section 5.5.1)"));
        }
        match header.opcode() {
            opcode::PING => {
                progress.pings += 1;
                self.send_control(opcode::PONG, payload)
            }
            opcode::PONG => Ok(()),
            opcode::CLOSE => self.receive_close(payload),
            _ => self.receive_data(header, payload, messages, progress),
        }
    }

    fn receive_close(&mut self, payload: &[u8]) -> Result<(), Failure> {
        let started_here = self.state == State::Closing;
        self.state = State::Closed;
        if started_here {
            return Ok(());
        }
        self.send_control(opcode::CLOSE, payload)?;
        Err(Failure::Closed(
            payload.first_chunk::<2>().map(|code| u16::from_be_bytes(*code)),
        ))
    }

    fn receive_data(
        &mut self,
        header: &Header,
        payload: &[u8],
        messages: &Messages,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        if (header.opcode() == opcode::CONTINUATION) != self.fragments.is_some() {
            return Err(Failure::Protocol("fragments out of order (section 5.4)"));
        }
        if self.outstanding == 0 {
            return Err(Failure::Unsolicited);
        }
        let mut message = self.fragments.take().unwrap_or_else(|| Fragments {
            payload: Vec::new(),
            compressed: header.is_compressed(),
        });
        message.payload.extend_from_slice(payload);
        let expected = messages.answer_payload(self.next_answer);
        let opcode_is_right =
            matches!(header.opcode(), opcode::CONTINUATION) || header.opcode() == messages.opcode;
        if !opcode_is_right || !(message.compressed || expected.starts_with(&message.payload)) {
            return Err(Failure::Mismatch);
        }
        if !header.is_final() {
            self.fragments = Some(message);
        } else if message.is(expected) {
            self.count_answers(1, messages, progress);
        } else {
            return Err(Failure::Mismatch);
        }
        Ok(())
    }

    fn send_control(&mut self, opcode: u8, payload: &[u8]) -> Result<(), Failure> {
        let mut frame = Vec::new();
        push_client_frame(&mut frame, opcode, payload, CONTROL_MASKING_KEY);
        self.write(&frame)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.unsent.write(&mut self.stream, bytes)?)
    }
}

#[cfg(test)]
mod tests;
