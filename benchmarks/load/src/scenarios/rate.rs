//! Rate: messages at a fixed rate, whatever the server does, each timed from the moment at which it was due.
//!
//! A server that stalls makes all messages wait that fall due meanwhile, and each of them counts (no "coordinated
//! omission"). Between two messages the generator spins, since the kernel's timeouts are too coarse: its own
//! utilisation says nothing here, but how late it sends does.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{SETTLE, STRIDE};
use crate::histogram::Histogram;
use crate::messages::{Messages, Shape};
use crate::pool::Pool;
use crate::report::{round, Errors, Latency, Stopwatch, Usage};
use crate::target::Target;

/// Lateness of the generator from which on the server is not what was measured.
const LATE_US: f64 = 1_000.0;
/// Time for the answers of a server that could not keep up.
const CATCH_UP: Duration = Duration::from_secs(60);

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server.
    pub target: Target,
    /// Connections that take turns.
    pub connections: usize,
    /// Messages a second, on all connections together.
    pub rate: f64,
    /// Messages and answers.
    pub shape: Shape,
    /// Time that counts.
    pub duration: Duration,
    /// Time before it that does not.
    pub warmup: Duration,
    /// The server's process.
    pub pid: Option<u32>,
}

/// What came out. The times are those from the moment a message was due to its answer.
#[derive(Debug, Serialize)]
pub struct Report {
    scenario: &'static str,
    url: String,
    connections: usize,
    size: usize,
    rate: f64,
    messages: u64,
    /// Answers that came while messages were being sent: less than the rate when the server cannot keep up.
    messages_per_second: f64,
    send_late_p99_us: f64,
    #[serde(flatten)]
    latency: Latency,
    #[serde(flatten)]
    usage: Usage,
    unclosed: usize,
    #[serde(flatten)]
    errors: Errors,
}

impl Report {
    /// How many failures there were.
    #[must_use]
    pub const fn errors(&self) -> u64 {
        self.errors.errors
    }
}

/// Runs the scenario.
///
/// # Errors
///
/// When sockets cannot be made, or not all connections open.
pub fn run(options: &Options) -> io::Result<Report> {
    let pool = Pool::new(
        options.target.clone(),
        Messages::new(&options.shape),
        options.connections,
    )?;
    let mut schedule = Schedule::new(pool, options.connections, options.rate);
    schedule.pool.open_all(|index| index * STRIDE)?;
    schedule.pool.hold(Instant::now() + SETTLE)?;
    schedule.offer(options.warmup)?;
    schedule.catch_up()?;
    schedule.forget();
    let stopwatch = Stopwatch::start(options.pid)?;
    let sent = schedule.offer(options.duration)?;
    let (mut usage, answers) = (stopwatch.stop()?, schedule.answers);
    schedule.catch_up()?;
    let late = schedule.lateness.quantile_us(0.99);
    usage.generator_bound = late > LATE_US && !usage.server_saturated();
    let unclosed = schedule.pool.close_all()?;
    Ok(Report {
        scenario: "rate",
        url: options.target.url.clone(),
        connections: options.connections,
        size: options.shape.size,
        rate: options.rate,
        messages: sent,
        messages_per_second: round(answers as f64 / usage.seconds, 1),
        send_late_p99_us: late,
        latency: Latency::from(&schedule.histogram),
        usage,
        unclosed,
        errors: Errors::from(&schedule.pool.failures),
    })
}

struct Schedule {
    pool: Pool,
    /// Nanoseconds between two messages.
    interval: f64,
    clock: Instant,
    /// When the messages in flight on each connection were due.
    due: Vec<VecDeque<u64>>,
    histogram: Histogram,
    lateness: Histogram,
    answers: u64,
}

impl Schedule {
    fn new(pool: Pool, connections: usize, rate: f64) -> Self {
        Self {
            pool,
            interval: 1e9 / rate,
            clock: Instant::now(),
            due: vec![VecDeque::new(); connections],
            histogram: Histogram::default(),
            lateness: Histogram::default(),
            answers: 0,
        }
    }

    fn forget(&mut self) {
        self.histogram = Histogram::default();
        self.lateness = Histogram::default();
        self.answers = 0;
    }

    /// Sends what falls due within `duration`, and takes answers meanwhile; returns how many messages it sent.
    fn offer(&mut self, duration: Duration) -> io::Result<u64> {
        let mut events = Pool::events();
        let start = self.now();
        let total = (duration.as_nanos() as f64 / self.interval) as u64;
        let mut next = 0;
        while next < total {
            let now = self.now();
            while next < total && self.due_at(start, next) <= now {
                self.send(next, self.due_at(start, next), now);
                next += 1;
            }
            self.pool.poll_now(&mut events)?;
            for event in &events {
                self.land(event);
            }
        }
        Ok(total)
    }

    fn due_at(&self, start: u64, number: u64) -> u64 {
        start + (number as f64 * self.interval) as u64
    }

    fn send(&mut self, number: u64, due: u64, now: u64) {
        let index = number as usize % self.due.len();
        self.lateness.record(now - due, 1);
        self.due[index].push_back(due);
        self.pool.ask(index, 1);
    }

    fn land(&mut self, event: &mio::event::Event) {
        let (index, progress) = self.pool.handle(event);
        if progress.answers == 0 {
            return;
        }
        let now = self.now();
        self.answers += progress.answers as u64;
        for due in self.due[index].drain(..progress.answers) {
            self.histogram.record(now.saturating_sub(due), 1);
        }
    }

    /// Waits for the answers still to come; those that do not are failures.
    fn catch_up(&mut self) -> io::Result<()> {
        let mut events = Pool::events();
        let deadline = Instant::now() + CATCH_UP;
        while self.pool.outstanding() > 0 && self.pool.poll(&mut events, deadline)? {
            for event in &events {
                self.land(event);
            }
        }
        let left = self.pool.outstanding() as u64;
        self.pool.failures.add(left, &"answers were lost");
        Ok(())
    }

    /// Nanoseconds on this run's clock.
    fn now(&self) -> u64 {
        self.clock.elapsed().as_nanos() as u64
    }
}
