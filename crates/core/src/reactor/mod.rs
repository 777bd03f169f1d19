//! The reactor: one poller with every socket of one event loop, read and written in batches.
//!
//! The loop watches only the poller's descriptor. When it fires, a batch runs: take the ready sockets, read, parse and
//! wake handlers, then flush what they sent. Registration is edge-triggered, so pausing and resuming costs no system
//! call; whoever stops before the kernel's buffer is empty remembers it (`State::readable`).
//!
//! Knows nothing of Django, nor of what an endpoint is.

mod batch;
mod compressing;
mod entries;
mod handshakes;
mod queues;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::OnceLock;
use std::thread::{self, ThreadId};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use pyo3::call::PyCallArgs;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use pyo3::{PyTraverseError, PyVisit};
use socket2::Socket;

use crate::connection::Connection;
use crate::gil_cell::GilCell;
use crate::hub::Hub;
use crate::options::Options;
use crate::timers::{Clock, Timers};
use batch::FirstError;
use entries::{Entries, Entry, Listener};
use handshakes::Newcomer;
pub(crate) use queues::Queues;

/// Events taken from the poller at once.
const MAX_EVENTS: usize = 1024;
/// Bytes read by one system call.
const READ_SIZE: usize = 64 * 1024;

#[pyclass(frozen, module = "django_bolt._core")]
pub(crate) struct Reactor {
    pub(crate) options: Options,
    pub(crate) queues: GilCell<Queues>,
    entries: GilCell<Entries>,
    timers: GilCell<Timers>,
    poll: GilCell<Poll>,
    registry: Registry,
    events: GilCell<Option<Events>>,
    buffer: GilCell<Vec<u8>>,
    /// The loop's timer: when it fires, and its handle.
    alarm: GilCell<Option<(u64, Py<PyAny>)>>,
    event_loop: Py<PyAny>,
    hub: Option<Py<Hub>>,
    /// What our callbacks run in.
    context: Py<PyAny>,
    /// None once closed, since they may lead back here.
    calls: GilCell<Option<Calls>>,
    clock: Clock,
    batch_time: AtomicU64,
    in_batch: AtomicBool,
    is_scheduled: AtomicBool,
    is_closed: AtomicBool,
    /// No connection becomes a WebSocket any more.
    pub(super) is_stopping: AtomicBool,
    /// Accepting waits until there is room again.
    is_accept_paused: AtomicBool,
    thread: OnceLock<ThreadId>,
}

/// What the reactor calls.
struct Calls {
    connection_class: Py<PyAny>,
    application: Py<PyAny>,
    http: Option<Py<PyAny>>,
}

// ── for connections ───────────────────────────────────────────────────────────────────────────────────────────────

impl Reactor {
    /// Milliseconds on the reactor's clock; inside a batch those of its start.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        if self.in_batch.load(Ordering::Relaxed) {
            self.batch_time.load(Ordering::Relaxed)
        } else {
            self.clock.now()
        }
    }

    pub(crate) fn event_loop<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.event_loop.bind(py).clone()
    }

    pub(crate) fn hub<'a, 'py>(&'a self, py: Python<'py>) -> Option<&'a Bound<'py, Hub>> {
        self.hub.as_ref().map(|hub| hub.bind(py))
    }

    #[inline]
    pub(crate) fn needs_run(&self, py: Python<'_>) -> bool {
        !self.in_batch.load(Ordering::Relaxed) && self.has_work(py)
    }

    fn has_work(&self, py: Python<'_>) -> bool {
        self.queues.borrow_mut(py).has_work()
    }

    fn has_jobs(&self, py: Python<'_>) -> bool {
        self.queues.borrow_mut(py).compressions.has_jobs()
    }

    /// See to it that the queues are worked off: at the end of the batch, or in the loop's next turn. From any thread.
    #[inline]
    pub(crate) fn request_run(slf: &Bound<'_, Self>) -> PyResult<()> {
        let this = slf.get();
        if this.in_batch.load(Ordering::Relaxed) || this.is_scheduled.load(Ordering::Relaxed) {
            return Ok(());
        }
        Self::schedule_run(slf)
    }

    /// Have the loop call us later, in the reactor's own context: in the caller's, whatever it starts (the handler of
    /// a new connection) would inherit the caller's variables.
    pub(super) fn call_loop<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        arguments: impl PyCallArgs<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = PyDict::new(py);
        options.set_item("context", &self.context)?;
        let method = self.event_loop.bind(py).getattr(method)?;
        method.call(arguments, Some(&options))
    }

    #[cold]
    fn schedule_run(slf: &Bound<'_, Self>) -> PyResult<()> {
        let this = slf.get();
        if this.is_closed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let is_own_thread = this
            .thread
            .get()
            .is_none_or(|owner| *owner == thread::current().id());
        let method = if is_own_thread {
            "call_soon"
        } else {
            "call_soon_threadsafe"
        };
        let run = slf.getattr("_run")?;
        this.is_scheduled.store(true, Ordering::Relaxed);
        let scheduled = this.call_loop(slf.py(), method, (run,));
        if scheduled.is_err() {
            this.is_scheduled.store(false, Ordering::Relaxed);
        }
        scheduled.map(drop)
    }
}

