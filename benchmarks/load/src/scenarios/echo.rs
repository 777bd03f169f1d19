//! Echo: each connection keeps a number of messages in flight, and every answer must be the right one.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{DRAIN, SETTLE, STRIDE};
use crate::histogram::Histogram;
use crate::messages::{Content, Messages, Shape};
use crate::pool::Pool;
use crate::report::{round, Errors, Latency, Stopwatch, Usage};
use crate::target::Target;

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server.
    pub target: Target,
    /// Connections.
    pub connections: usize,
    /// Messages and answers.
    pub shape: Shape,
    /// Time that counts.
    pub duration: Duration,
    /// Time before it that does not.
    pub warmup: Duration,
    /// The server's process.
    pub pid: Option<u32>,
}

/// What came out.
#[derive(Debug, Serialize)]
pub struct Report {
    scenario: &'static str,
    url: String,
    connections: usize,
    in_flight: usize,
    size: usize,
    content: Content,
    compressed: bool,
    messages: u64,
    messages_per_second: f64,
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
    let mut echo = Echo {
        pool,
        flights: vec![Flights::default(); options.connections],
        clock: Instant::now(),
        histogram: Histogram::default(),
        answers: 0,
    };
    echo.pool.open_all(|index| index * STRIDE)?;
    echo.pool.hold(Instant::now() + SETTLE)?;
    echo.launch(options.shape.in_flight);
    echo.exchange(Instant::now() + options.warmup)?;
    let (warm_answers, stopwatch) = (echo.answers, Stopwatch::start(options.pid)?);
    echo.histogram = Histogram::default();
    echo.exchange(Instant::now() + options.duration)?;
    let (usage, messages) = (stopwatch.stop()?, echo.answers - warm_answers);
    let latency = Latency::from(&echo.histogram);
    echo.drain()?;
    let unclosed = echo.pool.close_all()?;
    Ok(Report {
        scenario: "echo",
        url: options.target.url.clone(),
        connections: options.connections,
        in_flight: options.shape.in_flight,
        size: options.shape.size,
        content: options.shape.content,
        compressed: options.shape.compressed,
        messages,
        messages_per_second: round(messages as f64 / usage.seconds, 1),
        latency,
        usage,
        unclosed,
        errors: Errors::from(&echo.pool.failures),
    })
}

/// When the messages in flight on one connection were sent: time, and how many at that time.
type Flights = VecDeque<(u64, usize)>;

struct Echo {
    pool: Pool,
    flights: Vec<Flights>,
    clock: Instant,
    histogram: Histogram,
    answers: u64,
}

impl Echo {
    /// Sends the first messages on every connection.
    fn launch(&mut self, in_flight: usize) {
        for index in 0..self.flights.len() {
            let now = self.now();
            self.flights[index].push_back((now, in_flight));
            self.pool.ask(index, in_flight);
        }
    }

    /// Sends a message for every answer until `deadline`.
    fn exchange(&mut self, deadline: Instant) -> io::Result<()> {
        let mut events = Pool::events();
        while self.pool.poll(&mut events, deadline)? {
            for event in &events {
                let (index, progress) = self.pool.handle(event);
                if progress.answers > 0 {
                    let now = self.now();
                    self.land(index, progress.answers, now);
                    self.flights[index].push_back((now, progress.answers));
                    self.pool.ask(index, progress.answers);
                }
            }
        }
        Ok(())
    }

    /// Waits for the answers still to come; those that do not are failures.
    fn drain(&mut self) -> io::Result<()> {
        let mut events = Pool::events();
        let deadline = Instant::now() + DRAIN;
        let mut left = self.pool.outstanding();
        while left > 0 && self.pool.poll(&mut events, deadline)? {
            for event in &events {
                self.pool.handle(event);
            }
            left = self.pool.outstanding();
        }
        self.pool.failures.add(left as u64, &"answers were lost");
        Ok(())
    }

    /// Counts answers that came at `now`; they belong to the messages longest in flight.
    fn land(&mut self, index: usize, answers: usize, now: u64) {
        self.answers += answers as u64;
        let mut left = answers;
        while let Some((sent, count)) = self.flights[index].front_mut() {
            let landed = left.min(*count);
            self.histogram.record(now - *sent, landed as u64);
            *count -= landed;
            left -= landed;
            if *count == 0 {
                self.flights[index].pop_front();
            }
            if left == 0 {
                break;
            }
        }
    }

    /// Nanoseconds on this run's clock.
    fn now(&self) -> u64 {
        // 64 bits of nanoseconds last for centuries.
        self.clock.elapsed().as_nanos() as u64
    }
}
