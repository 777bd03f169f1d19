//! What `receive_*` and `send_*` return: real awaitables that complete without a turn of the loop where they can.
//!
//! A receive or a send that must wait hands *itself* to the task as a Future-like object
//! (`_asyncio_future_blocking`, `add_done_callback`, `get_loop`, `cancel`, `result`), and the reactor runs the task's
//! wake-up from inside its batch, in the task's own context.
//!
//! ```text
//!  New ──step: nothing there──► Waiting ──wake──► Woken ──step──► Finished
//!   └────step: it is there─────────────────────────────────────────►┘
//!                                  └──cancel()──► Cancelled ──throw──►┘
//! ```
//!
//! A message is taken from the connection in the step that returns it, never before, so that a cancelled receive
//! loses none.

mod iterator;
mod slots;

use pyo3::exceptions::{PyRuntimeError, PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};

use crate::connection::Connection;
use crate::errors;
use crate::gil_cell::GilCell;
pub(crate) use iterator::MessageIterator;
pub(crate) use slots::install_slots;

/// What is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A send that was done at once.
    Completed,
    /// A send that cannot be done; the error comes when it is awaited.
    Failed,
    /// Room in the connection's own outbound buffer.
    Drain,
    Receive,
    ReceiveText,
    ReceiveBytes,
    ReceiveDecoded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    New,
    Waiting,
    Woken,
    Cancelled,
    Finished,
}

struct Inner {
    stage: Stage,
    /// `_asyncio_future_blocking`: set when yielded to a task, cleared by the task.
    blocking: bool,
    error: Option<PyErr>,
    /// What a cancellation was given to say.
    cancel_message: Option<Py<PyAny>>,
    /// The task's wake-up and its context.
    callback: Option<(Py<PyAny>, Option<Py<PyAny>>)>,
}

#[pyclass(frozen, module = "django_bolt._core", name = "_Awaitable")]
pub(crate) struct Awaitable {
    operation: Operation,
    connection: Option<Py<Connection>>,
    decoder: Option<Py<PyAny>>,
    inner: GilCell<Inner>,
}

impl Awaitable {
    fn new(operation: Operation, connection: Option<Py<Connection>>, decoder: Option<Py<PyAny>>) -> Self {
        let inner = Inner {
            stage: Stage::New,
            blocking: false,
            error: None,
            cancel_message: None,
            callback: None,
        };
        Self {
            operation,
            connection,
            decoder,
            inner: GilCell::new(inner),
        }
    }

    /// The awaitable of everything that is done already; one for all.
    #[inline]
    pub(crate) fn completed(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        static COMPLETED: PyOnceLock<Py<Awaitable>> = PyOnceLock::new();
        let completed = COMPLETED.get_or_try_init(py, || {
            let completed = Py::new(py, Self::new(Operation::Completed, None, None))?;
            slots::set_completed(&completed);
            Ok::<_, PyErr>(completed)
        })?;
        Ok(completed.bind(py).clone().into_any())
    }

    /// An awaitable that raises when it is awaited.
    pub(crate) fn failed(py: Python<'_>, error: PyErr) -> PyResult<Bound<'_, PyAny>> {
        let awaitable = Self::new(Operation::Failed, None, None);
        awaitable.inner.borrow_mut(py).error = Some(error);
        Ok(Bound::new(py, awaitable)?.into_any())
    }

    /// An operation on a connection.
    #[inline]
    pub(crate) fn on<'py>(
        connection: &Bound<'py, Connection>,
        operation: Operation,
        decoder: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, Self>> {
        Bound::new(
            connection.py(),
            Self::new(operation, Some(connection.clone().unbind()), decoder),
        )
    }

    /// Make a finished awaitable new again, if only the caller holds it.
    #[inline]
    fn recycle(slf: &Bound<'_, Self>) -> bool {
        let mut inner = slf.get().inner.borrow_mut(slf.py());
        let is_free = inner.stage == Stage::Finished && slots::is_unshared(slf);
        if is_free {
            inner.stage = Stage::New;
        }
        is_free
    }

    /// Run once: the result, or None if it must wait.
    #[inline]
    fn step<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        let this = slf.get();
        let Some(connection) = &this.connection else {
            let error = this.inner.borrow_mut(py).error.take();
            return error.map_or_else(|| Ok(Some(py.None().into_bound(py))), Err);
        };
        this.check_unused(py)?;
        let connection = connection.bind(py);
        let outcome = match this.operation {
            Operation::Drain => Connection::step_drain(connection, slf),
            _ => this.step_receive(connection, slf),
        };
        let mut inner = this.inner.borrow_mut(py);
        if let Ok(None) = outcome {
            inner.stage = Stage::Waiting;
            inner.blocking = true;
        } else {
            inner.stage = Stage::Finished;
        }
        outcome
    }

