//! The end of a connection: the closing handshake from our side, and what is left to free.

use std::time::Duration;

use django_bolt_protocol::frame;

use super::state::{Acceptance, Env, Phase, State, ABNORMAL_CLOSURE};

const TRY_AGAIN_LATER: u16 = 1013;

impl State {
    /// Close from our side. What the handler has not taken yet is forgotten.
    pub(crate) fn close(&mut self, env: &mut Env<'_, '_>, code: u16, reason: &str, fail: bool) {
        self.inbound.clear();
        if !self.apply_ending(env) {
            self.start_close(env, code, reason, fail);
        }
    }

    /// Complete the opening handshake first, so that a browser sees code and reason.
    pub(crate) fn accept_and_close(&mut self, env: &mut Env<'_, '_>, code: u16, reason: &str) {
        match Acceptance::new(self.head(), None, &[], None) {
            Ok(acceptance) => self.accept(env, acceptance),
            Err(_) => return self.finish(env), // no header fields of ours that could be bad
        }
        if self.phase == Phase::Open {
            self.close(env, code, reason, false);
        }
    }

    /// Close a peer that leaves more unread than the limit allows.
    pub(crate) fn close_slow_consumer(&mut self, env: &mut Env<'_, '_>) {
        env.queues.counters.slow_consumers += 1;
        self.close(env, TRY_AGAIN_LATER, "too slow", true);
    }

    pub(super) fn start_close(&mut self, env: &mut Env<'_, '_>, code: u16, reason: &str, fail: bool) {
        self.closing.code = Some(code);
        self.closing.reason = reason.into();
        self.closing.sent = true;
        self.closing.finish_after_flush = fail;
        self.queue_close(env, Some(code), reason);
        self.begin_closing(env);
    }

    /// Queue a Close frame; what was sent before goes before it.
    pub(super) fn queue_close(&mut self, env: &mut Env<'_, '_>, code: Option<u16>, reason: &str) {
        let mut close = Vec::with_capacity(frame::MAX_HEADER + frame::MAX_CONTROL_PAYLOAD);
        frame::write_close(&mut close, code, reason, None);
        self.queue_behind_messages(env, &close);
    }

    pub(super) fn begin_closing(&mut self, env: &mut Env<'_, '_>) {
        self.phase = Phase::Closing;
        self.set_deadline(env, env.options.close_timeout.after(env.now()));
        self.release_waiters(env);
        self.resume_reading(env);
    }

    pub(super) fn release_waiters(&mut self, env: &mut Env<'_, '_>) {
        env.queues.wakes.append(&mut self.drainers);
        env.queues.wakes.extend(self.receiver.take());
    }

    /// The peer will send no more: be done as soon as it has been given what it may still read.
    pub(super) fn finish_when_flushed(&mut self, env: &mut Env<'_, '_>) {
        if self.outbound.is_empty() || self.phase == Phase::Draining {
            return self.finish(env);
        }
        self.closing.code.get_or_insert(ABNORMAL_CLOSURE);
        self.closing.sent = true;
        self.closing.received = true;
        if self.phase == Phase::Open {
            self.begin_closing(env);
        }
    }

    /// The closing handshake takes too long. What the peer could not have yet, for we compress it, gets its own time.
    pub(super) fn on_closing_timeout(&mut self, env: &mut Env<'_, '_>) {
        if self.give_up_compressing(env) {
            self.set_deadline(env, env.options.close_timeout.after(env.now()));
        } else {
            self.abort(env);
        }
    }

    /// End TCP with a reset: the peer had its time, and the kernel shall not keep what it did not take.
    pub(super) fn abort(&mut self, env: &mut Env<'_, '_>) {
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
        self.unparsed = Vec::new();
        self.drop_compressor(env);
        self.congested = false;
        env.queues.counters.closed += 1;
        self.release_waiters(env);
        self.await_handler(env);
    }

    /// Keep the place in the reactor until the handler has ended, or the grace period with it.
    pub(super) fn await_handler(&mut self, env: &mut Env<'_, '_>) {
        if self.task.is_none() {
            self.set_deadline(env, None);
            env.queues.ended.push(self.token);
        } else {
            self.set_deadline(env, env.options.disconnect_grace.after(env.now()));
        }
    }
}
