//! Fan-out: one connection sends a message, all of them must receive it, then comes the next.

use std::io;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{DRAIN, SETTLE};
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
    /// Connections that receive, the sender among them.
    pub connections: usize,
    /// Messages.
    pub shape: Shape,
    /// Time that counts.
    pub duration: Duration,
    /// Time before it that does not.
    pub warmup: Duration,
    /// The server's process.
    pub pid: Option<u32>,
}

/// What came out. The plain times are those from sending a message to its last delivery, the others to each delivery.
#[derive(Debug, Serialize)]
pub struct Report {
    scenario: &'static str,
    url: String,
    connections: usize,
    size: usize,
    messages: u64,
    deliveries: u64,
    deliveries_per_second: f64,
    delivery_p50_us: f64,
    delivery_p99_us: f64,
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
    let mut fanout = Fanout {
        pool,
        last: Histogram::default(),
        each: Histogram::default(),
        messages: 0,
        deliveries: 0,
    };
    fanout.pool.open_all(|_| 0)?;
    fanout.pool.hold(Instant::now() + SETTLE)?;
    fanout.broadcast_until(Instant::now() + options.warmup)?;
    let stopwatch = Stopwatch::start(options.pid)?;
    (fanout.last, fanout.each) = (Histogram::default(), Histogram::default());
    (fanout.messages, fanout.deliveries) = (0, 0);
    fanout.broadcast_until(Instant::now() + options.duration)?;
    let usage = stopwatch.stop()?;
    let unclosed = fanout.pool.close_all()?;
    Ok(Report {
        scenario: "fanout",
        url: options.target.url.clone(),
        connections: options.connections,
        size: options.shape.size,
        messages: fanout.messages,
        deliveries: fanout.deliveries,
        deliveries_per_second: round(fanout.deliveries as f64 / usage.seconds, 1),
        delivery_p50_us: fanout.each.quantile_us(0.5),
        delivery_p99_us: fanout.each.quantile_us(0.99),
        latency: Latency::from(&fanout.last),
        usage,
        unclosed,
        errors: Errors::from(&fanout.pool.failures),
    })
}

struct Fanout {
    pool: Pool,
    /// Times to the last delivery of each message.
    last: Histogram,
    /// Times to every delivery.
    each: Histogram,
    messages: u64,
    deliveries: u64,
}

impl Fanout {
    /// Broadcasts one message after the other; the last begins before `deadline` and is waited for.
    fn broadcast_until(&mut self, deadline: Instant) -> io::Result<()> {
        while Instant::now() < deadline && self.broadcast()? {}
        Ok(())
    }

    /// Sends one message and waits for all its deliveries; false when some did not come.
    fn broadcast(&mut self) -> io::Result<bool> {
        let mut events = Pool::events();
        let started = Instant::now();
        let mut left = self.pool.expect_everywhere(1);
        self.pool.send(0, 1);
        while left > 0 && self.pool.poll(&mut events, started + DRAIN)? {
            for event in &events {
                let (_, progress) = self.pool.handle(event);
                if progress.answers > 0 {
                    self.each
                        .record(started.elapsed().as_nanos() as u64, progress.answers as u64);
                }
                self.deliveries += progress.answers as u64;
                left -= progress.answers;
            }
        }
        self.messages += 1;
        self.last.record(started.elapsed().as_nanos() as u64, 1);
        self.pool.failures.add(left as u64, &"deliveries were lost");
        Ok(left == 0)
    }
}
