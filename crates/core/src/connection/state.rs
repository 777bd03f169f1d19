//! The state machine of one connection: what arrives, what leaves, and when it ends.
//!
//! ```text
//!  Detached ──► Opening ──accept──► Open ──Close sent or received──► Closing ──both sent──► Closed
//!                  │                 │                                  │
//!                  │                 └──failed (RFC 6455, 7.1.7)──► Closing ──flushed, FIN sent──► Draining ──► Closed
//!                  └──rejected: the same, with an HTTP response for the Close frame
//!     from every phase: the peer is gone or a deadline passed ──► Closed
//! ```
//!
//! What ends a connection from the peer's side (its Close frame, a broken frame) takes its place behind the messages
//! that came before it: they are answered first, as the peer may expect.
//!
//! Nothing here runs Python code (see `GilCell`); what must run is left in the reactor's queues.

use std::net::SocketAddr;

use django_bolt_protocol::deflate::{negotiate, Agreement, Config};
use django_bolt_protocol::error::ProtocolError;
use django_bolt_protocol::handshake::{self, BadHeader, Head};
use django_bolt_protocol::reader::{MessageReader, ReaderConfig, Role};
use pyo3::prelude::*;
use socket2::Socket;

use super::inbound::{Inbound, Message};
use super::rate::RateLimit;
use super::Connection;
use crate::awaitable::Awaitable;
use crate::compression::Compressor;
use crate::options::Options;
use crate::outbound::Outbound;
use crate::reactor::{Queues, Reactor};
use crate::timers::Deadline;

/// Stands for the missing Close frame (RFC 6455, section 7.4.1); never sent.
pub(super) const ABNORMAL_CLOSURE: u16 = 1006;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Made by Python, not by a reactor.
    Detached,
    /// The opening handshake has come and is not answered.
    Opening,
    Open,
    /// A Close frame was sent or received, or a rejection is on its way.
    Closing,
    /// Our side of TCP is shut; what still comes is thrown away until the peer's end.
    Draining,
    Closed,
}

/// What the state needs of its surroundings for one step.
pub(crate) struct Env<'a, 'py> {
    pub(crate) this: &'a Bound<'py, Connection>,
    pub(crate) options: &'a Options,
    pub(crate) queues: &'a mut Queues,
    pub(crate) reactor: &'a Reactor,
}

impl Env<'_, '_> {
    /// Milliseconds on the reactor's clock.
    pub(crate) fn now(&self) -> u64 {
        self.reactor.now()
    }

    pub(super) fn add_timer(&mut self, at: Option<u64>, token: usize) {
        if let Some(at) = at {
            self.queues.deadlines.push((at, token));
        }
    }
}

/// A socket whose opening handshake has come.
pub(crate) struct Arrival<'a> {
    pub(crate) token: usize,
    pub(crate) socket: Socket,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) is_secure: bool,
    /// The head and what followed it.
    pub(crate) received: &'a [u8],
    pub(crate) head_len: usize,
}

/// What a receive finds.
pub(crate) enum Next {
    Message(Message),
    Nothing,
    Ended,
}

/// What the reading loop does next.
#[derive(PartialEq, Eq)]
pub(crate) enum Reading {
    /// So many bytes came, and there may be more.
    More(usize),
    /// Nothing to read now, or reading is paused.
    Stop,
}

/// What a passed deadline asks for outside the borrow.
pub(crate) enum Expired {
    Nothing,
    Cancel(Py<PyAny>),
}

