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

use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use django_bolt_protocol::error::ProtocolError;
use django_bolt_protocol::frame::{self, Opcode};
use django_bolt_protocol::handshake::{self, BadHeader};

use django_bolt_protocol::reader::{Event, Input, MessageReader, ReaderConfig, Role};
use pyo3::prelude::*;
use socket2::Socket;

use super::inbound::{Inbound, Message};
use super::Connection;
use crate::awaitable::Awaitable;
use crate::options::Options;
use crate::outbound::Outbound;
use crate::payload::Payload;
use crate::reactor::Queues;
use crate::timers::{Deadline, Due};

/// At this many bytes queued a connection counts as congested, and its own handler waits.
pub(crate) const HIGH_WATER: usize = 64 * 1024;
/// Below this many it no longer does.
pub(crate) const LOW_WATER: usize = 16 * 1024;

/// Codes of RFC 6455, section 7.4.1, that are never sent.
const NO_STATUS_RECEIVED: u16 = 1005;
const ABNORMAL_CLOSURE: u16 = 1006;
const INTERNAL_ERROR: u16 = 1011;
const TRY_AGAIN_LATER: u16 = 1013;

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
    pub(crate) now: u64,
}

impl Env<'_, '_> {
    fn add_timer(&mut self, at: Option<u64>, token: usize) {
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
enum Ending {
    /// With a Close frame.
    Close(Option<u16>, Box<str>),
    /// By breaking the protocol.
    Failure(ProtocolError),
}

#[derive(Default)]
struct Closing {
    code: Option<u16>,
    reason: Box<str>,
    sent: bool,
    received: bool,
    /// End TCP once everything is flushed, without waiting for the peer's Close frame.
    finish_after_flush: bool,
}

pub(crate) struct State {
    pub(crate) phase: Phase,
    pub(crate) token: usize,
    socket: Option<Socket>,
    peer: Option<SocketAddr>,
    head: Box<[u8]>,
    /// Bytes that came behind the opening handshake, before it was answered.
    early: Vec<u8>,
    reader: MessageReader,
    inbound: Inbound,
    /// Comes behind the last inbound message.
    ending: Option<Ending>,
    outbound: Outbound,
    receiver: Option<Py<Awaitable>>,
    drainers: Vec<Py<Awaitable>>,
    task: Option<Py<PyAny>>,
    closing: Closing,
    deadline: Deadline,
    last_activity: u64,
    ping_sent: Option<u64>,
    /// The kernel may have bytes for us.
    readable: bool,
    /// The peer has shut its side: read until the end.
    peer_shut: bool,
    /// The kernel took less than we had; its next edge tells.
    blocked: bool,
    congested: bool,
    /// Stands in the reactor's list of connections to flush.
    dirty: bool,
}

impl State {
    /// A state that no reactor knows of; it behaves as ended.
    pub(crate) fn detached() -> Self {
        Self {
            phase: Phase::Detached,
            token: usize::MAX,
            socket: None,
            peer: None,
            head: Box::default(),
            early: Vec::new(),
            reader: MessageReader::new(ReaderConfig {
                role: Role::Server,
                max_frame_size: 0,
                max_message_size: 0,
                max_fragments: 0,
            }),
            inbound: Inbound::default(),
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
            blocked: false,
            congested: false,
            dirty: false,
        }
    }

    /// Take over a socket whose opening handshake has come.
    pub(crate) fn open(&mut self, arrival: Arrival<'_>, config: ReaderConfig) {
        let (head, early) = arrival.received.split_at(arrival.head_len);
        self.phase = Phase::Opening;
        self.token = arrival.token;
        self.socket = Some(arrival.socket);
        self.peer = arrival.peer;
        self.reader = MessageReader::new(config);
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

    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        self.socket.as_ref()?.local_addr().ok()?.as_socket()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.phase >= Phase::Closing
    }

    pub(crate) fn is_congested(&self) -> bool {
        self.congested
    }

    pub(crate) fn buffered(&self) -> usize {
        self.outbound.len()
    }

    pub(crate) fn close_code(&self) -> Option<u16> {
        self.has_ended().then(|| self.closing.code.unwrap_or(ABNORMAL_CLOSURE))
    }

    pub(crate) fn close_reason(&self) -> &str {
        &self.closing.reason
    }

    // ── opening handshake ─────────────────────────────────────────────────────────────────────────────────────────

    /// Answer the opening handshake with the bytes of a 101 response.
    pub(crate) fn accept(&mut self, env: &mut Env<'_, '_>, response: &[u8]) {
        self.phase = Phase::Open;
        env.queues.counters.opened += 1;
        self.queue(env, |tail| tail.extend_from_slice(response));
        self.last_activity = env.now;
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

    // ── sending ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// Queue a message on an open connection.
    #[inline]
    pub(crate) fn push(&mut self, env: &mut Env<'_, '_>, opcode: Opcode, payload: &Payload<'_, '_>) {
        self.borrow_buffer(env);
        self.outbound.push_message(opcode, payload);
        self.mark_dirty(env);
    }

    /// Whether queueing so many bytes more would break the limit for what one peer may leave unread. A single message
    /// for an idle peer never does.
    #[inline]
    pub(crate) fn would_overflow(&self, options: &Options, len: usize) -> bool {
        !self.outbound.is_empty() && self.outbound.len() + len > options.outbound_limit
    }

    pub(crate) fn has_drainers(&self) -> bool {
        !self.drainers.is_empty()
    }

    fn queue(&mut self, env: &mut Env<'_, '_>, write: impl FnOnce(&mut Vec<u8>)) {
        self.borrow_buffer(env);
        self.outbound.append(write);
        self.mark_dirty(env);
    }

    #[inline]
    fn borrow_buffer(&mut self, env: &mut Env<'_, '_>) {
        if self.outbound.wants_buffer() {
            if let Some(buffer) = env.queues.spare.pop() {
                self.outbound.lend(buffer);
            }
        }
    }

    #[inline]
    fn mark_dirty(&mut self, env: &mut Env<'_, '_>) {
        self.congested |= self.outbound.len() >= HIGH_WATER;
        if !self.dirty {
            self.dirty = true;
            env.queues.dirty.push(env.this.clone().unbind());
        }
    }

    /// The kernel has room again.
    pub(crate) fn on_writable(&mut self) {
        self.blocked = false;
    }

    /// Give the kernel what is queued.
    pub(crate) fn flush(&mut self, env: &mut Env<'_, '_>) {
        self.dirty = false;
        if self.blocked || self.outbound.is_empty() {
            return;
        }
        let Some(socket) = &self.socket else { return };
        let Ok(sent) = self.outbound.flush(&mut &*socket) else {
            return self.finish(env);
        };
        self.blocked = !self.outbound.is_empty();
        if self.congested && sent > 0 {
            self.last_activity = env.now; // a slow peer that takes bytes is alive, though its pong waits behind them
        }
        if self.congested && self.outbound.len() < LOW_WATER {
            self.end_congestion(env);
        }
        if !self.blocked {
            self.after_flush(env);
        }
    }

    fn end_congestion(&mut self, env: &mut Env<'_, '_>) {
        self.congested = false;
        env.queues.wakes.append(&mut self.drainers);
        if let Some(receiver) = self.take_ready_receiver() {
            env.queues.wakes.push(receiver);
        }
        self.resume_reading(env);
    }

    fn after_flush(&mut self, env: &mut Env<'_, '_>) {
        if let Some(buffer) = self.outbound.reclaim() {
            env.queues.keep_spare(buffer);
        }
        if self.phase != Phase::Closing {
            return;
        }
        if self.closing.sent && self.closing.received {
            self.finish(env);
        } else if self.closing.finish_after_flush {
            self.shut_down(env);
        }
    }

    /// End our side of TCP and throw away what still comes: closing at once with bytes unread would reset the
    /// connection, and the reset could overtake our last words.
    fn shut_down(&mut self, env: &mut Env<'_, '_>) {
        let shut = self.socket.as_ref().map(|socket| socket.shutdown(Shutdown::Write));
        match shut {
            Some(Ok(())) => {
                self.phase = Phase::Draining;
                self.readable = true;
                env.queues.ready.push(env.this.clone().unbind());
            }
            _ => self.finish(env),
        }
    }

    // ── receiving ─────────────────────────────────────────────────────────────────────────────────────────────────

    /// Note what the poller says of the socket.
    pub(crate) fn on_readable(&mut self, env: &mut Env<'_, '_>, peer_shut: bool, broken: bool) {
        self.readable = true;
        self.peer_shut |= peer_shut;
        let cannot_read = self.phase == Phase::Opening || self.is_reading_paused();
        if (peer_shut && self.phase == Phase::Opening) || (broken && cannot_read) {
            self.finish(env);
        }
    }

    /// Read once and process what came.
    pub(crate) fn read(&mut self, env: &mut Env<'_, '_>, buffer: &mut [u8]) -> Reading {
        use std::io::{ErrorKind, Read};
        if !self.readable || self.is_reading_paused() {
            return Reading::Stop;
        }
        let Some(socket) = &self.socket else { return Reading::Stop };
        match (&mut &*socket).read(buffer) {
            Ok(0) => {
                self.finish(env);
                Reading::Stop
            }
            Ok(count) => {
                self.last_activity = env.now;
                // A short read means that nothing is left, and that new bytes bring a new edge.
                self.readable = count == buffer.len() || self.peer_shut;
                self.process(env, &mut buffer[..count]);
                Reading::More(count)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Reading::More(0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                Reading::Stop
            }
            Err(_) => {
                self.finish(env);
                Reading::Stop
            }
        }
    }

    /// Reading pauses while the handler or the peer cannot keep up, so that neither can grow the process.
    fn is_reading_paused(&self) -> bool {
        match self.phase {
            Phase::Open => self.inbound.is_full() || self.congested || self.ending.is_some(),
            Phase::Closing | Phase::Draining => false,
            Phase::Detached | Phase::Opening | Phase::Closed => true,
        }
    }

    fn resume_reading(&mut self, env: &mut Env<'_, '_>) {
        if self.readable && !self.is_reading_paused() {
            env.queues.ready.push(env.this.clone().unbind());
        }
    }

    fn process(&mut self, env: &mut Env<'_, '_>, bytes: &mut [u8]) {
        let is_rejected = self.phase == Phase::Closing && !self.closing.sent;
        if self.phase == Phase::Draining || is_rejected {
            return;
        }
        let py = env.this.py();
        let limit = env.options.inbound_limit;
        let is_open = self.phase == Phase::Open;
        let mut input = Input::new(bytes);
        let ending = loop {
            match self.reader.read(&mut input) {
                Ok(None) => return,
                Ok(Some(Event::Text(text))) if is_open => self.inbound.push(Message::text(py, text), limit),
                Ok(Some(Event::Binary(data))) if is_open => self.inbound.push(Message::binary(py, data), limit),
                Ok(Some(Event::Ping(data))) if is_open => {
                    let mut pong = [0; frame::MAX_CONTROL_PAYLOAD];
                    let pong = &mut pong[..data.len()];
                    pong.copy_from_slice(data);
                    self.queue(env, |tail| frame::write_frame(tail, Opcode::Pong, pong, None));
                }
                Ok(Some(Event::Close(close))) => break Ending::Close(close.code, Box::from(close.reason)),
                // Data and pings behind our own Close frame need no answer (RFC 6455, section 5.5.1); a pong has done
                // its work by arriving.
                Ok(Some(_)) => {}
                Err(error) => break Ending::Failure(error),
            }
        };
        self.on_ending(env, ending);
    }

    fn on_ending(&mut self, env: &mut Env<'_, '_>, ending: Ending) {
        if matches!(ending, Ending::Failure(_)) {
            env.queues.counters.protocol_errors += 1;
        }
        if self.phase == Phase::Open {
            self.ending = Some(ending);
            if self.inbound.is_empty() {
                self.apply_ending(env);
            } else {
                // A handler that does not come back for the rest must not keep the peer waiting for ever.
                self.set_deadline(env, env.options.close_timeout.after(env.now));
            }
            return;
        }
        match ending {
            Ending::Close(..) => self.closing.received = true,
            Ending::Failure(_) => self.closing.finish_after_flush = true,
        }
        if self.outbound.is_empty() {
            self.after_flush(env);
        }
    }

    /// Answer what the peer ended the conversation with; false if it did not.
    fn apply_ending(&mut self, env: &mut Env<'_, '_>) -> bool {
        match self.ending.take() {
            None => return false,
            Some(Ending::Failure(error)) => self.start_close(env, error.close_code(), &error.to_string(), true),
            Some(Ending::Close(code, reason)) => {
                self.closing = Closing {
                    code: Some(code.unwrap_or(NO_STATUS_RECEIVED)),
                    reason,
                    sent: true,
                    received: true,
                    finish_after_flush: false,
                };
                self.queue(env, |tail| frame::write_close(tail, code, "", None));
                self.begin_closing(env);
            }
        }
        true
    }

    /// Take the next message, unless the peer must read first.
    #[inline]
    pub(crate) fn next_message(&mut self, env: &mut Env<'_, '_>) -> Next {
        if self.congested && self.phase == Phase::Open {
            return Next::Nothing;
        }
        let was_full = self.inbound.is_full();
        match self.inbound.pop(env.options.inbound_limit) {
            Some(message) => {
                if was_full && !self.inbound.is_full() {
                    self.resume_reading(env);
                }
                Next::Message(message)
            }
            None if self.has_ended() || self.apply_ending(env) => Next::Ended,
            None => Next::Nothing,
        }
    }

    // ── who waits ─────────────────────────────────────────────────────────────────────────────────────────────────

    pub(crate) fn receiver(&self) -> Option<&Py<Awaitable>> {
        self.receiver.as_ref()
    }

    pub(crate) fn set_receiver(&mut self, receiver: Option<Py<Awaitable>>) -> Option<Py<Awaitable>> {
        std::mem::replace(&mut self.receiver, receiver)
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

    // ── closing ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// Close from our side. What the handler has not taken yet is forgotten.
    pub(crate) fn close(&mut self, env: &mut Env<'_, '_>, code: u16, reason: &str, fail: bool) {
        self.inbound.clear();
        if !self.apply_ending(env) {
            self.start_close(env, code, reason, fail);
        }
    }

    /// Complete the opening handshake first, so that a browser sees code and reason.
    pub(crate) fn accept_and_close(&mut self, env: &mut Env<'_, '_>, response: &[u8], code: u16, reason: &str) {
        self.accept(env, response);
        if self.phase == Phase::Open {
            self.close(env, code, reason, false);
        }
    }

    /// Close a peer that leaves more unread than the limit allows.
    pub(crate) fn close_slow_consumer(&mut self, env: &mut Env<'_, '_>) {
        env.queues.counters.slow_consumers += 1;
        self.close(env, TRY_AGAIN_LATER, "too slow", true);
    }

    fn start_close(&mut self, env: &mut Env<'_, '_>, code: u16, reason: &str, fail: bool) {
        self.closing.code = Some(code);
        self.closing.reason = reason.into();
        self.closing.sent = true;
        self.closing.finish_after_flush = fail;
        self.queue(env, |tail| frame::write_close(tail, Some(code), reason, None));
        self.begin_closing(env);
    }

    fn begin_closing(&mut self, env: &mut Env<'_, '_>) {
        self.phase = Phase::Closing;
        self.set_deadline(env, env.options.close_timeout.after(env.now));
        self.release_waiters(env);
        self.resume_reading(env);
    }

    fn release_waiters(&mut self, env: &mut Env<'_, '_>) {
        env.queues.wakes.append(&mut self.drainers);
        env.queues.wakes.extend(self.receiver.take());
    }

    /// End TCP with a reset: the peer had its time, and the kernel shall not keep what it did not take.
    fn abort(&mut self, env: &mut Env<'_, '_>) {
        if let Some(socket) = &self.socket {
            // A failure leaves the ordinary end, which is good enough.
            let _ = socket.set_linger(Some(Duration::ZERO));
        }
        self.finish(env);
    }

    /// The connection is over: free what it held, and tell who waits.
    pub(crate) fn finish(&mut self, env: &mut Env<'_, '_>) {
        if self.phase == Phase::Closed {
            return;
        }
        self.phase = Phase::Closed;
        self.closing.code.get_or_insert(ABNORMAL_CLOSURE);
        self.socket = None;
        self.outbound.clear();
        self.early = Vec::new();
        self.congested = false;
        env.queues.counters.closed += 1;
        self.release_waiters(env);
        self.await_handler(env);
    }

    /// Keep the place in the reactor until the handler has ended, or the grace period with it.
    fn await_handler(&mut self, env: &mut Env<'_, '_>) {
        if self.task.is_none() {
            self.set_deadline(env, None);
            env.queues.ended.push(self.token);
        } else {
            self.set_deadline(env, env.options.disconnect_grace.after(env.now));
        }
    }

    // ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────

    fn set_deadline(&mut self, env: &mut Env<'_, '_>, due: Option<u64>) {
        let at = self.deadline.set(due);
        env.add_timer(at, self.token);
    }

    fn schedule_ping(&mut self, env: &mut Env<'_, '_>) {
        let due = env.options.ping_interval.after(self.last_activity);
        self.set_deadline(env, due);
    }

    /// A timer of this connection came up.
    pub(crate) fn on_timer(&mut self, env: &mut Env<'_, '_>, at: u64) -> Expired {
        match self.deadline.judge(at, env.now) {
            Due::Stale => return Expired::Nothing,
            Due::Later(due) => {
                env.add_timer(Some(due), self.token);
                return Expired::Nothing;
            }
            Due::Now => {}
        }
        match self.phase {
            Phase::Open => {
                if !self.apply_ending(env) {
                    self.on_ping_due(env);
                }
            }
            Phase::Closing | Phase::Draining => self.abort(env),
            Phase::Closed => {
                env.queues.ended.push(self.token);
                return self.task.take().map_or(Expired::Nothing, Expired::Cancel);
            }
            Phase::Detached | Phase::Opening => {}
        }
        Expired::Nothing
    }

    fn on_ping_due(&mut self, env: &mut Env<'_, '_>) {
        let is_silent = self.ping_sent.is_some_and(|sent| self.last_activity < sent);
        if is_silent && env.options.ping_timeout.is_on() {
            if self.inbound.is_full() {
                // We are the ones who do not read: the pong may be there. Look again later.
                return self.set_deadline(env, env.options.ping_timeout.after(env.now));
            }
            env.queues.counters.ping_timeouts += 1;
            return self.close(env, INTERNAL_ERROR, "ping timeout", true);
        }
        let is_quiet = env.options.ping_interval.after(self.last_activity).is_some_and(|due| due <= env.now);
        if !is_quiet {
            self.ping_sent = None;
            return self.schedule_ping(env);
        }
        self.ping_sent = Some(env.now);
        self.queue(env, |tail| frame::write_frame(tail, Opcode::Ping, b"", None));
        let answer_due = env.options.ping_timeout.after(env.now);
        self.set_deadline(env, answer_due.or_else(|| env.options.ping_interval.after(env.now)));
    }
}

/// The bytes of a 101 response to a head that was found good.
///
/// # Errors
///
/// `BadHeader` for a header field that would break the response.
pub(crate) fn accept_response(
    head: &[u8],
    subprotocol: Option<&str>,
    headers: &[(&str, &str)],
) -> Result<Vec<u8>, BadHeader> {
    let fields = handshake::header_fields(head);
    let key = fields.iter().find(|(name, _)| name == "sec-websocket-key").map_or(&b""[..], |(_, value)| value);
    let mut response = Vec::with_capacity(160);
    handshake::write_accept(&mut response, &String::from_utf8_lossy(key), subprotocol, headers)?;
    Ok(response)
}
