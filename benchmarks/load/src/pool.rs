//! All connections of a run behind one poller, on one thread.

use std::io;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Interest, Poll, Token};

use crate::connection::{Connection, Failure, Progress};
use crate::handshake::Request;
use crate::messages::Messages;
use crate::random::Random;
use crate::target::Target;

const SCRATCH_SIZE: usize = 1 << 18;
const EVENTS_PER_POLL: usize = 1024;
/// Opening handshakes under way at a time, well below the usual backlog of a listening socket.
const OPENING_AT_ONCE: usize = 128;
const OPEN_TIMEOUT: Duration = Duration::from_secs(60);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(15);

/// What went wrong in a run.
#[derive(Debug, Default, Clone)]
pub struct Failures {
    /// How many connections failed, and answers were lost.
    pub count: u64,
    /// The first of them.
    pub first: Option<String>,
}

impl Failures {
    /// Counts `count` failures for one reason.
    pub fn add(&mut self, count: u64, reason: &impl ToString) {
        self.count += count;
        if count > 0 {
            self.first.get_or_insert_with(|| reason.to_string());
        }
    }
}

/// The connections.
#[derive(Debug)]
pub struct Pool {
    /// What went wrong so far.
    pub failures: Failures,
    /// Pings received, and answered.
    pub pings: usize,
    messages: Messages,
    target: Target,
    poll: Poll,
    connections: Vec<Option<Connection>>,
    scratch: Vec<u8>,
    random: Random,
}

impl Pool {
    /// Makes `count` empty places for connections to `target`.
    ///
    /// # Errors
    ///
    /// When the poller cannot be made.
    pub fn new(target: Target, messages: Messages, count: usize) -> io::Result<Self> {
        Ok(Self {
            failures: Failures::default(),
            pings: 0,
            messages,
            target,
            poll: Poll::new()?,
            connections: (0..count).map(|_| None).collect(),
            scratch: vec![0; SCRATCH_SIZE],
            random: Random::from_entropy(),
        })
    }

    /// An event list of the right size for `poll`.
    #[must_use]
    pub fn events() -> Events {
        Events::with_capacity(EVENTS_PER_POLL)
    }

    /// Number of connections that are there, open or opening.
    #[must_use]
    pub fn alive(&self) -> usize {
        self.connections.iter().flatten().count()
    }

    /// Whether place `index` holds a connection.
    #[must_use]
    pub fn is_alive(&self, index: usize) -> bool {
        self.connections[index].is_some()
    }

    /// Answers still to come on all connections.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.connections
            .iter()
            .flatten()
            .map(Connection::outstanding)
            .sum()
    }

    /// Starts a connection at place `index`, its messages beginning with number `first` of the ring.
    ///
    /// # Errors
    ///
    /// When no socket can be made, or the server refuses at once.
    pub fn open(&mut self, index: usize, first: usize) -> io::Result<()> {
        let stream = self.target.connect(index)?;
        let request = Request::compose(&self.target, &mut self.random);
        let mut connection = Connection::new(stream, request, first % self.messages.ring_length());
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(connection.stream(), Token(index), interest)?;
        // Over loopback the socket is connected by now, and the request saves an event.
        let outcome = connection.flush();
        self.connections[index] = Some(connection);
        self.keep(index, outcome);
        Ok(())
    }

    /// Opens a connection at every place; `first` gives the number of its first message in the ring.
    ///
    /// # Errors
    ///
    /// When a socket cannot be made, or the time is over. Refused handshakes are counted in `failures`.
    pub fn open_all(&mut self, first: impl Fn(usize) -> usize) -> io::Result<()> {
        let mut events = Self::events();
        let deadline = Instant::now() + OPEN_TIMEOUT;
        let (mut started, mut settled) = (0, 0);
        while settled < self.connections.len() {
            while started < self.connections.len() && started - settled < OPENING_AT_ONCE {
                self.open(started, first(started))?;
                started += 1;
            }
            if !self.poll(&mut events, deadline)? {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the server does not open all connections",
                ));
            }
            for event in &events {
                let (index, progress) = self.handle(event);
                settled += usize::from(progress.opened || !self.is_alive(index));
            }
        }
        Ok(())
    }

    /// Waits for events until `deadline`; false when it has passed.
    ///
    /// # Errors
    ///
    /// When the poller fails.
    pub fn poll(&mut self, events: &mut Events, deadline: Instant) -> io::Result<bool> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            events.clear();
            return Ok(false);
        }
        match self.poll.poll(events, Some(left)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(true),
        }
    }

    /// Takes the events that are there, without waiting.
    ///
    /// # Errors
    ///
    /// When the poller fails.
    pub fn poll_now(&mut self, events: &mut Events) -> io::Result<()> {
        match self.poll.poll(events, Some(Duration::ZERO)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    /// Lets the connection of `event` do what it can; returns its place with what came of it.
    pub fn handle(&mut self, event: &Event) -> (usize, Progress) {
        let index = event.token().0;
        let Some(connection) = &mut self.connections[index] else {
            return (index, Progress::default());
        };
        let outcome = connection.handle(event, &self.messages, &mut self.scratch);
        let progress = self.keep(index, outcome).unwrap_or_default();
        self.pings += progress.pings;
        if progress.ended {
            self.connections[index] = None;
        }
        (index, progress)
    }

    /// Handles events until `deadline` and lets nothing come of them but answers to Ping.
    ///
    /// # Errors
    ///
    /// When the poller fails.
    pub fn hold(&mut self, deadline: Instant) -> io::Result<()> {
        let mut events = Self::events();
        while self.poll(&mut events, deadline)? {
            for event in &events {
                self.handle(event);
            }
        }
        Ok(())
    }

    /// Sends `count` messages on connection `index`.
    pub fn send(&mut self, index: usize, count: usize) {
        if let Some(connection) = &mut self.connections[index] {
            let outcome = connection.send(&self.messages, count);
            self.keep(index, outcome);
        }
    }

    /// Lets `count` answers come on connection `index`.
    pub fn expect(&mut self, index: usize, count: usize) {
        if let Some(connection) = &mut self.connections[index] {
            connection.expect(count);
        }
    }

    /// Lets `count` answers come on every connection; returns how many that is in all.
    pub fn expect_everywhere(&mut self, count: usize) -> usize {
        let mut total = 0;
        for connection in self.connections.iter_mut().flatten() {
            connection.expect(count);
            total += count;
        }
        total
    }

    /// Sends `count` messages on connection `index` and lets as many answers come.
    pub fn ask(&mut self, index: usize, count: usize) {
        self.expect(index, count);
        self.send(index, count);
    }

    /// Starts the closing handshake on connection `index`.
    pub fn close(&mut self, index: usize) {
        if let Some(connection) = &mut self.connections[index] {
            let outcome = connection.close();
            self.keep(index, outcome);
        }
    }

    /// Closes all connections; returns how many did not complete the closing handshake in time.
    ///
    /// # Errors
    ///
    /// When the poller fails.
    pub fn close_all(&mut self) -> io::Result<usize> {
        let mut events = Self::events();
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        for index in 0..self.connections.len() {
            self.close(index);
        }
        let mut left = self.alive();
        while left > 0 && self.poll(&mut events, deadline)? {
            for event in &events {
                let (index, _) = self.handle(event);
                left -= usize::from(!self.is_alive(index));
            }
        }
        Ok(left)
    }

    /// Passes a success on; counts a failure and drops its connection.
    fn keep<T>(&mut self, index: usize, outcome: Result<T, Failure>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(failure) => {
                self.failures.add(1, &failure);
                self.connections[index] = None;
                None
            }
        }
    }
}
