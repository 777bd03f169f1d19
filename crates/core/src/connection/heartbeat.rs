//! The one deadline of a connection: ping and its answer while open, the end of patience after.

use django_bolt_protocol::frame::{self, Opcode};

use super::state::{Env, Expired, Phase, State};
use crate::timers::Due;

const INTERNAL_ERROR: u16 = 1011;

impl State {
    pub(super) fn set_deadline(&mut self, env: &mut Env<'_, '_>, due: Option<u64>) {
        let at = self.deadline.set(due);
        env.add_timer(at, self.token);
    }

    pub(super) fn schedule_ping(&mut self, env: &mut Env<'_, '_>) {
        let due = env.options.ping_interval.after(self.last_activity);
        self.set_deadline(env, due);
    }

    /// A timer of this connection came up.
    pub(crate) fn on_timer(&mut self, env: &mut Env<'_, '_>, at: u64) -> Expired {
        self.end_throttling(env);
        match self.deadline.judge(at, env.now()) {
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

    pub(super) fn on_ping_due(&mut self, env: &mut Env<'_, '_>) {
        let is_silent = self.ping_sent.is_some_and(|sent| self.last_activity < sent);
        if is_silent && env.options.ping_timeout.is_on() {
            if self.inbound.is_full() || self.throttled_until.is_some() {
                // We are the ones who do not read: the pong may be there. Look again later.
                return self.set_deadline(env, env.options.ping_timeout.after(env.now()));
            }
            env.queues.counters.ping_timeouts += 1;
            return self.close(env, INTERNAL_ERROR, "ping timeout", true);
        }
        let is_quiet = env
            .options
            .ping_interval
            .after(self.last_activity)
            .is_some_and(|due| due <= env.now());
        if !is_quiet {
            self.ping_sent = None;
            return self.schedule_ping(env);
        }
        self.ping_sent = Some(env.now());
        self.queue(env, |tail| frame::write_frame(tail, Opcode::Ping, b"", None));
        let answer_due = env.options.ping_timeout.after(env.now());
        self.set_deadline(
            env,
            answer_due.or_else(|| env.options.ping_interval.after(env.now())),
        );
    }
}
