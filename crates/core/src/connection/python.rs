//! What Python calls: the methods and properties of the `Connection` class. The stub documents each.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::OnceLock;

use django_bolt_protocol::close::{is_sendable, MAX_REASON};
use django_bolt_protocol::frame::Opcode;
use django_bolt_protocol::handshake::{self, Head};
use pyo3::exceptions::{PyTypeError, PyUnicodeDecodeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use pyo3::{PyTraverseError, PyVisit};

use super::state::{Phase, State};
use super::{borrow_pairs, handler_variable, Awaited, Connection};
use crate::awaitable::{Awaitable, MessageIterator, Operation};
use crate::compression::Wishes;
use crate::errors;
use crate::gil_cell::GilCell;
use crate::hub::Hub;
use crate::payload::Payload;

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

/// The text of a header value: Latin-1, which mostly is ASCII.
fn latin1(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => text.to_owned(),
        _ => bytes.iter().copied().map(char::from).collect(),
    }
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