    #[inline]
    fn check_unused(&self, py: Python<'_>) -> PyResult<()> {
        let problem = match self.inner.borrow_mut(py).stage {
            Stage::New | Stage::Woken => return Ok(()),
            Stage::Waiting | Stage::Cancelled => "a task waits for this receive or send already",
            Stage::Finished => "cannot reuse an already awaited receive or send",
        };
        Err(PyRuntimeError::new_err(problem))
    }

    #[inline]
    fn step_receive<'py>(
        &self,
        connection: &Bound<'py, Connection>,
        slf: &Bound<'py, Self>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        let Some(message) = Connection::step_receive(connection, slf)? else {
            return Ok(None);
        };
        let object = message.object.into_bound(py);
        match (self.operation, message.binary) {
            (Operation::ReceiveText, true) => Err(errors::unsupported_data(py, "text", "binary")),
            (Operation::ReceiveBytes, false) => Err(errors::unsupported_data(py, "binary", "text")),
            _ => match &self.decoder {
                Some(decoder) => decode(decoder.bind(py), object).map(Some),
                None => Ok(Some(object)),
            },
        }
    }

    /// Have the loop run the wake-up of the task that waits, in its next turn: for callers that are tasks themselves.
    pub(crate) fn wake_soon(slf: &Bound<'_, Self>) -> PyResult<()> {
        match Self::take_callback(slf, Stage::Woken) {
            Some((callback, context)) => Self::call_soon(slf, callback, context),
            None => Ok(()),
        }
    }

    fn call_soon(slf: &Bound<'_, Self>, callback: Py<PyAny>, context: Option<Py<PyAny>>) -> PyResult<()> {
        let py = slf.py();
        let options = PyDict::new(py);
        options.set_item("context", context)?;
        let arguments = (callback, slf);
        slf.get()
            .event_loop(py)?
            .call_method("call_soon", arguments, Some(&options))
            .map(drop)
    }

    /// Leave the stage of waiting for another one; returns the wake-up of the task, once.
    fn take_callback(slf: &Bound<'_, Self>, next: Stage) -> Option<(Py<PyAny>, Option<Py<PyAny>>)> {
        let mut inner = slf.get().inner.borrow_mut(slf.py());
        if inner.stage != Stage::Waiting {
            return None;
        }
        inner.stage = next;
        inner.callback.take()
    }

    /// Run the wake-up of the task that waits, in its own context.
    ///
    /// # Errors
    ///
    /// Only what must end the loop: asyncio catches the rest.
    pub(crate) fn wake(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        match Self::take_callback(slf, Stage::Woken) {
            Some((callback, context)) => {
                let context = context.as_ref().map(|context| context.bind(py));
                slots::run_in_context(callback.bind(py), context, slf.as_any())
            }
            None => Ok(()),
        }
    }

    /// Leave the connection's lists of those who wait.
    fn withdraw(slf: &Bound<'_, Self>) {
        if let Some(connection) = &slf.get().connection {
            Connection::withdraw(connection.bind(slf.py()), slf);
        }
    }

    /// Finish without a result; returns what to drop outside the borrow.
    fn finish(slf: &Bound<'_, Self>) {
        let callback = {
            let mut inner = slf.get().inner.borrow_mut(slf.py());
            inner.stage = Stage::Finished;
            inner.callback.take()
        };
        drop(callback);
        if slf.get().operation != Operation::Completed {
            Self::withdraw(slf);
        }
    }

    fn event_loop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let connection = self
            .connection
            .as_ref()
            .ok_or_else(|| PyRuntimeError::new_err("nothing is awaited"))?;
        Connection::event_loop(connection.bind(py))
    }
}

