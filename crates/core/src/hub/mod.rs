//! The `Hub` class: topics of this process, and the way of a publication to their subscribers.
//!
//! A publication is encoded once and queued for each subscriber without a Python call; a subscription with a callback
//! is the exception. The stub documents each method.

mod delivery;
mod topics;

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use crate::connection::Connection;
use crate::gil_cell::GilCell;
use delivery::Publication;
use topics::{Removed, Topic, Topics};

#[pyclass(subclass, frozen, module = "django_bolt._core")]
pub(crate) struct Hub {
    topics: GilCell<Topics>,
    /// A reactor has it.
    is_taken: AtomicBool,
}

impl Hub {
    /// Give the hub to a reactor.
    ///
    /// # Errors
    ///
    /// RuntimeError if another has it.
    pub(crate) fn take(&self) -> PyResult<()> {
        if self.is_taken.swap(true, Ordering::Relaxed) {
            return Err(PyRuntimeError::new_err("another reactor has this hub"));
        }
        Ok(())
    }

    /// End the subscriptions of a connection that is over.
    pub(crate) fn forget(slf: &Bound<'_, Self>, connection: u64) -> PyResult<()> {
        let mut removed = Removed::default();
        slf.get()
            .topics
            .borrow_mut(slf.py())
            .remove_connection(connection, &mut removed);
        Self::tell_emptied(slf, &removed)
    }

    /// Forget every subscription, and tell nobody.
    pub(crate) fn clear(&self, py: Python<'_>) {
        let topics = std::mem::take(&mut *self.topics.borrow_mut(py));
        drop(topics);
    }

    fn tell_emptied(slf: &Bound<'_, Self>, removed: &Removed) -> PyResult<()> {
        for topic in &removed.emptied {
            slf.call_method1("interest_changed", (&**topic, false))?;
        }
        Ok(())
    }
}

#[pymethods]
impl Hub {
    #[new]
    #[pyo3(signature = (*_arguments, **_options))]
    fn new(_arguments: &Bound<'_, PyTuple>, _options: Option<&Bound<'_, PyDict>>) -> Self {
        Self {
            topics: GilCell::new(Topics::default()),
            is_taken: AtomicBool::new(false),
        }
    }

    #[pyo3(signature = (topic, wanted))]
    #[expect(unused_variables, reason = "for subclasses")]
    fn interest_changed(&self, topic: &str, wanted: bool) {}

    #[pyo3(signature = (connection, topic, callback=None))]
    fn subscribe(
        slf: &Bound<'_, Self>,
        connection: &Bound<'_, Connection>,
        topic: &str,
        callback: Option<Py<PyAny>>,
    ) -> PyResult<bool> {
        Connection::require_not_ended(connection)?;
        let mut removed = Removed::default();
        let added = slf
            .get()
            .topics
            .borrow_mut(slf.py())
            .add(topic, connection, callback, &mut removed);
        if added.is_first {
            slf.call_method1("interest_changed", (topic, true))?;
        }
        Ok(added.is_new)
    }

    fn unsubscribe(slf: &Bound<'_, Self>, connection: &Bound<'_, Connection>, topic: &str) -> PyResult<()> {
        let mut removed = Removed::default();
        slf.get()
            .topics
            .borrow_mut(slf.py())
            .remove(topic, connection.get().id(), &mut removed);
        Self::tell_emptied(slf, &removed)
    }

    #[pyo3(signature = (topic, data, is_text, exclude=0))]
    fn publish(
        slf: &Bound<'_, Self>,
        topic: &str,
        data: &Bound<'_, PyBytes>,
        is_text: bool,
        exclude: u64,
    ) -> PyResult<usize> {
        Publication::new(data, is_text, exclude)?.deliver(slf, topic)
    }

    fn members(&self, py: Python<'_>, topic: &str) -> Vec<Py<Connection>> {
        let topics = self.topics.borrow_mut(py);
        let members = topics.get(topic).map_or(&[][..], Topic::members);
        members.iter().map(|member| member.clone_ref(py)).collect()
    }

    fn count(&self, py: Python<'_>, topic: &str) -> usize {
        delivery::count(py, &self.topics.borrow_mut(py), topic)
    }

    fn topics(&self, py: Python<'_>) -> Vec<String> {
        self.topics.borrow_mut(py).names()
    }

    fn topics_of(&self, py: Python<'_>, connection: &Bound<'_, Connection>) -> Vec<String> {
        self.topics.borrow_mut(py).names_of(connection.get().id())
    }

    fn subscriptions(&self, py: Python<'_>, connection: &Bound<'_, Connection>) -> usize {
        self.topics.borrow_mut(py).count_of(connection.get().id())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some(topics) = self.topics.try_borrow_in_collector() {
            for (members, callbacks) in topics.iter() {
                for member in members {
                    visit.call(member)?;
                }
                for callback in callbacks {
                    visit.call(callback)?;
                }
            }
        }
        Ok(())
    }

    fn __clear__(&self, py: Python<'_>) {
        self.clear(py);
    }
}
