//! Messages received and not yet taken by the handler.

use std::collections::VecDeque;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

/// What a queued message costs besides its payload, in bytes: object headers and queue entry.
const OVERHEAD: usize = 96;

/// A received message as a Python object.
pub(crate) struct Message {
    pub(crate) object: Py<PyAny>,
    pub(crate) binary: bool,
    cost: usize,
}

impl Message {
    // Creating `str` and `bytes` runs no Python code and no collection, so a connection's state may stay borrowed.

    #[inline]
    pub(crate) fn text(py: Python<'_>, text: &str) -> Self {
        Self {
            object: PyString::new(py, text).into_any().unbind(),
            binary: false,
            cost: text.len() + OVERHEAD,
        }
    }

    #[inline]
    pub(crate) fn binary(py: Python<'_>, data: &[u8]) -> Self {
        Self {
            object: PyBytes::new(py, data).into_any().unbind(),
            binary: true,
            cost: data.len() + OVERHEAD,
        }
    }
}

/// Queue with a limit, past which reading pauses until half of it was taken. Nothing is ever dropped for the limit:
/// what one read brings is queued whole.
#[derive(Default)]
pub(crate) struct Inbound {
    messages: VecDeque<Message>,
    cost: usize,
    full: bool,
}

impl Inbound {
    #[inline]
    pub(crate) fn push(&mut self, message: Message, limit: usize) {
        self.cost += message.cost;
        self.full |= self.cost >= limit;
        self.messages.push_back(message);
    }

    /// Take the oldest message.
    #[inline]
    pub(crate) fn pop(&mut self, limit: usize) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.cost -= message.cost;
        if self.full && self.cost <= limit / 2 {
            self.full = false;
        }
        if self.messages.is_empty() && self.messages.capacity() > 32 {
            self.messages = VecDeque::new();
        }
        Some(message)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether reading must pause.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
