//! Connections before they are WebSockets: accepting, the request head, and what becomes of it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::IntoRawFd;
use std::sync::atomic::Ordering;

use django_bolt_protocol::handshake::{self, Head, Refusal};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use socket2::Socket;

use super::entries::{Entry, Lingering, Pending};
use super::{Calls, Reactor, READ_SIZE};
use crate::connection::{Arrival, Connection};
use crate::timers::{Deadline, Due};

/// Connections accepted before the others have their turn.
const MAX_ACCEPTS: usize = 128;
/// Reads of what a refused peer still sends; one that goes on is cut off.
const MAX_DISCARDS: usize = 4;
/// Milliseconds to wait when the process has no descriptor left for another connection.
const ACCEPT_RETRY: u64 = 100;

const FULL: Refusal = Refusal {
    status: 503,
    reason: "too many connections",
    headers: &[("Retry-After", "10")],
};
const STOPPING: Refusal = Refusal {
    status: 503,
    reason: "the server is stopping",
    headers: &[("Retry-After", "1")],
};
const TOO_SLOW: Refusal = Refusal {
    status: 408,
    reason: "the request head took too long",
    headers: &[],
};
const NO_HTTP: Refusal = Refusal {
    status: 426,
    reason: "this server speaks WebSocket only",
    headers: &[("Upgrade", "websocket")],
};

/// A connection that was just made.
pub(super) struct Newcomer {
    pub(super) socket: Socket,
    pub(super) peer: Option<SocketAddr>,
    pub(super) is_secure: bool,
    /// Bytes that somebody else has read of it.
    pub(super) received: Vec<u8>,
}

/// What a request head asks for.
enum Request {
    Incomplete,
    Gone,
    Http,
    WebSocket { head_len: usize },
    Refused(Refusal),
}

impl Reactor {
    pub(super) fn handle_other_event(
        &self,
        slf: &Bound<'_, Self>,
        token: usize,
        is_shut: bool,
    ) -> PyResult<()> {
        let py = slf.py();
        let mut entries = self.entries.borrow_mut(py);
        match entries.get_mut(token) {
            Some(Entry::Listener(_)) => {
                drop(entries);
                self.accept(slf, token)
            }
            Some(Entry::Pending(pending)) => {
                pending.is_shut |= is_shut;
                drop(entries);
                self.read_head(slf, token)
            }
            Some(Entry::Lingering(lingering)) => {
                let is_over = discard(&lingering.socket, &mut self.buffer.borrow_mut(py));
                if is_over {
                    entries.remove(token);
                }
                Ok(())
            }
            Some(Entry::Live(_)) | None => Ok(()),
        }
    }

    // ── accepting ─────────────────────────────────────────────────────────────────────────────────────────────────

    fn accept(&self, slf: &Bound<'_, Self>, token: usize) -> PyResult<()> {
        let py = slf.py();
        for _ in 0..MAX_ACCEPTS {
            if self.entries.borrow_mut(py).pending() >= self.options.max_connections {
                self.is_accept_paused.store(true, Ordering::Relaxed);
                return Ok(());
            }
            let accepted = match self.entries.borrow_mut(py).get_mut(token) {
                Some(Entry::Listener(listener)) if !listener.has_timer => listener.socket.accept(),
                _ => return Ok(()),
            };
            match accepted {
                Ok((socket, peer)) => self.welcome(py, token, socket, peer.as_socket()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                    ) => {}
                Err(error) => {
                    let is_news = self.retry_accept(py, token, ACCEPT_RETRY);
                    let message = "accepting connections pauses: no descriptor or memory left";
                    return if is_news {
                        self.report(py, error.into(), message)
                    } else {
                        Ok(())
                    };
                }
            }
        }
        self.retry_accept(py, token, 0);
        Ok(())
    }

    fn welcome(&self, py: Python<'_>, token: usize, socket: Socket, peer: Option<SocketAddr>) {
        self.queues.borrow_mut(py).counters.accepted += 1;
        if let Some(Entry::Listener(listener)) = self.entries.borrow_mut(py).get_mut(token) {
            listener.is_short_reported = false;
        }
        // An error here means that this one connection is gone already.
        if socket.set_nonblocking(true).is_ok() {
            let newcomer = Newcomer {
                socket,
                peer,
                is_secure: false,
                received: Vec::new(),
            };
            let _ = self.add_pending(py, newcomer);
        }
    }

    /// Accept again after so many milliseconds; whether that is for a lack of descriptors not reported yet.
    fn retry_accept(&self, py: Python<'_>, token: usize, after: u64) -> bool {
        let at = self.now() + after;
        self.queues.borrow_mut(py).deadlines.push((at, token));
        match self.entries.borrow_mut(py).get_mut(token) {
            Some(Entry::Listener(listener)) => {
                listener.has_timer = true;
                after > 0 && !std::mem::replace(&mut listener.is_short_reported, true)
            }
            _ => false,
        }
    }