/// How the peer ended the conversation.
pub(super) enum Ending {
    /// With a Close frame.
    Close(Option<u16>, Box<str>),
    /// By breaking the protocol.
    Failure(ProtocolError),
    /// With the end of its side of TCP, without a Close frame.
    Eof,
    /// By breaking a limit of ours, which is answered with this code and reason.
    Refusal(u16, &'static str),
}

#[derive(Default)]
pub(super) struct Closing {
    pub(super) code: Option<u16>,
    pub(super) reason: Box<str>,
    pub(super) sent: bool,
    pub(super) received: bool,
    /// End TCP once everything is flushed, without waiting for the peer's Close frame.
    pub(super) finish_after_flush: bool,
}

pub(crate) struct State {
    pub(crate) phase: Phase,
    pub(crate) token: usize,
    pub(super) socket: Option<Socket>,
    pub(super) peer: Option<SocketAddr>,
    pub(super) is_secure: bool,
    pub(super) head: Box<[u8]>,
    /// Bytes that came behind the opening handshake, before it was answered.
    pub(super) early: Vec<u8>,
    pub(super) reader: MessageReader,
    /// Where permessage-deflate was agreed on.
    pub(super) compressor: Option<Box<Compressor>>,
    /// Bytes read whose messages the inbound queue had no room for.
    pub(super) unparsed: Vec<u8>,
    pub(super) rate: Option<Box<RateLimit>>,
    /// Reading waits until then, for the rate's sake.
    pub(super) throttled_until: Option<u64>,
    pub(super) inbound: Inbound,
    /// The handler works on a message that it took when the connection had ended already.
    pub(super) is_catching_up: bool,
    /// Comes behind the last inbound message.
    pub(super) ending: Option<Ending>,
    pub(super) outbound: Outbound,
    pub(super) receiver: Option<Py<Awaitable>>,
    pub(super) drainers: Vec<Py<Awaitable>>,
    pub(super) task: Option<Py<PyAny>>,
    pub(super) closing: Closing,
    pub(super) deadline: Deadline,
    pub(super) last_activity: u64,
    pub(super) ping_sent: Option<u64>,
    /// The kernel may have bytes for us.
    pub(super) readable: bool,
    /// The peer has shut its side: read until the end.
    pub(super) peer_shut: bool,
    /// The socket reported an error or the end of both sides.
    pub(super) broken: bool,
    /// The kernel took less than we had; its next edge tells.
    pub(super) blocked: bool,
    pub(super) congested: bool,
    /// An own send was told to wait since the congestion began.
    pub(super) own_send_waits: bool,
    /// Stands in the reactor's list of connections to read from.
    pub(super) is_ready: bool,
    /// Stands in the reactor's list of connections to flush.
    pub(super) dirty: bool,
}

impl State {
    /// A state that no reactor knows of; it behaves as ended.
    pub(crate) fn detached() -> Self {
        Self {
            phase: Phase::Detached,
            token: usize::MAX,
            socket: None,
            peer: None,
            is_secure: false,
            head: Box::default(),
            early: Vec::new(),
            reader: MessageReader::new(ReaderConfig {
                role: Role::Server,
                max_frame_size: 0,
                max_message_size: 0,
                max_fragments: 0,
            }),
            compressor: None,
            unparsed: Vec::new(),
            rate: None,
            throttled_until: None,
            inbound: Inbound::default(),
            is_catching_up: false,
            ending: None,
            outbound: Outbound::default(),
            receiver: None,
            drainers: Vec::new(),
            task: None,
            closing: Closing::default(),
            deadline: Deadline::default(),
            last_activity: 0,
            ping_sent: None,
            readable: false,
            peer_shut: false,
            broken: false,
            blocked: false,
            congested: false,
            own_send_waits: false,
            is_ready: false,
            dirty: false,
        }
    }

