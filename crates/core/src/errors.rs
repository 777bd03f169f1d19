//! The one place that turns what went wrong here into Python exceptions.

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

const MODULE: &str = "django_bolt.exceptions";

fn class<'py>(py: Python<'py>, cell: &PyOnceLock<Py<PyType>>, name: &str) -> PyResult<Bound<'py, PyType>> {
    cell.import(py, MODULE, name).cloned()
}

fn or_import_error(result: PyResult<Bound<'_, PyAny>>) -> PyErr {
    result.map_or_else(|error| error, PyErr::from_value)
}

/// WebSocketDisconnect(code, reason): the connection has ended.
pub(crate) fn disconnect(py: Python<'_>, code: u16, reason: &str) -> PyErr {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    or_import_error(class(py, &CLASS, "WebSocketDisconnect").and_then(|class| class.call1((code, reason))))
}

/// UnsupportedData(expected, got): a text message where binary was asked for, or the reverse.
pub(crate) fn unsupported_data(py: Python<'_>, expected: &str, got: &str) -> PyErr {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    or_import_error(class(py, &CLASS, "UnsupportedData").and_then(|class| class.call1((expected, got))))
}

/// RuntimeError: a call that the connection's state does not allow.
pub(crate) fn wrong_state(message: impl Into<String>) -> PyErr {
    PyRuntimeError::new_err(message.into())
}

/// PanicException: a bug of this crate.
pub(crate) fn panicked() -> PyErr {
    pyo3::panic::PanicException::new_err("the native core panicked")
}

/// ValueError for a response header field that would break the response.
pub(crate) fn bad_header(error: &django_bolt_protocol::handshake::BadHeader) -> PyErr {
    PyValueError::new_err(error.to_string())
}
