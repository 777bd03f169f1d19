//! Messages of a connection that are compressed in the reactor's turns, and what waits behind them.

use django_bolt_protocol::frame::Opcode;

use super::state::{Env, State};
use crate::compression::{Compressor, Finished, Output};
use crate::payload::Payload;

impl State {
    /// Queue a message that the compressor takes.
    pub(super) fn push_compressed(
        &mut self,
        env: &mut Env<'_, '_>,
        opcode: Opcode,
        payload: &Payload<'_, '_>,
    ) {
        self.with_compressor(env, |compressor, output| compressor.push(output, opcode, payload));
    }

    /// Queue a frame behind all messages.
    pub(super) fn queue_behind_messages(&mut self, env: &mut Env<'_, '_>, frame: &[u8]) {
        let is_queued = self.with_compressor(env, |compressor, output| compressor.push_frame(output, frame));
        if is_queued != Some(true) {
            self.queue(env, |tail| tail.extend_from_slice(frame));
        }
    }

    /// Whether messages wait for one that is being compressed.
    pub(super) fn is_compressing(&self) -> bool {
        self.compressor
            .as_ref()
            .is_some_and(|compressor| compressor.has_line())
    }

    /// A message was compressed that this connection waited for, unless it has given it up.
    pub(crate) fn on_compressed(&mut self, env: &mut Env<'_, '_>, finished: &mut Finished) {
        self.borrow_buffer(env);
        self.with_compressor(env, |compressor, output| compressor.on_finished(output, finished));
        self.mark_dirty(env);
    }

    /// Send plain what waits to be compressed; false if nothing does. Compressing must not be what a connection is
    /// ended for: there may be too much to do for all.
    pub(super) fn give_up_compressing(&mut self, env: &mut Env<'_, '_>) -> bool {
        let gave_up = self.with_compressor(env, Compressor::give_up) == Some(true);
        if gave_up {
            self.mark_dirty(env);
        }
        gave_up
    }

    /// Forget the compressor, and what waits for it.
    pub(super) fn drop_compressor(&mut self, env: &mut Env<'_, '_>) {
        if let Some(mut compressor) = self.compressor.take() {
            compressor.abandon(&mut env.queues.compressions, self.token);
        }
    }

    fn with_compressor<R>(
        &mut self,
        env: &mut Env<'_, '_>,
        step: impl FnOnce(&mut Compressor, &mut Output<'_>) -> R,
    ) -> Option<R> {
        let compressor = self.compressor.as_mut()?;
        let mut output = Output {
            outbound: &mut self.outbound,
            compressions: &mut env.queues.compressions,
            token: self.token,
        };
        Some(step(compressor, &mut output))
    }
}
