//! The asynchronous iterator over a connection's messages.

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::{Awaitable, Operation};
use crate::connection::Connection;
use crate::gil_cell::GilCell;

/// Iterates over the messages of a connection; ends only by WebSocketDisconnect.
#[pyclass(frozen, module = "django_bolt._core", name = "_MessageIterator")]
pub(crate) struct MessageIterator {
    connection: Py<Connection>,
    operation: Operation,
    decoder: Option<Py<PyAny>>,
    /// The awaitable of the last step, used again when nobody else holds it.
    last: GilCell<Option<Py<Awaitable>>>,
}

impl MessageIterator {
    pub(crate) fn new(connection: Py<Connection>, operation: Operation, decoder: Option<Py<PyAny>>) -> Self {
        Self {
            connection,
            operation,
            decoder,
            last: GilCell::new(None),
        }
    }

    /// The awaitable of the last step, if nobody else has it. Gives up no reference.
    #[inline]
    pub(super) fn recycled<'py>(&self, py: Python<'py>) -> Option<Bound<'py, Awaitable>> {
        let last = self.last.borrow_mut(py);
        let last = last.as_ref()?.bind(py);
        Awaitable::recycle(last).then(|| last.clone())
    }

    /// A new awaitable, kept for the next step.
    pub(super) fn fresh<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Awaitable>> {
        let decoder = self.decoder.as_ref().map(|decoder| decoder.clone_ref(py));
        let awaitable = Awaitable::on(self.connection.bind(py), self.operation, decoder)?;
        let before = self.last.borrow_mut(py).replace(awaitable.clone().unbind());
        drop(before);
        Ok(awaitable)
    }
}

#[pymethods]
impl MessageIterator {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.connection)?;
        visit.call(&self.decoder)?;
        if let Some(last) = self.last.try_borrow_in_collector() {
            visit.call(&*last)?;
        }
        Ok(())
    }

    fn __aiter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// In the type that users see, a slot of its own does the same, faster.
    fn __anext__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Awaitable>> {
        match self.recycled(py) {
            Some(awaitable) => Ok(awaitable),
            None => self.fresh(py),
        }
    }
}