    /// Accept again after connections went, if their number was what kept us.
    pub(super) fn resume_accepting(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let is_room = self.entries.borrow_mut(py).pending() < self.options.max_connections;
        if !is_room || !self.is_accept_paused.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let tokens = self.entries.borrow_mut(py).tokens();
        for token in tokens {
            let is_listener = matches!(
                self.entries.borrow_mut(py).get_mut(token),
                Some(Entry::Listener(_))
            );
            if is_listener {
                self.accept(slf, token)?;
            }
        }
        Ok(())
    }

    pub(super) fn add_pending(&self, py: Python<'_>, newcomer: Newcomer) -> PyResult<()> {
        let Newcomer {
            socket,
            peer,
            is_secure,
            received,
        } = newcomer;
        let mut entries = self.entries.borrow_mut(py);
        let token = entries.next_token();
        self.register(&socket, token)?;
        let mut deadline = Deadline::default();
        if let Some(at) = deadline.set(self.options.handshake_timeout.after(self.now())) {
            self.queues.borrow_mut(py).deadlines.push((at, token));
        }
        entries.insert(Entry::Pending(Pending {
            socket,
            peer,
            is_secure,
            received,
            deadline,
            is_shut: false,
        }));
        Ok(())
    }

    // ── the request head ──────────────────────────────────────────────────────────────────────────────────────────

    fn read_head(&self, slf: &Bound<'_, Self>, token: usize) -> PyResult<()> {
        let py = slf.py();
        let request = match self.entries.borrow_mut(py).get_mut(token) {
            Some(Entry::Pending(pending)) => self.read_request(py, pending),
            _ => return Ok(()),
        };
        match request {
            Request::Incomplete => Ok(()),
            Request::Gone => {
                self.entries.borrow_mut(py).remove(token);
                Ok(())
            }
            Request::Refused(refusal) => {
                self.refuse(py, token, &refusal);
                Ok(())
            }
            Request::Http | Request::WebSocket { .. } if self.is_stopping.load(Ordering::Relaxed) => {
                self.refuse(py, token, &STOPPING);
                Ok(())
            }
            Request::Http => self.hand_over(py, token),
            Request::WebSocket { .. }
                if self.entries.borrow_mut(py).live() >= self.options.max_connections =>
            {
                self.refuse(py, token, &FULL);
                Ok(())
            }
            Request::WebSocket { head_len } => self.open(slf, token, head_len),
        }
    }