#[pymethods]
impl Awaitable {
    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        match Self::step(slf)? {
            None => Ok(slf.clone().into_any()),
            Some(value) => Err(stop_iteration(&value)),
        }
    }

    fn send<'py>(slf: &Bound<'py, Self>, _value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        Self::__next__(slf)
    }

    #[pyo3(signature = (kind, value=None, _traceback=None))]
    fn throw<'py>(
        slf: &Bound<'py, Self>,
        kind: Bound<'py, PyAny>,
        value: Option<Bound<'py, PyAny>>,
        _traceback: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Self::finish(slf);
        let exception = match value {
            Some(value) if value.is_instance_of::<pyo3::exceptions::PyBaseException>() => value,
            Some(value) if !value.is_none() => kind.call1((value,))?,
            _ if kind.is_instance_of::<PyType>() => kind.call0()?,
            _ => kind,
        };
        if !exception.is_instance_of::<pyo3::exceptions::PyBaseException>() {
            return Err(PyTypeError::new_err(
                "exceptions must be classes or instances deriving from BaseException",
            ));
        }
        Err(PyErr::from_value(exception))
    }

    fn close(slf: &Bound<'_, Self>) {
        Self::finish(slf);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.connection)?;
        visit.call(&self.decoder)?;
        if let Some(inner) = self.inner.try_borrow_in_collector() {
            visit.call(&inner.cancel_message)?;
            if let Some((callback, context)) = &inner.callback {
                visit.call(callback)?;
                visit.call(context)?;
            }
        }
        Ok(())
    }

    // ── as a Future, while a task waits for it ────────────────────────────────────────────────────────────────────

    /// None while no task waits, so that asyncio takes it for the coroutine that it is.
    #[getter]
    fn _asyncio_future_blocking(&self, py: Python<'_>) -> Option<bool> {
        let inner = self.inner.borrow_mut(py);
        matches!(inner.stage, Stage::Waiting | Stage::Woken | Stage::Cancelled).then_some(inner.blocking)
    }

    #[setter(_asyncio_future_blocking)]
    fn set_asyncio_future_blocking(&self, py: Python<'_>, value: bool) {
        self.inner.borrow_mut(py).blocking = value;
    }

    fn get_loop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.event_loop(py)
    }

    #[pyo3(signature = (callback, *, context=None))]
    fn add_done_callback(
        slf: &Bound<'_, Self>,
        callback: Py<PyAny>,
        context: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let before = {
            let mut inner = slf.get().inner.borrow_mut(py);
            if inner.callback.is_some() {
                return Err(PyRuntimeError::new_err(
                    "only one task can wait for a receive or send",
                ));
            }
            if inner.stage != Stage::Waiting {
                drop(inner);
                return Self::call_soon(slf, callback, context);
            }
            inner.callback.replace((callback, context))
        };
        drop(before);
        Ok(())
    }

    fn remove_done_callback(&self, py: Python<'_>, callback: &Bound<'_, PyAny>) -> PyResult<usize> {
        let candidate = self.inner.borrow_mut(py).callback.take();
        let Some((registered, context)) = candidate else {
            return Ok(0);
        };
        if registered.bind(py).eq(callback)? {
            return Ok(1);
        }
        self.inner.borrow_mut(py).callback = Some((registered, context));
        Ok(0)
    }

    /// Have the waiting task raise CancelledError in the loop's next turn.
    #[pyo3(signature = (msg=None))]
    fn cancel(slf: &Bound<'_, Self>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        let py = slf.py();
        let callback = {
            let mut inner = slf.get().inner.borrow_mut(py);
            if inner.stage != Stage::Waiting {
                return Ok(false);
            }
            inner.stage = Stage::Cancelled;
            inner.cancel_message = msg; // the first: a stage is cancelled once
            inner.callback.take()
        };
        Self::withdraw(slf);
        if let Some((callback, context)) = callback {
            Self::call_soon(slf, callback, context)?;
        }
        Ok(true)
    }

    fn cancelled(&self, py: Python<'_>) -> bool {
        self.inner.borrow_mut(py).stage == Stage::Cancelled
    }

    fn done(&self, py: Python<'_>) -> bool {
        matches!(
            self.inner.borrow_mut(py).stage,
            Stage::Woken | Stage::Cancelled | Stage::Finished
        )
    }

    /// None: the value itself comes from the step that follows.
    fn result(&self, py: Python<'_>) -> PyResult<()> {
        let message = {
            let inner = self.inner.borrow_mut(py);
            if inner.stage != Stage::Cancelled {
                return Ok(());
            }
            inner.cancel_message.as_ref().map(|message| message.clone_ref(py))
        };
        static CANCELLED: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        let class = CANCELLED.import(py, "asyncio", "CancelledError")?;
        let error = match message {
            Some(message) => class.call1((message,))?,
            None => class.call0()?,
        };
        Err(PyErr::from_value(error))
    }
}

/// Call a decoder; a StopIteration that it raises must not pass for its result (PEP 479).
fn decode<'py>(decoder: &Bound<'py, PyAny>, message: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = decoder.py();
    decoder.call1((message,)).map_err(|error| {
        if !error.is_instance_of::<PyStopIteration>(py) {
            return error;
        }
        let wrapped = PyRuntimeError::new_err("the decoder raised StopIteration");
        wrapped.set_cause(py, Some(error));
        wrapped
    })
}

fn stop_iteration(value: &Bound<'_, PyAny>) -> PyErr {
    // A tuple as the only argument would be spread into several; wrapped, it stays one.
    match PyTuple::new(value.py(), [value]) {
        Ok(arguments) => PyStopIteration::new_err(arguments.unbind()),
        Err(error) => error,
    }
}