// ── registration ──────────────────────────────────────────────────────────────────────────────────────────────────

impl Reactor {
    fn register(&self, socket: &Socket, token: usize) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry
            .register(&mut SourceFd(&socket.as_raw_fd()), Token(token), interest)
    }

    fn deregister(&self, socket: &Socket) -> io::Result<()> {
        self.registry.deregister(&mut SourceFd(&socket.as_raw_fd()))
    }
}

fn check_descriptor(descriptor: RawFd) -> PyResult<()> {
    if descriptor < 0 {
        return Err(PyValueError::new_err(format!("not a descriptor: {descriptor}")));
    }
    Ok(())
}

#[pymethods]
impl Reactor {
    #[new]
    #[pyo3(signature = (r#loop, connection_class, application, http=None, options=None, hub=None))]
    fn new(
        py: Python<'_>,
        r#loop: Py<PyAny>,
        connection_class: Py<PyAny>,
        application: Py<PyAny>,
        http: Option<Py<PyAny>>,
        options: Option<Options>,
        hub: Option<Py<Hub>>,
    ) -> PyResult<Self> {
        if let Some(hub) = &hub {
            hub.get().take()?;
        }
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        Ok(Self {
            options: options.unwrap_or_default(),
            queues: GilCell::new(Queues::default()),
            entries: GilCell::new(Entries::default()),
            timers: GilCell::new(Timers::default()),
            poll: GilCell::new(poll),
            registry,
            events: GilCell::new(Some(Events::with_capacity(MAX_EVENTS))),
            buffer: GilCell::new(vec![0; READ_SIZE]),
            alarm: GilCell::new(None),
            event_loop: r#loop,
            hub,
            context: py.import("contextvars")?.call_method0("copy_context")?.unbind(),
            calls: GilCell::new(Some(Calls {
                connection_class,
                application,
                http,
            })),
            clock: Clock::start(),
            batch_time: AtomicU64::new(0),
            in_batch: AtomicBool::new(false),
            is_scheduled: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            is_stopping: AtomicBool::new(false),
            is_accept_paused: AtomicBool::new(false),
            thread: OnceLock::new(),
        })
    }

    fn start(slf: &Bound<'_, Self>) -> PyResult<()> {
        let this = slf.get();
        if this.thread.set(thread::current().id()).is_err() {
            return Err(PyRuntimeError::new_err("the reactor was started already"));
        }
        let descriptor = this.poll.borrow_mut(slf.py()).as_raw_fd();
        let add_reader = this.event_loop.bind(slf.py()).getattr("add_reader")?;
        let arguments = (add_reader, descriptor, slf.getattr("_poll")?);
        this.context.bind(slf.py()).call_method1("run", arguments)?;
        Self::request_run(slf)
    }

    fn listen(&self, py: Python<'_>, descriptor: RawFd) -> PyResult<()> {
        check_descriptor(descriptor)?;
        // SAFETY: the caller's descriptor is open for the length of this call, in which it is only duplicated; a wrong
        // number makes the duplication fail.
        let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
        let socket = Socket::from(borrowed.try_clone_to_owned()?);
        socket.set_nonblocking(true)?;
        let mut entries = self.entries.borrow_mut(py);
        self.registry.register(
            &mut SourceFd(&socket.as_raw_fd()),
            Token(entries.next_token()),
            Interest::READABLE,
        )?;
        entries.insert(Entry::Listener(Listener {
            socket,
            has_timer: false,
            is_short_reported: false,
        }));
        Ok(())
    }

    fn stop_listening(&self, py: Python<'_>) {
        self.is_stopping.store(true, Ordering::Relaxed);
        let mut entries = self.entries.borrow_mut(py);
        for token in entries.tokens() {
            if let Some(Entry::Listener(listener)) = entries.get_mut(token) {
                // The listening socket may live on in another process, where it must wake nobody here.
                let _ = self.deregister(&listener.socket);
                entries.remove(token);
            }
        }
    }

