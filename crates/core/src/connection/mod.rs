//! One WebSocket: its state machine, and the `Connection` class by which Python reaches it.

mod closing;
mod compressing;
mod heartbeat;
mod inbound;
mod python;
mod rate;
mod receiving;
mod sending;
mod state;

use std::sync::OnceLock;

use django_bolt_protocol::deflate::Config;
use django_bolt_protocol::frame::Opcode;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

use crate::awaitable::{Awaitable, MessageIterator, Operation};
use crate::compression::Wishes;
use crate::errors;
use crate::gil_cell::GilCell;
use crate::payload::Payload;
use crate::reactor::Reactor;

pub(crate) use inbound::Message;
use state::Acceptance;
pub(crate) use state::{Arrival, Env, Expired, Next, Phase, Reading, State};

#[pyclass(subclass, frozen, module = "django_bolt._core")]
pub(crate) struct Connection {
    id: u64,
    reactor: OnceLock<Py<Reactor>>,
    state: GilCell<State>,
}

type Awaited<'py> = PyResult<Bound<'py, PyAny>>;

// ── for the reactor and the awaitables ────────────────────────────────────────────────────────────────────────────

impl Connection {
    /// Tie the object to its reactor.
    pub(crate) fn bind(&self, reactor: &Bound<'_, Reactor>) {
        // A second call keeps the first reactor; the reactor binds each connection once.
        let _ = self.reactor.set(reactor.clone().unbind());
    }

    #[inline]
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Refuse what makes no sense for a connection that is over.
    ///
    /// # Errors
    ///
    /// WebSocketDisconnect if it has ended; RuntimeError if it was not made by a reactor.
    pub(crate) fn require_not_ended(slf: &Bound<'_, Self>) -> PyResult<()> {
        if Self::with(slf, |state, _| state.has_ended())? {
            return Err(Self::disconnect_error(slf, slf.py()));
        }
        Ok(())
    }

    /// Run one step of the state machine.
    #[inline]
    pub(crate) fn with<R>(
        slf: &Bound<'_, Self>,
        step: impl FnOnce(&mut State, &mut Env<'_, '_>) -> R,
    ) -> PyResult<R> {
        let this = slf.get();
        let Some(reactor) = this.reactor.get() else {
            return Err(errors::wrong_state("this connection was not made by a reactor"));
        };
        let py = slf.py();
        let reactor = reactor.get();
        let mut state = this.state.borrow_mut(py);
        let mut queues = reactor.queues.borrow_mut(py);
        let mut env = Env {
            this: slf,
            options: &reactor.options,
            queues: &mut queues,
            reactor,
        };
        Ok(step(&mut state, &mut env))
    }

    /// Run one step from outside a batch: what it leaves in the queues is seen to in the loop's next turn.
    #[inline]
    fn with_follow_up<R>(
        slf: &Bound<'_, Self>,
        step: impl FnOnce(&mut State, &mut Env<'_, '_>) -> R,
    ) -> PyResult<R> {
        let result = Self::with(slf, step)?;
        Self::follow_up(slf)?;
        Ok(result)
    }

    /// See to it that what was queued is sent.
    #[inline]
    pub(crate) fn follow_up(slf: &Bound<'_, Self>) -> PyResult<()> {
        match slf.get().reactor.get() {
            Some(reactor) => Reactor::request_run(reactor.bind(slf.py())),
            None => Ok(()),
        }
    }