    /// Take over a socket whose opening handshake has come.
    pub(crate) fn open(&mut self, arrival: Arrival<'_>, options: &Options, now: u64) {
        let (head, early) = arrival.received.split_at(arrival.head_len);
        self.phase = Phase::Opening;
        self.token = arrival.token;
        self.socket = Some(arrival.socket);
        self.peer = arrival.peer;
        self.is_secure = arrival.is_secure;
        self.reader = MessageReader::new(options.reader_config());
        self.rate = RateLimit::new(options, now);
        self.head = head.into();
        self.early = early.to_vec();
        self.readable = true; // the next edge may have passed while the head was read
    }
    // ── what users ask ────────────────────────────────────────────────────────────────────────────────────────────

    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.is_secure
    }

    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        self.socket.as_ref()?.local_addr().ok()?.as_socket()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.phase >= Phase::Closing
    }

    /// Whether the handler has still to be told that the connection ended: that comes in order, behind the messages
    /// that came before, and a send in between (to all members of a room, say) must not raise.
    pub(crate) fn is_catching_up(&self) -> bool {
        self.is_catching_up
    }

    pub(crate) fn is_congested(&self) -> bool {
        self.congested
    }

    pub(crate) fn buffered(&self) -> usize {
        self.outbound.len()
    }

    pub(crate) fn close_code(&self) -> Option<u16> {
        self.has_ended()
            .then(|| self.closing.code.unwrap_or(ABNORMAL_CLOSURE))
    }

    pub(crate) fn close_reason(&self) -> &str {
        &self.closing.reason
    }

    // ── opening handshake ─────────────────────────────────────────────────────────────────────────────────────────

    /// Answer the opening handshake with the bytes of a 101 response.
    pub(crate) fn accept(&mut self, env: &mut Env<'_, '_>, acceptance: Acceptance) {
        let Acceptance { response, deflate } = acceptance;
        if let Some((agreement, config)) = deflate {
            let direction = agreement.reading(Role::Server);
            self.reader = MessageReader::with_deflate(env.options.reader_config(), Some(direction));
            self.compressor = Some(Box::new(Compressor::new(&agreement, config)));
        }
        self.phase = Phase::Open;
        env.queues.counters.opened += 1;
        self.queue(env, |tail| tail.extend_from_slice(&response));
        self.last_activity = env.now();
        self.schedule_ping(env);
        let mut early = std::mem::take(&mut self.early);
        self.process(env, &mut early);
        self.resume_reading(env);
    }

    /// Answer the opening handshake with the bytes of another HTTP response, and end.
    pub(crate) fn reject(&mut self, env: &mut Env<'_, '_>, response: &[u8]) {
        env.queues.counters.rejected += 1;
        self.queue(env, |tail| tail.extend_from_slice(response));
        self.closing.code = Some(ABNORMAL_CLOSURE);
        self.closing.finish_after_flush = true;
        self.begin_closing(env);
    }
    // ── who waits ─────────────────────────────────────────────────────────────────────────────────────────────────

    pub(crate) fn receiver(&self) -> Option<&Py<Awaitable>> {
        self.receiver.as_ref()
    }

    pub(crate) fn set_receiver(&mut self, receiver: Option<Py<Awaitable>>) -> Option<Py<Awaitable>> {
        std::mem::replace(&mut self.receiver, receiver)
    }

    pub(crate) fn waiting_drainers(&self) -> &[Py<Awaitable>] {
        &self.drainers
    }

    pub(crate) fn drainers(&mut self) -> &mut Vec<Py<Awaitable>> {
        &mut self.drainers
    }

    /// Take the waiting receive out, if it would now find something.
    #[inline]
    pub(crate) fn take_ready_receiver(&mut self) -> Option<Py<Awaitable>> {
        let is_ready = self.has_ended() || (!self.inbound.is_empty() && !self.congested);
        if is_ready {
            self.receiver.take()
        } else {
            None
        }
    }

    pub(crate) fn set_task(&mut self, env: &mut Env<'_, '_>, task: Option<Py<PyAny>>) -> Option<Py<PyAny>> {
        let before = std::mem::replace(&mut self.task, task);
        if self.phase == Phase::Closed {
            self.await_handler(env);
        }
        before
    }

    pub(crate) fn task(&self) -> Option<&Py<PyAny>> {
        self.task.as_ref()
    }
}

/// An answer with 101, and what it agrees to.
pub(crate) struct Acceptance {
    response: Vec<u8>,
    deflate: Option<(Agreement, Config)>,
}

impl Acceptance {
    /// Answer a head that was found good.
    ///
    /// # Errors
    ///
    /// `BadHeader` for a header field that would break the response.
    pub(crate) fn new(
        head: &[u8],
        subprotocol: Option<&str>,
        headers: &[(&str, &str)],
        compression: Option<Config>,
    ) -> Result<Self, BadHeader> {
        let mut response = Vec::with_capacity(192);
        let deflate = compression.and_then(|config| Some((agree(head, &config)?, config)));
        if let Head::WebSocket(upgrade) = handshake::parse_head(head, usize::MAX) {
            let agreement = deflate.as_ref().map(|(agreement, _)| agreement);
            handshake::write_accept_with_deflate(
                &mut response,
                upgrade.key,
                subprotocol,
                agreement,
                headers,
            )?;
        }
        Ok(Self { response, deflate })
    }
}

fn agree(head: &[u8], config: &Config) -> Option<Agreement> {
    negotiate(handshake::header_values(head, "sec-websocket-extensions"), config)
}
