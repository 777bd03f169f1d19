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

    #[inline]
    fn __anext__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Awaitable>> {
        let last = self.last.borrow_mut(py);
        if let Some(last) = last.as_ref().map(|last| last.bind(py)) {
            if Awaitable::recycle(last) {
                return Ok(last.clone());
            }
        }
        drop(last);
        let decoder = self.decoder.as_ref().map(|decoder| decoder.clone_ref(py));
        let awaitable = Awaitable::on(self.connection.bind(py), self.operation, decoder)?;
        let before = self.last.borrow_mut(py).replace(awaitable.clone().unbind());
        drop(before);
        Ok(awaitable)
    }
}