    pub(crate) fn event_loop<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let reactor = slf
            .get()
            .reactor
            .get()
            .ok_or_else(|| errors::wrong_state("this connection has no event loop"))?;
        Ok(reactor.get().event_loop(slf.py()))
    }

    /// Take a message for `waiter`, or register it; None: it waits.
    #[inline]
    pub(crate) fn step_receive(
        slf: &Bound<'_, Self>,
        waiter: &Bound<'_, Awaitable>,
    ) -> PyResult<Option<Message>> {
        let py = slf.py();
        let next = Self::with(slf, |state, env| {
            if state.phase == Phase::Opening {
                return Err(errors::wrong_state(
                    "cannot receive before accept(): the connection is CONNECTING",
                ));
            }
            if state.receiver().is_some_and(|receiver| !receiver.is(waiter)) {
                return Err(errors::wrong_state(
                    "another receive is waiting on this connection already",
                ));
            }
            let next = state.next_message(env);
            let registered = matches!(next, Next::Nothing).then(|| waiter.clone().unbind());
            // The replaced reference is the waiter's own or none, so dropping it here frees nothing.
            drop(state.set_receiver(registered));
            Ok(next)
        })??;
        match next {
            Next::Message(message) => {
                Self::follow_up_if_needed(slf)?;
                Ok(Some(message))
            }
            Next::Nothing => Ok(None),
            Next::Ended => {
                Self::follow_up(slf)?;
                Err(Self::disconnect_error(slf, py))
            }
        }
    }

    #[inline]
    fn follow_up_if_needed(slf: &Bound<'_, Self>) -> PyResult<()> {
        let reactor = slf.get().reactor.get();
        if reactor.is_some_and(|reactor| reactor.get().needs_run(slf.py())) {
            return Self::follow_up(slf);
        }
        Ok(())
    }

    /// Whether the connection's own outbound buffer has room, or `waiter` was registered.
    pub(crate) fn step_drain<'py>(
        slf: &Bound<'py, Self>,
        waiter: &Bound<'py, Awaitable>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        let (has_ended, is_congested) = Self::with(slf, |state, _| {
            let waits = !state.has_ended() && state.is_congested();
            if waits && !state.drainers().iter().any(|drainer| drainer.is(waiter)) {
                state.drainers().push(waiter.clone().unbind());
            }
            (state.has_ended(), state.is_congested())
        })?;
        if has_ended {
            return Err(Self::disconnect_error(slf, py));
        }
        Ok((!is_congested).then(|| py.None().into_bound(py)))
    }

    /// Forget a waiter that gave up.
    pub(crate) fn withdraw(slf: &Bound<'_, Self>, waiter: &Bound<'_, Awaitable>) {
        let mut state = slf.get().state.borrow_mut(slf.py());
        // The caller holds a reference to the waiter, so dropping these frees nothing.
        if state.receiver().is_some_and(|receiver| receiver.is(waiter)) {
            drop(state.set_receiver(None));
        }
        state.drainers().retain(|drainer| !drainer.is(waiter));
    }

    fn disconnect_error(slf: &Bound<'_, Self>, py: Python<'_>) -> PyErr {
        let (code, reason) = {
            let state = slf.get().state.borrow_mut(py);
            (state.close_code(), state.close_reason().to_owned())
        };
        errors::disconnect(py, code.unwrap_or(1006), &reason)
    }

    // ── sending ───────────────────────────────────────────────────────────────────────────────────────────────────

    #[inline]
    fn send_message<'py>(slf: &Bound<'py, Self>, opcode: Opcode, payload: &Payload<'_, 'py>) -> Awaited<'py> {
        let sent = Self::with(slf, |state, env| {
            let is_clear = state.phase == Phase::Open
                && !state.is_congested()
                && !state.would_overflow(env.options, payload.as_bytes().len());
            if is_clear {
                state.push(env, opcode, payload);
            }
            is_clear
        })?;
        if !sent {
            return Self::send_with_care(slf, opcode, payload);
        }
        Self::follow_up(slf)?;
        Awaitable::completed(slf.py())
    }

    /// A send on a connection that is not open, or whose peer reads too slowly.
    #[cold]
    fn send_with_care<'py>(
        slf: &Bound<'py, Self>,
        opcode: Opcode,
        payload: &Payload<'_, 'py>,
    ) -> Awaited<'py> {
        let py = slf.py();
        let is_own = Self::is_own_handler(slf)?;
        let phase = slf.get().state.borrow_mut(py).phase;
        match phase {
            Phase::Opening => {
                let error = errors::wrong_state("cannot send before accept(): the connection is CONNECTING");
                return Awaitable::failed(py, error);
            }
            Phase::Open => {}
            _ if is_own && !slf.get().state.borrow_mut(py).is_catching_up() => {
                return Awaitable::failed(py, Self::disconnect_error(slf, py))
            }
            _ => return Awaitable::completed(py),
        }
        Self::with_follow_up(slf, |state, env| {
            // The own handler waits before its next send, so a single message of any size may pass; what it sends from
            // several tasks at once is bounded as everybody's.
            let must_fit = !is_own || state.has_own_send_waiting();
            if must_fit {
                state.push_or_close(env, opcode, payload);
            } else {
                state.push(env, opcode, payload);
            }
            state.note_own_send(is_own);
        })?;
        if is_own {
            Ok(Awaitable::on(slf, Operation::Drain, None)?.into_any())
        } else {
            Awaitable::completed(py)
        }
    }

    /// Queue a message for a peer from elsewhere than its own handler: never waits and never raises for the peer's
    /// sake. False if it is not open, or was just closed for being too slow. Runs no Python code; `follow_up` must.
    #[inline]
    pub(crate) fn deliver(
        slf: &Bound<'_, Self>,
        opcode: Opcode,
        payload: &Payload<'_, '_>,
    ) -> PyResult<bool> {
        Self::with(slf, |state, env| {
            state.phase == Phase::Open && state.push_or_close(env, opcode, payload)
        })
    }

    /// Whether the caller runs in this connection's own handler or in a task started from it.
    fn is_own_handler(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let current = handler_variable(slf.py())?.call_method0("get")?;
        Ok(current.extract::<u64>().is_ok_and(|id| id == slf.get().id))
    }

    fn receive_as<'py>(slf: &Bound<'py, Self>, operation: Operation) -> Awaited<'py> {
        Ok(Awaitable::on(slf, operation, None)?.into_any())
    }

    fn iterate(slf: &Bound<'_, Self>, operation: Operation, decoder: Option<Py<PyAny>>) -> MessageIterator {
        MessageIterator::new(slf.clone().unbind(), operation, decoder)
    }

    // ── opening handshake ─────────────────────────────────────────────────────────────────────────────────────────

    /// Run a step that answers the opening handshake; what keeps it from that is raised when it is awaited.
    fn answer<'py>(
        slf: &Bound<'py, Self>,
        verb: &str,
        step: impl FnOnce(&mut State, &mut Env<'_, '_>),
    ) -> Awaited<'py> {
        let py = slf.py();
        let phase = slf.get().state.borrow_mut(py).phase;
        match phase {
            Phase::Opening => {
                Self::with_follow_up(slf, step)?;
                Awaitable::completed(py)
            }
            Phase::Open => Awaitable::failed(
                py,
                errors::wrong_state(format!("cannot {verb}(): the opening handshake was answered already, the connection is CONNECTED")),
            ),
            _ => Awaitable::failed(py, Self::disconnect_error(slf, py)),
        }
    }

    fn acceptance(
        &self,
        py: Python<'_>,
        subprotocol: Option<&str>,
        headers: &[(String, String)],
        compression: Option<Wishes>,
    ) -> PyResult<Acceptance> {
        let headers: Vec<(&str, &str)> = borrow_pairs(headers);
        let state = self.state.borrow_mut(py);
        Acceptance::new(state.head(), subprotocol, &headers, compression.map(Config::from))
            .map_err(|error| errors::bad_header(&error))
    }
}

fn borrow_pairs(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    pairs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// The context variable that holds the id of the connection whose handler runs; 0 elsewhere.
fn handler_variable(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static VARIABLE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let variable = VARIABLE.get_or_try_init(py, || {
        let options = PyDict::new(py);
        options.set_item("default", 0_u64)?;
        let class = py.import("contextvars")?.getattr("ContextVar")?;
        Ok::<_, PyErr>(class.call(("django_bolt_connection",), Some(&options))?.unbind())
    })?;
    Ok(variable.bind(py).clone())
}
