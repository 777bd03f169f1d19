//! Sending: frames into the outbound buffer, the buffer into the kernel, and what congestion means.

use std::net::Shutdown;

use django_bolt_protocol::frame::Opcode;

use super::state::{Env, Phase, State};
use crate::options::Options;
use crate::payload::Payload;

/// At this many bytes queued a connection counts as congested, and its own handler waits.
const HIGH_WATER: usize = 64 * 1024;
/// Below this many it no longer does.
const LOW_WATER: usize = 16 * 1024;

impl State {
    /// Queue a message on an open connection.
    #[inline]
    pub(crate) fn push(&mut self, env: &mut Env<'_, '_>, opcode: Opcode, payload: &Payload<'_, '_>) {
        self.borrow_buffer(env);
        match &self.compressor {
            Some(compressor) if compressor.takes(payload.as_bytes().len()) => {
                self.push_compressed(env, opcode, payload);
            }
            _ => self.outbound.push_message(opcode, payload),
        }
        self.mark_dirty(env);
    }

    /// Queue a message on an open connection if there is room; else its peer is too slow, and is closed. Returns
    /// whether it was queued.
    pub(crate) fn push_or_close(
        &mut self,
        env: &mut Env<'_, '_>,
        opcode: Opcode,
        payload: &Payload<'_, '_>,
    ) -> bool {
        let has_room = self.make_room(env, payload.as_bytes().len());
        // Making room writes to the socket, whose end may be found there.
        if !has_room && self.phase == Phase::Open {
            self.close_slow_consumer(env);
        }
        let is_open = self.phase == Phase::Open;
        if is_open {
            self.push(env, opcode, payload);
        }
        is_open
    }

    /// Whether queueing so many bytes more would break the limit for what one peer may leave unread. A single message
    /// for an idle peer never does.
    #[inline]
    pub(crate) fn would_overflow(&self, options: &Options, len: usize) -> bool {
        !self.outbound.is_empty() && self.outbound.len() + len > options.outbound_limit
    }

    /// Make room for so many bytes; false if the peer leaves too much unread. What a turn of the loop has queued was
    /// not offered to the kernel yet, so that is done first; and what waits to be compressed waits for us, not for the
    /// peer.
    pub(crate) fn make_room(&mut self, env: &mut Env<'_, '_>, len: usize) -> bool {
        if self.would_overflow(env.options, len) {
            self.flush(env);
        }
        if self.would_overflow(env.options, len) && self.give_up_compressing(env) {
            self.flush(env);
        }
        !self.would_overflow(env.options, len)
    }

    /// Whether the own handler was told to wait and sends all the same: from another task, or without awaiting.
    pub(crate) fn has_own_send_waiting(&self) -> bool {
        self.congested && self.own_send_waits
    }

    pub(crate) fn note_own_send(&mut self, is_own: bool) {
        self.own_send_waits |= is_own && self.congested;
    }

    pub(super) fn queue(&mut self, env: &mut Env<'_, '_>, write: impl FnOnce(&mut Vec<u8>)) {
        self.borrow_buffer(env);
        self.outbound.append(write);
        self.mark_dirty(env);
    }

    #[inline]
    pub(super) fn borrow_buffer(&mut self, env: &mut Env<'_, '_>) {
        if self.outbound.wants_buffer() {
            if let Some(buffer) = env.queues.spare.pop() {
                self.outbound.lend(buffer);
            }
        }
    }

    #[inline]
    pub(super) fn mark_dirty(&mut self, env: &mut Env<'_, '_>) {
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
        self.blocked = self.outbound.has_ready();
        if self.congested && sent > 0 {
            self.last_activity = env.now(); // a slow peer that takes bytes is alive, though its pong waits behind them
        }
        if self.congested && self.outbound.len() < LOW_WATER {
            self.end_congestion(env);
        }
        if self.outbound.is_empty() {
            self.after_flush(env);
        }
    }

    pub(super) fn end_congestion(&mut self, env: &mut Env<'_, '_>) {
        self.congested = false;
        self.own_send_waits = false;
        env.queues.wakes.append(&mut self.drainers);
        if let Some(receiver) = self.take_ready_receiver() {
            env.queues.wakes.push(receiver);
        }
        self.resume_reading(env);
    }

    pub(super) fn after_flush(&mut self, env: &mut Env<'_, '_>) {
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
    pub(super) fn shut_down(&mut self, env: &mut Env<'_, '_>) {
        let shut = self
            .socket
            .as_ref()
            .map(|socket| socket.shutdown(Shutdown::Write));
        match shut {
            Some(Ok(())) => {
                self.phase = Phase::Draining;
                self.readable = true;
                self.queue_reading(env);
            }
            _ => self.finish(env),
        }
    }
}
