//! One batch: ready sockets, woken handlers, flushed buffers, due timers.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::event::Event;
use pyo3::exceptions::{PyKeyboardInterrupt, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::entries::Entry;
use super::{Reactor, READ_SIZE};
use crate::awaitable::Awaitable;
use crate::connection::{Connection, Expired, Reading};
use crate::errors;
use crate::hub::Hub;
use crate::prefetch::prefetch;

/// Bytes read from one connection before the others have their turn.
const READ_BUDGET: usize = 4 * READ_SIZE;
/// Rounds of flushing and waking in one batch before the loop has its turn.
const MAX_ROUNDS: usize = 16;

/// Says that a batch runs; ends with it, also by a panic, which must not keep all later batches from running.
struct InBatch<'a>(&'a AtomicBool);

impl Drop for InBatch<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Keeps the first error that must end the loop while the rest of a batch is seen to.
#[derive(Default)]
pub(super) struct FirstError(pub(super) Option<PyErr>);

impl FirstError {
    pub(super) fn note(&mut self, result: PyResult<()>) {
        if let Err(error) = result {
            self.0.get_or_insert(error);
        }
    }
}

impl Reactor {
    pub(super) fn run_batch(slf: &Bound<'_, Self>, batch: impl FnOnce(&mut FirstError)) -> PyResult<()> {
        let this = slf.get();
        if this.is_closed.load(Ordering::Relaxed) || this.in_batch.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        this.batch_time.store(this.clock.now(), Ordering::Relaxed);
        let mut first_error = FirstError::default();
        {
            let _in_batch = InBatch(&this.in_batch);
            batch(&mut first_error);
            this.work_off(slf, &mut first_error);
        }
        if !this.is_closed.load(Ordering::Relaxed) {
            first_error.note(Self::set_alarm(slf));
            if this.has_work(slf.py()) || this.has_jobs(slf.py()) {
                first_error.note(Self::request_run(slf));
            }
        }
        first_error.0.map_or(Ok(()), Err)
    }

    pub(super) fn handle_events(&self, slf: &Bound<'_, Self>, first_error: &mut FirstError) {
        let py = slf.py();
        let Some(mut events) = self.events.borrow_mut(py).take() else {
            return;
        };
        let polled = self.poll.borrow_mut(py).poll(&mut events, Some(Duration::ZERO));
        if polled.is_ok() {
            for event in &events {
                // The edges of the other sockets must not be lost to a panic.
                let handled = catch_unwind(AssertUnwindSafe(|| self.handle_event(slf, event)));
                first_error.note(handled.unwrap_or_else(|_| Err(errors::panicked())));
            }
        }
        *self.events.borrow_mut(py) = Some(events);
    }

    #[inline]
    fn handle_event(&self, slf: &Bound<'_, Self>, event: &Event) -> PyResult<()> {
        let py = slf.py();
        let token = event.token().0;
        let connection = match self.entries.borrow_mut(py).get_mut(token) {
            None => return Ok(()),
            Some(Entry::Live(connection)) => Some(connection.clone_ref(py)),
            Some(_) => None,
        };
        match connection {
            Some(connection) => self.handle_connection_event(connection.bind(py), event),
            None => self.handle_other_event(slf, token, event.is_read_closed()),
        }
    }

    #[inline]
    fn handle_connection_event(&self, connection: &Bound<'_, Connection>, event: &Event) -> PyResult<()> {
        let is_readable = event.is_readable() || event.is_read_closed() || event.is_error();
        Connection::with(connection, |state, env| {
            if event.is_writable() {
                state.on_writable();
                state.flush(env);
            }
            if is_readable {
                let is_broken = event.is_write_closed() || event.is_error();
                state.on_readable(env, event.is_read_closed(), is_broken);
            }
        })?;
        if is_readable {
            self.read(connection)?;
        }
        Ok(())
    }

    /// Read what is there, and run the handler after each piece.
    #[inline]
    fn read(&self, connection: &Bound<'_, Connection>) -> PyResult<()> {
        let py = connection.py();
        let mut budget = READ_BUDGET;
        loop {
            let (reading, receiver) = Connection::with(connection, |state, env| {
                let reading = state.read(env, &mut self.buffer.borrow_mut(py));
                (reading, state.take_ready_receiver())
            })?;
            if let Some(receiver) = receiver {
                Awaitable::wake(receiver.bind(py))?;
            }
            let Reading::More(count) = reading else {
                return Ok(());
            };
            budget = budget.saturating_sub(count.max(1));
            if budget == 0 {
                Connection::with(connection, |state, env| state.queue_reading(env))?;
                return Ok(());
            }
        }
    }

    /// Work off the queues: read where an edge has passed already, wake who waits, flush.
    fn work_off(&self, slf: &Bound<'_, Self>, first_error: &mut FirstError) {
        let py = slf.py();
        let ready = std::mem::take(&mut self.queues.borrow_mut(py).ready);
        for connection in ready {
            let connection = connection.bind(py);
            first_error.note(Connection::with(connection, |state, _| state.begin_reading()));
            first_error.note(self.read(connection));
        }
        for _ in 0..MAX_ROUNDS {
            self.wake_all(py, first_error);
            if !self.flush_all(py, first_error) {
                break;
            }
        }
        self.forget_ended(slf, first_error);
        self.collect_timers(py);
        let messages = self.queues.borrow_mut(py).compressions.end_turn();
        drop(messages);
    }