    fn read_request(&self, py: Python<'_>, pending: &mut Pending) -> Request {
        let mut buffer = self.buffer.borrow_mut(py);
        loop {
            match (&pending.socket).read(&mut buffer) {
                Ok(0) => return Request::Gone,
                Ok(count) => {
                    pending.received.extend_from_slice(&buffer[..count]);
                    let request = classify(&pending.received, self.options.max_head_size);
                    if !matches!(request, Request::Incomplete) {
                        return request;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return Request::Gone,
            }
        }
        // Bytes that somebody else had read may hold the whole head already.
        classify(&pending.received, self.options.max_head_size)
    }

    fn refuse(&self, py: Python<'_>, token: usize, refusal: &Refusal) {
        let mut response = Vec::new();
        handshake::write_refusal(&mut response, refusal);
        self.queues.borrow_mut(py).counters.rejected += 1;
        let mut entries = self.entries.borrow_mut(py);
        let Some(Entry::Pending(pending)) = entries.remove(token) else {
            return;
        };
        // A new connection's buffer has room for a few lines; a peer that made it otherwise goes without.
        let is_sent = (&pending.socket).write_all(&response).is_ok()
            && pending.socket.shutdown(Shutdown::Write).is_ok();
        if !is_sent
            || discard(&pending.socket, &mut self.buffer.borrow_mut(py))
            || self.deregister(&pending.socket).is_err()
        {
            return;
        }
        let token = entries.next_token();
        if self.register(&pending.socket, token).is_err() {
            return;
        }
        let mut deadline = Deadline::default();
        if let Some(at) = deadline.set(self.options.close_timeout.after(self.now())) {
            self.queues.borrow_mut(py).deadlines.push((at, token));
        }
        entries.insert(Entry::Lingering(Lingering {
            socket: pending.socket,
            deadline,
        }));
    }

    /// Give a connection that wants no WebSocket to the HTTP server, with what was read.
    fn hand_over(&self, py: Python<'_>, token: usize) -> PyResult<()> {
        let http = self.called(py, |calls| calls.http.as_ref());
        let Some(http) = http else {
            self.refuse(py, token, &NO_HTTP);
            return Ok(());
        };
        let Some(Entry::Pending(pending)) = self.entries.borrow_mut(py).remove(token) else {
            return Ok(());
        };
        self.deregister(&pending.socket)?;
        let data = PyBytes::new(py, &pending.received);
        let client = pending
            .peer
            .map(|peer| (peer.ip().to_canonical().to_string(), peer.port()));
        match http
            .bind(py)
            .call1((pending.socket.into_raw_fd(), data, client, pending.is_secure))
        {
            Ok(_) => Ok(()),
            Err(error) => self.report(py, error, "handing a connection over to the HTTP server failed"),
        }
    }

    /// A reference to one of the things that we call, which the call may replace.
    fn called(&self, py: Python<'_>, which: impl FnOnce(&Calls) -> Option<&Py<PyAny>>) -> Option<Py<PyAny>> {
        self.calls
            .borrow_mut(py)
            .as_ref()
            .and_then(which)
            .map(|found| found.clone_ref(py))
    }

    /// Make the connection a WebSocket and show it to the application.
    fn open(&self, slf: &Bound<'_, Self>, token: usize, head_len: usize) -> PyResult<()> {
        let py = slf.py();
        let Some(class) = self.called(py, |calls| Some(&calls.connection_class)) else {
            return Ok(());
        };
        let made = class
            .bind(py)
            .call0()
            .and_then(|made| Ok(made.cast_into::<Connection>()?));
        let connection = match made {
            Ok(connection) => connection,
            Err(error) => {
                self.entries.borrow_mut(py).remove(token);
                return self.report(py, error, "making a connection failed");
            }
        };
        connection.get().bind(slf);
        let before = self
            .entries
            .borrow_mut(py)
            .replace(token, Entry::Live(connection.clone().unbind()));
        let Some(Entry::Pending(pending)) = before else {
            return Ok(());
        };
        let is_shut = pending.is_shut;
        Connection::with(&connection, |state, env| {
            let Pending {
                socket,
                peer,
                is_secure,
                received,
                ..
            } = pending;
            let arrival = Arrival {
                token,
                socket,
                peer,
                is_secure,
                received: &received,
                head_len,
            };
            state.open(arrival, env.options, env.now());
        })?;
        let called = match self.called(py, |calls| Some(&calls.application)) {
            Some(application) => application.bind(py).call1((&connection,)).map(drop),
            None => Ok(()),
        };
        if let Err(error) = called {
            let mut response = Vec::new();
            // Constant input, which is well-formed.
            let _ = handshake::write_response(&mut response, 500, &[], b"");
            Connection::with(&connection, |state, env| state.reject(env, &response))?;
            return self.report(py, error, "the application failed on a new connection");
        }
        if is_shut {
            Connection::with(&connection, |state, env| state.on_readable(env, true, false))?;
        }
        Ok(())
    }

    // ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────

    pub(super) fn expire_other(
        &self,
        slf: &Bound<'_, Self>,
        token: usize,
        at: u64,
        now: u64,
    ) -> PyResult<()> {
        let py = slf.py();
        let mut entries = self.entries.borrow_mut(py);
        let is_due = match entries.get_mut(token) {
            Some(Entry::Pending(Pending { deadline, .. }) | Entry::Lingering(Lingering { deadline, .. })) => {
                deadline.judge(at, now) == Due::Now
            }
            Some(Entry::Listener(listener)) => {
                listener.has_timer = false;
                drop(entries);
                return self.accept(slf, token);
            }
            Some(Entry::Live(_)) | None => false,
        };
        if !is_due {
            return Ok(());
        }
        if let Some(Entry::Lingering(_)) = entries.get_mut(token) {
            entries.remove(token);
            return Ok(());
        }
        drop(entries);
        self.queues.borrow_mut(py).counters.handshake_timeouts += 1;
        self.refuse(py, token, &TOO_SLOW);
        Ok(())
    }
}

fn classify(received: &[u8], max_head_size: usize) -> Request {
    if received.is_empty() {
        return Request::Incomplete;
    }
    match handshake::parse_head(received, max_head_size) {
        Head::Incomplete => Request::Incomplete,
        Head::Http(_) => Request::Http,
        Head::WebSocket(upgrade) => Request::WebSocket {
            head_len: upgrade.len,
        },
        Head::Refused(refusal) => Request::Refused(refusal),
    }
}

/// Throw away what has come; true if the peer is done, gone, or sends more than a refused peer may.
fn discard(socket: &Socket, buffer: &mut [u8]) -> bool {
    debug_assert!(buffer.len() == READ_SIZE);
    for _ in 0..MAX_DISCARDS {
        match (&mut &*socket).read(buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
    true
}
