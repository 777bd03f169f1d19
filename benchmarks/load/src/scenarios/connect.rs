//! Connect: one connection after the other, each with its opening handshake, one echo and its closing handshake.

use std::io;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::DRAIN;
use crate::histogram::Histogram;
use crate::messages::{Messages, Shape};
use crate::pool::Pool;
use crate::report::{round, Errors, Latency, Stopwatch, Usage};
use crate::target::Target;

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server.
    pub target: Target,
    /// Connections at a time.
    pub concurrency: usize,
    /// Messages and answers.
    pub shape: Shape,
    /// Time that counts.
    pub duration: Duration,
    /// Time before it that does not.
    pub warmup: Duration,
    /// The server's process.
    pub pid: Option<u32>,
}

/// What came out. The times are those of a whole connection, from connecting to the end of the stream.
#[derive(Debug, Serialize)]
pub struct Report {
    scenario: &'static str,
    url: String,
    concurrency: usize,
    connections: u64,
    connections_per_second: f64,
    #[serde(flatten)]
    latency: Latency,
    #[serde(flatten)]
    usage: Usage,
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
/// When sockets cannot be made.
pub fn run(options: &Options) -> io::Result<Report> {
    let pool = Pool::new(
        options.target.clone(),
        Messages::new(&options.shape),
        options.concurrency,
    )?;
    let now = Instant::now();
    let started = vec![now; options.concurrency];
    let mut connect = Connect {
        pool,
        started,
        histogram: Histogram::default(),
        completed: 0,
        opened: 0,
    };
    for index in 0..options.concurrency {
        connect.open(index)?;
    }
    connect.turn_over(now + options.warmup, true)?;
    let stopwatch = Stopwatch::start(options.pid)?;
    (connect.histogram, connect.completed) = (Histogram::default(), 0);
    connect.turn_over(Instant::now() + options.duration, true)?;
    let (usage, connections) = (stopwatch.stop()?, connect.completed);
    let latency = Latency::from(&connect.histogram);
    connect.turn_over(Instant::now() + DRAIN, false)?;
    let stuck = connect.pool.alive() as u64;
    connect
        .pool
        .failures
        .add(stuck, &"connections did not come to their end");
    Ok(Report {
        scenario: "connect",
        url: options.target.url.clone(),
        concurrency: options.concurrency,
        connections,
        connections_per_second: round(connections as f64 / usage.seconds, 1),
        latency,
        usage,
        errors: Errors::from(&connect.pool.failures),
    })
}

struct Connect {
    pool: Pool,
    started: Vec<Instant>,
    histogram: Histogram,
    completed: u64,
    opened: usize,
}

impl Connect {
    fn open(&mut self, index: usize) -> io::Result<()> {
        self.started[index] = Instant::now();
        self.opened += 1;
        self.pool.open(index, self.opened)
    }

    /// Leads connections through their lives until `deadline`; `refill` opens a new one for each that ends.
    fn turn_over(&mut self, deadline: Instant, refill: bool) -> io::Result<()> {
        let mut events = Pool::events();
        while self.pool.alive() > 0 && self.pool.poll(&mut events, deadline)? {
            for event in &events {
                self.advance(event, refill)?;
            }
        }
        Ok(())
    }

    fn advance(&mut self, event: &mio::event::Event, refill: bool) -> io::Result<()> {
        let (index, progress) = self.pool.handle(event);
        if progress.opened {
            self.pool.ask(index, 1);
        }
        if progress.answers > 0 {
            self.pool.close(index);
        }
        if progress.ended {
            self.completed += 1;
            self.histogram
                .record(self.started[index].elapsed().as_nanos() as u64, 1);
        }
        if refill && !self.pool.is_alive(index) {
            self.open(index)?;
        }
        Ok(())
    }
}