    /// Wake those who wait in the loop's next turn.
    pub(super) fn wake_all_soon(&self, py: Python<'_>, first_error: &mut FirstError) {
        let wakes = std::mem::take(&mut self.queues.borrow_mut(py).wakes);
        for waiter in wakes {
            first_error.note(Awaitable::wake_soon(waiter.bind(py)));
        }
    }

    fn wake_all(&self, py: Python<'_>, first_error: &mut FirstError) {
        for _ in 0..MAX_ROUNDS {
            let wakes = std::mem::take(&mut self.queues.borrow_mut(py).wakes);
            if wakes.is_empty() {
                return;
            }
            for waiter in wakes {
                first_error.note(Awaitable::wake(waiter.bind(py)));
            }
        }
    }

    /// Flush every connection that has something to send; false if there was none.
    fn flush_all(&self, py: Python<'_>, first_error: &mut FirstError) -> bool {
        let mut dirty = std::mem::take(&mut self.queues.borrow_mut(py).dirty);
        if dirty.is_empty() {
            return false;
        }
        for (index, connection) in dirty.iter().enumerate() {
            if let Some(next) = dirty.get(index + 1) {
                prefetch(next); // the system call in between takes longer than memory
            }
            first_error.note(Connection::with(connection.bind(py), |state, env| {
                state.flush(env)
            }));
        }
        dirty.clear();
        let mut queues = self.queues.borrow_mut(py);
        if queues.dirty.is_empty() {
            queues.dirty = dirty; // keep the capacity
        }
        true
    }

    fn forget_ended(&self, slf: &Bound<'_, Self>, first_error: &mut FirstError) {
        let py = slf.py();
        let ended = std::mem::take(&mut self.queues.borrow_mut(py).ended);
        for token in ended {
            let entry = self.entries.borrow_mut(py).remove(token);
            if let (Some(Entry::Live(connection)), Some(hub)) = (&entry, self.hub(py)) {
                first_error.note(Hub::forget(hub, connection.get().id()));
            }
            drop(entry);
        }
        first_error.note(self.resume_accepting(slf));
    }

    pub(super) fn collect_timers(&self, py: Python<'_>) {
        let mut queues = self.queues.borrow_mut(py);
        let mut timers = self.timers.borrow_mut(py);
        for (at, token) in queues.deadlines.drain(..) {
            timers.add(at, token);
        }
    }

    /// Log an exception that came out of what we call, and go on; what must end the loop is passed on.
    pub(super) fn report(&self, py: Python<'_>, error: PyErr, message: &str) -> PyResult<()> {
        if error.is_instance_of::<PyKeyboardInterrupt>(py) || error.is_instance_of::<PySystemExit>(py) {
            return Err(error);
        }
        let context = PyDict::new(py);
        context.set_item("message", message)?;
        context.set_item("exception", error.into_value(py))?;
        self.event_loop
            .bind(py)
            .call_method1("call_exception_handler", (context,))
            .map(drop)
    }
}

impl Reactor {
    /// Have the loop call us when the earliest timer is due.
    fn set_alarm(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let Some(earliest) = this.timers.borrow_mut(py).earliest() else {
            return Ok(());
        };
        let before = {
            let mut alarm = this.alarm.borrow_mut(py);
            if alarm.as_ref().is_some_and(|(at, _)| *at <= earliest) {
                return Ok(());
            }
            alarm.take()
        };
        if let Some((_, handle)) = before {
            handle.call_method0(py, "cancel")?;
        }
        // One millisecond more than the difference, since the clock cuts off fractions.
        let delay = Duration::from_millis(earliest.saturating_sub(this.clock.now()) + 1).as_secs_f64();
        let handle = this.call_loop(py, "call_later", (delay, slf.getattr("_tick")?))?;
        *this.alarm.borrow_mut(py) = Some((earliest, handle.unbind()));
        Ok(())
    }

    pub(super) fn expire(&self, slf: &Bound<'_, Self>, first_error: &mut FirstError) {
        let py = slf.py();
        let now = self.batch_time.load(Ordering::Relaxed);
        loop {
            let due = self.timers.borrow_mut(py).pop_due(now);
            let Some((at, token)) = due else { return };
            first_error.note(self.expire_entry(slf, token, at, now));
        }
    }

    fn expire_entry(&self, slf: &Bound<'_, Self>, token: usize, at: u64, now: u64) -> PyResult<()> {
        let py = slf.py();
        let connection = match self.entries.borrow_mut(py).get_mut(token) {
            None => return Ok(()),
            Some(Entry::Live(connection)) => Some(connection.clone_ref(py)),
            Some(_) => None,
        };
        let Some(connection) = connection else {
            return self.expire_other(slf, token, at, now);
        };
        match Connection::with(connection.bind(py), |state, env| state.on_timer(env, at))? {
            Expired::Nothing => Ok(()),
            Expired::Cancel(task) => task.call_method0(py, "cancel").map(drop),
        }
    }
}