    #[pyo3(signature = (descriptor, data=None, *, client=None, is_secure=false))]
    fn adopt(
        slf: &Bound<'_, Self>,
        descriptor: RawFd,
        data: Option<&Bound<'_, PyBytes>>,
        client: Option<(String, u16)>,
        is_secure: bool,
    ) -> PyResult<()> {
        check_descriptor(descriptor)?;
        // SAFETY: the documented contract gives the descriptor to the reactor; it is closed with the socket, once.
        let socket = Socket::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
        let this = slf.get();
        if this.is_closed.load(Ordering::Relaxed) {
            return Err(PyRuntimeError::new_err("the reactor is closed"));
        }
        socket.set_nonblocking(true)?;
        let peer = match client {
            Some((host, port)) => Some(SocketAddr::new(host.parse()?, port)),
            None => socket.peer_addr().ok().and_then(|address| address.as_socket()),
        };
        let received = data.map(|data| data.as_bytes().to_vec()).unwrap_or_default();
        this.add_pending(
            slf.py(),
            Newcomer {
                socket,
                peer,
                is_secure,
                received,
            },
        )?;
        Self::request_run(slf)
    }

    fn connections(&self, py: Python<'_>) -> Vec<Py<Connection>> {
        let mut entries = self.entries.borrow_mut(py);
        let tokens = entries.tokens();
        tokens
            .into_iter()
            .filter_map(|token| match entries.get_mut(token) {
                Some(Entry::Live(connection)) => Some(connection.clone_ref(py)),
                _ => None,
            })
            .collect()
    }

    #[getter]
    fn pending(&self, py: Python<'_>) -> usize {
        self.entries.borrow_mut(py).pending()
    }

    #[getter]
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (counters, slices) = {
            let queues = self.queues.borrow_mut(py);
            (queues.counters, queues.compressions.slices())
        };
        let counters = counters.to_dict(py)?;
        counters.set_item("compression_slices", slices)?;
        Ok(counters)
    }

    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        if this.is_closed.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let tokens = this.entries.borrow_mut(py).tokens();
        for token in tokens {
            let entry = this.entries.borrow_mut(py).remove(token);
            if let Some(Entry::Live(connection)) = entry {
                Connection::with(connection.bind(py), |state, env| state.finish(env))?;
            }
        }
        let mut first_error = FirstError::default();
        // The caller may be a task, in which no other may run.
        this.wake_all_soon(py, &mut first_error);
        let unused = this.calls.borrow_mut(py).take();
        drop(unused);
        let queues = std::mem::take(&mut *this.queues.borrow_mut(py));
        drop(queues);
        if let Some(hub) = this.hub(py) {
            hub.get().clear(py);
        }
        let alarm = this.alarm.borrow_mut(py).take();
        if let Some((_, handle)) = alarm {
            handle.call_method0(py, "cancel")?;
        }
        if this.thread.get().is_some() {
            let descriptor = this.poll.borrow_mut(py).as_raw_fd();
            this.event_loop
                .bind(py)
                .call_method1("remove_reader", (descriptor,))?;
        }
        first_error.0.map_or(Ok(()), Err)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)?;
        visit.call(&self.hub)?;
        if let Some(calls) = self.calls.try_borrow_in_collector() {
            if let Some(calls) = calls.as_ref() {
                visit.call(&calls.application)?;
                visit.call(&calls.connection_class)?;
                visit.call(&calls.http)?;
            }
        }
        Ok(())
    }

    fn __clear__(&self, py: Python<'_>) {
        let unused = self.calls.borrow_mut(py).take();
        drop(unused);
    }

    /// The poller's descriptor is ready.
    #[pyo3(name = "_poll")]
    fn on_poll(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::run_batch(slf, |first_error| slf.get().handle_events(slf, first_error))
    }

    /// Work was left in the queues outside of a batch.
    #[pyo3(name = "_run")]
    fn on_run(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().is_scheduled.store(false, Ordering::Relaxed);
        Self::run_batch(slf, |first_error| slf.get().compress(slf.py(), first_error))
    }

    /// A timer may be due. What has arrived counts first: a loop that was held up must not take it for silence.
    #[pyo3(name = "_tick")]
    fn on_tick(slf: &Bound<'_, Self>) -> PyResult<()> {
        let before = slf.get().alarm.borrow_mut(slf.py()).take();
        drop(before);
        Self::run_batch(slf, |first_error| {
            slf.get().handle_events(slf, first_error);
            slf.get().collect_timers(slf.py());
            slf.get().expire(slf, first_error);
        })
    }
}
