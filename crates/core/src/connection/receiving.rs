//! Receiving: bytes from the kernel, messages for the handler, and how the peer ends the conversation.

use std::io::{ErrorKind, Read};

use django_bolt_protocol::frame::{self, Opcode};
use django_bolt_protocol::reader::{Event, Input};

use super::inbound::Message;
use super::state::{Closing, Ending, Env, Next, Phase, Reading, State};

/// Stands for a Close frame without a code (RFC 6455, section 7.4.1); never sent.
const NO_STATUS_RECEIVED: u16 = 1005;
const POLICY_VIOLATION: u16 = 1008;

/// How far the bytes of one read were parsed.
enum Parsed {
    All,
    /// The inbound queue is full, or the rate is reached.
    UntilPaused,
    /// The peer sends faster than it may.
    UntilRate,
    UntilEnding(Ending),
}

impl State {
    /// Note what the poller says of the socket.
    pub(crate) fn on_readable(&mut self, env: &mut Env<'_, '_>, peer_shut: bool, broken: bool) {
        self.readable = true;
        self.peer_shut |= peer_shut;
        self.broken |= broken;
        let cannot_read = self.phase == Phase::Opening || self.is_reading_paused();
        if (peer_shut && self.phase == Phase::Opening) || (broken && cannot_read) {
            self.finish(env);
        }
    }

