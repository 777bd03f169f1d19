//! The `Connection` class: what Python sees of one WebSocket. The stub documents each method.

mod closing;
mod compressing;
mod heartbeat;
mod inbound;
mod rate;
mod receiving;
mod sending;
mod state;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::OnceLock;

use django_bolt_protocol::close::{is_sendable, MAX_REASON};
use django_bolt_protocol::deflate::Config;
use django_bolt_protocol::frame::Opcode;
use django_bolt_protocol::handshake::{self, Head};
use pyo3::exceptions::{PyTypeError, PyUnicodeDecodeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyString};
use pyo3::{PyTraverseError, PyVisit};

use crate::awaitable::{Awaitable, MessageIterator, Operation};
use crate::compression::Wishes;
use crate::errors;
use crate::gil_cell::GilCell;
use crate::hub::Hub;
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

/// The text of a header value: Latin-1, which mostly is ASCII.
fn latin1(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => text.to_owned(),
        _ => bytes.iter().copied().map(char::from).collect(),
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

fn address(address: Option<SocketAddr>) -> Option<(String, u16)> {
    address.map(|address| (address.ip().to_canonical().to_string(), address.port()))
}

fn check_close(code: u16, reason: &str) -> PyResult<()> {
    if !is_sendable(code) {
        return Err(PyValueError::new_err(format!(
            "close code {code} may not be sent: use 1000 to 1003, 1007 to 1014, or 3000 to 4999 (RFC 6455, section 7.4)"
        )));
    }
    if reason.len() > MAX_REASON {
        return Err(PyValueError::new_err(format!(
            "the close reason is {} bytes of UTF-8; at most {MAX_REASON} fit (RFC 6455, section 5.5)",
            reason.len()
        )));
    }
    Ok(())
}

#[pymethods]
impl Connection {
    #[new]
    fn new() -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Self {
            id,
            reactor: OnceLock::new(),
            state: GilCell::new(State::detached()),
        }
    }

    #[getter]
    #[pyo3(name = "id")]
    fn get_id(&self) -> u64 {
        self.id
    }

    #[getter]
    fn hub<'py>(&self, py: Python<'py>) -> Option<Bound<'py, Hub>> {
        Some(self.reactor.get()?.get().hub(py)?.clone())
    }

    #[getter]
    fn ready_state(&self, py: Python<'_>) -> u8 {
        match self.state.borrow_mut(py).phase {
            Phase::Opening => 0,
            Phase::Open => 1,
            _ => 2,
        }
    }

    #[getter]
    fn target(&self, py: Python<'_>) -> String {
        match handshake::parse_head(self.state.borrow_mut(py).head(), usize::MAX) {
            Head::WebSocket(upgrade) => upgrade.target.to_owned(),
            _ => String::new(), // not made by a reactor
        }
    }

    #[getter]
    fn raw_headers(&self, py: Python<'_>) -> Vec<(String, String)> {
        let state = self.state.borrow_mut(py);
        handshake::header_fields(state.head())
            .into_iter()
            .map(|(name, value)| (name, latin1(value)))
            .collect()
    }

    fn header_values(&self, py: Python<'_>, name: &str) -> Vec<String> {
        let state = self.state.borrow_mut(py);
        let values = handshake::header_values(state.head(), name);
        values.into_iter().map(latin1).collect()
    }

    #[getter]
    fn peer(&self, py: Python<'_>) -> Option<(String, u16)> {
        address(self.state.borrow_mut(py).peer())
    }

    #[getter]
    fn is_secure(&self, py: Python<'_>) -> bool {
        self.state.borrow_mut(py).is_secure()
    }

    #[getter]
    fn server(&self, py: Python<'_>) -> Option<(String, u16)> {
        address(self.state.borrow_mut(py).local_address())
    }

    #[getter]
    fn close_code(&self, py: Python<'_>) -> Option<u16> {
        self.state.borrow_mut(py).close_code()
    }

    #[getter]
    fn close_reason(&self, py: Python<'_>) -> String {
        self.state.borrow_mut(py).close_reason().to_owned()
    }

    #[getter]
    fn buffered_amount(&self, py: Python<'_>) -> usize {
        self.state.borrow_mut(py).buffered()
    }

    #[pyo3(signature = (subprotocol, headers, compression=None))]
    fn accept_handshake<'py>(
        slf: &Bound<'py, Self>,
        subprotocol: Option<&str>,
        headers: Vec<(String, String)>,
        compression: Option<Wishes>,
    ) -> Awaited<'py> {
        let acceptance = slf
            .get()
            .acceptance(slf.py(), subprotocol, &headers, compression)?;
        Self::answer(slf, "accept", |state, env| state.accept(env, acceptance))
    }

    fn reject_handshake<'py>(
        slf: &Bound<'py, Self>,
        status: u16,
        headers: Vec<(String, String)>,
        body: &[u8],
    ) -> Awaited<'py> {
        if !(200..600).contains(&status) {
            return Err(PyValueError::new_err(format!(
                "a rejection's status must be 200 to 599, not {status}"
            )));
        }
        let mut response = Vec::new();
        handshake::write_response(&mut response, status, &borrow_pairs(&headers), body)
            .map_err(|error| errors::bad_header(&error))?;
        Self::answer(slf, "reject", |state, env| state.reject(env, &response))
    }

    #[pyo3(signature = (code=1000, reason=""))]
    fn close<'py>(slf: &Bound<'py, Self>, code: u16, reason: &str) -> Awaited<'py> {
        let py = slf.py();
        check_close(code, reason)?;
        Self::with_follow_up(slf, |state, env| match state.phase {
            Phase::Opening => state.accept_and_close(env, code, reason),
            Phase::Open => state.close(env, code, reason, false),
            _ => {}
        })?;
        Awaitable::completed(py)
    }

    #[pyo3(signature = (code, reason=""))]
    fn fail(slf: &Bound<'_, Self>, code: u16, reason: &str) -> PyResult<()> {
        check_close(code, reason)?;
        Self::with_follow_up(slf, |state, env| match state.phase {
            Phase::Open => state.close(env, code, reason, true),
            Phase::Opening => state.finish(env),
            _ => {}
        })
    }

    fn send<'py>(slf: &Bound<'py, Self>, data: &Bound<'py, PyAny>) -> Awaited<'py> {
        if let Ok(text) = data.cast::<PyString>() {
            return Self::send_message(slf, Opcode::Text, &Payload::from_text(text)?);
        }
        Self::send_message(slf, Opcode::Binary, &Payload::from_bytes_like(data)?)
    }

    #[inline]
    fn send_text<'py>(slf: &Bound<'py, Self>, text: &Bound<'py, PyAny>) -> Awaited<'py> {
        let text = text.cast::<PyString>().map_err(|_| {
            let name = text
                .get_type()
                .name()
                .map_or_else(|_| "?".to_owned(), |name| name.to_string());
            PyTypeError::new_err(format!("a text message must be str, not {name}"))
        })?;
        Self::send_message(slf, Opcode::Text, &Payload::from_text(text)?)
    }

    #[inline]
    fn send_bytes<'py>(slf: &Bound<'py, Self>, data: &Bound<'py, PyAny>) -> Awaited<'py> {
        if data.is_instance_of::<PyString>() {
            return Err(PyTypeError::new_err(
                "a binary message must be bytes, bytearray or memoryview, not str",
            ));
        }
        Self::send_message(slf, Opcode::Binary, &Payload::from_bytes_like(data)?)
    }

    fn send_encoded<'py>(slf: &Bound<'py, Self>, data: &Bound<'py, PyBytes>) -> Awaited<'py> {
        if let Err(error) = std::str::from_utf8(data.as_bytes()) {
            return Err(PyErr::from_value(
                PyUnicodeDecodeError::new_utf8(slf.py(), data.as_bytes(), error)?.into_any(),
            ));
        }
        Self::send_message(slf, Opcode::Text, &Payload::from_bytes_like(data.as_any())?)
    }

    fn receive<'py>(slf: &Bound<'py, Self>) -> Awaited<'py> {
        Self::receive_as(slf, Operation::Receive)
    }

    fn receive_text<'py>(slf: &Bound<'py, Self>) -> Awaited<'py> {
        Self::receive_as(slf, Operation::ReceiveText)
    }

    fn receive_bytes<'py>(slf: &Bound<'py, Self>) -> Awaited<'py> {
        Self::receive_as(slf, Operation::ReceiveBytes)
    }

    fn receive_decoded<'py>(slf: &Bound<'py, Self>, decoder: Py<PyAny>) -> Awaited<'py> {
        Ok(Awaitable::on(slf, Operation::ReceiveDecoded, Some(decoder))?.into_any())
    }

    fn iter_text(slf: &Bound<'_, Self>) -> MessageIterator {
        Self::iterate(slf, Operation::ReceiveText, None)
    }

    fn iter_bytes(slf: &Bound<'_, Self>) -> MessageIterator {
        Self::iterate(slf, Operation::ReceiveBytes, None)
    }

    fn iter_decoded(slf: &Bound<'_, Self>, decoder: Py<PyAny>) -> MessageIterator {
        Self::iterate(slf, Operation::ReceiveDecoded, Some(decoder))
    }

    fn __aiter__(slf: &Bound<'_, Self>) -> MessageIterator {
        Self::iterate(slf, Operation::Receive, None)
    }

    fn attach_task(slf: &Bound<'_, Self>, task: Py<PyAny>) -> PyResult<()> {
        Self::replace_task(slf, Some(task))
    }

    fn detach_task(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::replace_task(slf, None)
    }

    fn enter_handler(&self, py: Python<'_>) -> PyResult<()> {
        handler_variable(py)?.call_method1("set", (self.id,)).map(drop)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some(state) = self.state.try_borrow_in_collector() {
            visit.call(state.task())?;
            visit.call(state.receiver())?;
            for drainer in state.waiting_drainers() {
                visit.call(drainer)?;
            }
        }
        Ok(())
    }
}

impl Connection {
    fn replace_task(slf: &Bound<'_, Self>, task: Option<Py<PyAny>>) -> PyResult<()> {
        let before = Self::with_follow_up(slf, |state, env| state.set_task(env, task))?;
        drop(before);
        Ok(())
    }
}
