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
            Phase::Closing | Phase::Draining => self.on_closing_timeout(env),
            Phase::Closed => {
                env.queues.ended.push(self.token);
                return self.task.take().map_or(Expired::Nothing, Expired::Cancel);
            }
            Phase::Detached | Phase::Opening => {}
        }
        Expired::Nothing
    }

    pub(super) fn on_ping_due(&mut self, env: &mut Env<'_, '_>) {
        let now = env.now();
        let unanswered = self.ping_sent.filter(|sent| self.last_activity < *sent);
        if let Some(answer_due) = unanswered.and_then(|sent| env.options.ping_timeout.after(sent)) {
            return self.on_answer_missing(env, answer_due);
        }
        let ping_due = env
            .options
            .ping_interval
            .after(self.last_activity.max(unanswered.unwrap_or(0)));
        if ping_due.is_some_and(|due| due > now) {
            return self.set_deadline(env, ping_due);
        }
        self.ping(env);
    }

    fn ping(&mut self, env: &mut Env<'_, '_>) {
        let now = env.now();
        self.ping_sent = Some(now);
        self.queue(env, |tail| frame::write_frame(tail, Opcode::Ping, b"", None));
        let next = env.options.ping_interval.after(now);
        let answer_due = env.options.ping_timeout.after(now);
        self.set_deadline(env, next.into_iter().chain(answer_due).min());
    }

    /// Nothing came since the last ping.
    fn on_answer_missing(&mut self, env: &mut Env<'_, '_>, answer_due: u64) {
        if answer_due > env.now() {
            return self.set_deadline(env, Some(answer_due));
        }
        if self.inbound.is_full() || self.throttled_until.is_some() || self.is_compressing() {
            // We are the ones who do not read, or who are slow to send: the pong may be there. Ask again, since a peer
            // that has left answers that with a reset, which is noticed without reading.
            return self.ping(env);
        }
        env.queues.counters.ping_timeouts += 1;
        self.close(env, INTERNAL_ERROR, "ping timeout", true);
    }
}
