//! From a publication to the outbound buffers of its receivers.

use django_bolt_protocol::frame::Opcode;
use pyo3::exceptions::PyUnicodeDecodeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use super::topics::{Topic, Topics};
use super::Hub;
use crate::connection::Connection;
use crate::payload::Payload;
use crate::prefetch::prefetch;

/// Queueing a small message takes a fraction of the time that memory does, so more than one connection is on its way.
const AHEAD: usize = 4;

/// What is sent to each receiver.
pub(super) struct Publication<'a, 'py> {
    opcode: Opcode,
    data: &'a Bound<'py, PyBytes>,
    /// Id of a connection that does not get it; 0 is nobody's.
    exclude: u64,
}

impl<'a, 'py> Publication<'a, 'py> {
    /// A publication of bytes, in a text message or in a binary one.
    ///
    /// # Errors
    ///
    /// UnicodeDecodeError if a text is not UTF-8.
    pub(super) fn new(data: &'a Bound<'py, PyBytes>, is_text: bool, exclude: u64) -> PyResult<Self> {
        if !is_text {
            let opcode = Opcode::Binary;
            return Ok(Self {
                opcode,
                data,
                exclude,
            });
        }
        if let Err(error) = std::str::from_utf8(data.as_bytes()) {
            let error = PyUnicodeDecodeError::new_utf8(data.py(), data.as_bytes(), error)?;
            return Err(PyErr::from_value(error.into_any()));
        }
        let opcode = Opcode::Text;
        Ok(Self {
            opcode,
            data,
            exclude,
        })
    }

    /// The message as a callback gets it.
    fn message(&self) -> PyResult<Bound<'py, PyAny>> {
        match self.opcode {
            Opcode::Text => Ok(PyString::from_bytes(self.data.py(), self.data.as_bytes())?.into_any()),
            _ => Ok(self.data.clone().into_any()),
        }
    }

    /// Queue it for everybody who is subscribed; returns for how many.
    ///
    /// # Errors
    ///
    /// What a callback raises; those that come after it get nothing.
    pub(super) fn deliver(&self, hub: &Bound<'py, Hub>, name: &str) -> PyResult<usize> {
        let (count, last) = match self.deliver_natively(hub, name)? {
            Ok(delivered) => delivered,
            Err(plan) => self.deliver_by_plan(&plan)?,
        };
        // All connections of a hub belong to one reactor.
        if let Some(connection) = last {
            Connection::follow_up(&connection)?;
        }
        Ok(count)
    }

    /// The fast way, on which no Python code runs, so that the topics may stay borrowed; where patterns or callbacks
    /// take part, it returns a plan instead.
    fn deliver_natively(
        &self,
        hub: &Bound<'py, Hub>,
        name: &str,
    ) -> PyResult<Result<Delivered<'py>, Vec<Receiver>>> {
        let py = self.data.py();
        let topics = hub.get().topics.borrow_mut(py);
        let topic = topics.get(name);
        if topics.has_patterns() || topic.is_some_and(Topic::has_callbacks) {
            return Ok(Err(plan(py, &topics, name)));
        }
        let (mut count, mut last) = (0, None);
        let payload = Payload::from_bytes_like(self.data.as_any())?;
        let members = topic.map_or(&[][..], Topic::members);
        for (index, member) in members.iter().enumerate() {
            if let Some(next) = members.get(index + AHEAD) {
                prefetch(next);
            }
            if member.get().id() != self.exclude {
                let member = member.bind(py);
                count += usize::from(Connection::deliver(member, self.opcode, &payload)?);
                last = Some(member);
            }
        }
        Ok(Ok((count, last.cloned())))
    }

    fn deliver_by_plan(&self, plan: &[Receiver]) -> PyResult<Delivered<'py>> {
        let (mut count, mut last) = (0, None);
        for receiver in plan {
            let connection = receiver.connection.bind(self.data.py());
            if connection.get().id() != self.exclude {
                count += usize::from(self.deliver_to(connection, receiver)?);
                last = Some(connection);
            }
        }
        Ok((count, last.cloned()))
    }

    fn deliver_to(&self, connection: &Bound<'py, Connection>, receiver: &Receiver) -> PyResult<bool> {
        if receiver.is_plain {
            let payload = Payload::from_bytes_like(self.data.as_any())?;
            return Connection::deliver(connection, self.opcode, &payload);
        }
        for callback in &receiver.callbacks {
            let message = callback.bind(self.data.py()).call1((self.message()?,))?;
            if let Ok(text) = message.cast::<PyString>() {
                return Connection::deliver(connection, Opcode::Text, &Payload::from_text(text)?);
            }
            if !message.is_none() {
                let payload = Payload::from_bytes_like(&message)?;
                return Connection::deliver(connection, Opcode::Binary, &payload);
            }
        }
        Ok(false)
    }
}

/// How many connections got a message, and one of those that were tried.
type Delivered<'py> = (usize, Option<Bound<'py, Connection>>);

/// A connection that may get a publication.
struct Receiver {
    connection: Py<Connection>,
    /// It has a subscription without a callback.
    is_plain: bool,
    callbacks: Vec<Py<PyAny>>,
}

/// How many connections are subscribed to a name, by itself or by a pattern.
pub(super) fn count(py: Python<'_>, topics: &Topics, name: &str) -> usize {
    if topics.has_patterns() {
        return plan(py, topics, name).len();
    }
    topics.get(name).map_or(0, |topic| topic.members().len())
}

/// Everybody who is subscribed to a name, by itself or by a pattern, each once.
fn plan(py: Python<'_>, topics: &Topics, name: &str) -> Vec<Receiver> {
    let mut plan: Vec<Receiver> = Vec::new();
    for topic in topics.get(name).into_iter().chain(topics.patterns(name)) {
        plan.extend(topic.members().iter().map(|member| {
            let callback = topic.callback(member.get().id());
            Receiver {
                connection: member.clone_ref(py),
                is_plain: callback.is_none(),
                callbacks: callback
                    .map(|callback| callback.clone_ref(py))
                    .into_iter()
                    .collect(),
            }
        }));
    }
    // Stable, so that the callbacks of one connection keep their order.
    plan.sort_by_key(|receiver| receiver.connection.get().id());
    plan.dedup_by(|next, kept| {
        let is_same = next.connection.is(&kept.connection);
        if is_same {
            kept.is_plain |= next.is_plain;
            kept.callbacks.append(&mut next.callbacks);
        }
        is_same
    });
    plan
}