    /// Read once and process what came.
    pub(crate) fn read(&mut self, env: &mut Env<'_, '_>, buffer: &mut [u8]) -> Reading {
        if self.is_reading_paused() {
            return Reading::Stop;
        }
        if !self.unparsed.is_empty() {
            if let Some(rate) = &mut self.rate {
                rate.take_bytes(0, env.now()); // counted when they were read; time has passed since
            }
            let mut unparsed = std::mem::take(&mut self.unparsed);
            self.process(env, &mut unparsed);
            self.slow_down(env);
            // Only what inflates far beyond its size is left over: the others have their turn now.
            return Reading::More(usize::MAX);
        }
        if !self.readable {
            return Reading::Stop;
        }
        let Some(socket) = &self.socket else {
            return Reading::Stop;
        };
        let size = self
            .rate
            .as_ref()
            .map_or(buffer.len(), |rate| rate.read_size().min(buffer.len()));
        let buffer = &mut buffer[..size];
        match (&mut &*socket).read(buffer) {
            Ok(0) => {
                self.readable = false;
                self.on_ending(env, Ending::Eof);
                Reading::Stop
            }
            Ok(count) => {
                self.last_activity = env.now();
                // A short read means that nothing is left, and that new bytes bring a new edge.
                self.readable = count == buffer.len() || self.peer_shut;
                if let Some(rate) = &mut self.rate {
                    rate.take_bytes(count, env.now());
                }
                self.process(env, &mut buffer[..count]);
                self.slow_down(env);
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

    /// Keep to the rate: by closing, or by leaving what comes in the kernel for a while.
    fn slow_down(&mut self, env: &mut Env<'_, '_>) {
        let Some(rate) = self.rate.as_ref().filter(|rate| rate.is_overdrawn()) else {
            return;
        };
        if !env.options.rate_waits {
            return self.on_rate_exceeded(env);
        }
        if self.broken {
            return self.finish(env); // nobody is there to be slowed down
        }
        let until = env.now().saturating_add(rate.wait()); // the least rate of all makes it eternity
        self.throttled_until = Some(until);
        env.add_timer(Some(until), self.token);
    }

    fn on_rate_exceeded(&mut self, env: &mut Env<'_, '_>) {
        if self.phase == Phase::Open && self.ending.is_none() {
            env.queues.counters.rate_limited += 1;
            self.on_ending(env, Ending::Refusal(POLICY_VIOLATION, "too many messages"));
        }
    }

    /// Read again where the rate made us wait.
    pub(super) fn end_throttling(&mut self, env: &mut Env<'_, '_>) {
        if self.throttled_until.is_some_and(|until| until <= env.now()) {
            self.throttled_until = None;
            self.resume_reading(env);
        }
    }

    /// Reading pauses while the handler or the peer cannot keep up, so that neither can grow the process.
    pub(super) fn is_reading_paused(&self) -> bool {
        match self.phase {
            Phase::Open => {
                self.inbound.is_full()
                    || self.congested
                    || self.ending.is_some()
                    || self.throttled_until.is_some()
            }
            Phase::Closing | Phase::Draining => false,
            Phase::Detached | Phase::Opening | Phase::Closed => true,
        }
    }

    pub(super) fn resume_reading(&mut self, env: &mut Env<'_, '_>) {
        let has_something = self.readable || !self.unparsed.is_empty();
        if has_something && !self.is_reading_paused() {
            self.queue_reading(env);
        }
    }

    /// Have the reactor read from this connection, once, in its next turn.
    pub(crate) fn queue_reading(&mut self, env: &mut Env<'_, '_>) {
        if !self.is_ready {
            self.is_ready = true;
            env.queues.ready.push(env.this.clone().unbind());
        }
    }

    /// The reactor took it from its list.
    pub(crate) fn begin_reading(&mut self) {
        self.is_ready = false;
    }

    pub(super) fn process(&mut self, env: &mut Env<'_, '_>, bytes: &mut [u8]) {
        let is_rejected = self.phase == Phase::Closing && !self.closing.sent;
        if self.phase == Phase::Draining || is_rejected {
            return;
        }
        // Taken out, since an event may have us queue an answer meanwhile.
        let mut pool = std::mem::take(&mut env.queues.inflaters);
        let mut input = Input::with_pool(bytes, &mut pool);
        let parsed = self.parse(env, &mut input);
        let remaining = input.remaining();
        env.queues.inflaters = pool;
        match parsed {
            Parsed::All => {}
            Parsed::UntilPaused => self.unparsed = bytes[bytes.len() - remaining..].to_vec(),
            Parsed::UntilRate => self.on_rate_exceeded(env),
            Parsed::UntilEnding(ending) => self.on_ending(env, ending),
        }
    }

    fn parse(&mut self, env: &mut Env<'_, '_>, input: &mut Input<'_>) -> Parsed {
        let py = env.this.py();
        let limit = env.options.inbound_limit;
        let is_open = self.phase == Phase::Open;
        loop {
            let event = self.reader.read(input);
            if let (Some(rate), Ok(Some(_))) = (&mut self.rate, &event) {
                rate.take_message();
                if rate.is_overdrawn() && !env.options.rate_waits {
                    return Parsed::UntilRate;
                }
            }
            match event {
                Ok(None) => return Parsed::All,
                Ok(Some(Event::Text(text))) if is_open => self.inbound.push(Message::text(py, text), limit),
                Ok(Some(Event::Binary(data))) if is_open => {
                    self.inbound.push(Message::binary(py, data), limit)
                }
                Ok(Some(Event::Ping(data))) if is_open => {
                    let mut pong = [0; frame::MAX_CONTROL_PAYLOAD];
                    let pong = &mut pong[..data.len()];
                    pong.copy_from_slice(data);
                    self.queue(env, |tail| frame::write_frame(tail, Opcode::Pong, pong, None));
                }
                Ok(Some(Event::Close(close))) => {
                    return Parsed::UntilEnding(Ending::Close(close.code, Box::from(close.reason)));
                }
                // Data and pings behind our own Close frame need no answer (RFC 6455, section 5.5.1); a pong has done
                // its work by arriving.
                Ok(Some(_)) => {}
                Err(error) => return Parsed::UntilEnding(Ending::Failure(error)),
            }
            // What one read brings can inflate to a thousand times its size, and be many times what the rate allows.
            let is_over_rate = self.rate.as_ref().is_some_and(|rate| rate.is_overdrawn());
            if (self.inbound.is_full() || is_over_rate) && is_open && !input.is_empty() {
                return Parsed::UntilPaused;
            }
        }
    }

    pub(super) fn on_ending(&mut self, env: &mut Env<'_, '_>, ending: Ending) {
        if matches!(ending, Ending::Failure(_)) {
            env.queues.counters.protocol_errors += 1;
        }
        if self.phase == Phase::Open {
            self.ending = Some(ending);
            if self.inbound.is_empty() {
                self.apply_ending(env);
            } else {
                // A handler that does not come back for the rest must not keep the peer waiting for ever.
                self.set_deadline(env, env.options.close_timeout.after(env.now()));
            }
            return;
        }
        match ending {
            Ending::Close(..) => self.closing.received = true,
            Ending::Failure(_) | Ending::Refusal(..) => self.closing.finish_after_flush = true,
            Ending::Eof => return self.finish_when_flushed(env),
        }
        if self.outbound.is_empty() {
            self.after_flush(env);
        }
    }

    /// Answer what the peer ended the conversation with; false if it did not.
    pub(super) fn apply_ending(&mut self, env: &mut Env<'_, '_>) -> bool {
        match self.ending.take() {
            None => return false,
            Some(Ending::Failure(error)) => {
                self.start_close(env, error.close_code(), &error.to_string(), true)
            }
            Some(Ending::Eof) => self.finish_when_flushed(env),
            Some(Ending::Refusal(code, reason)) => self.start_close(env, code, reason, true),
            Some(Ending::Close(code, reason)) => {
                self.closing = Closing {
                    code: Some(code.unwrap_or(NO_STATUS_RECEIVED)),
                    reason,
                    sent: true,
                    received: true,
                    finish_after_flush: false,
                };
                self.queue_close(env, code, "");
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
        self.is_catching_up = self.has_ended() && !self.inbound.is_empty();
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
}
