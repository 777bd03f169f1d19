//! Idle: open many connections, hold them, and see what each costs the server.

use std::io;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::messages::{Content, Messages, Shape};
use crate::pool::Pool;
use crate::process::{memory, Memory};
use crate::report::{round, Errors, Stopwatch, Usage};
use crate::target::Target;

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server.
    pub target: Target,
    /// Connections.
    pub connections: usize,
    /// Time to hold them.
    pub duration: Duration,
    /// The server's process.
    pub pid: Option<u32>,
}

/// What came out. The CPU times are those of holding, not of opening.
#[derive(Debug, Serialize)]
pub struct Report {
    scenario: &'static str,
    url: String,
    connections: usize,
    opened: usize,
    held: usize,
    /// Pings that the server sent while the connections were held.
    pings: usize,
    open_seconds: f64,
    opened_per_second: f64,
    #[serde(flatten)]
    usage: Usage,
    memory_before: Option<Memory>,
    memory_after: Option<Memory>,
    rss_per_connection: Option<f64>,
    pss_per_connection: Option<f64>,
    uss_per_connection: Option<f64>,
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
/// When sockets cannot be made, not all connections open, or the server's memory cannot be read.
pub fn run(options: &Options) -> io::Result<Report> {
    let shape = Shape {
        size: 0,
        prefix: Vec::new(),
        content: Content::Text,
        compressed: false,
        in_flight: 1,
    };
    let mut pool = Pool::new(options.target.clone(), Messages::new(&shape), options.connections)?;
    let memory_before = options.pid.map(memory).transpose()?;
    let started = Instant::now();
    pool.open_all(|_| 0)?;
    let (open_seconds, opened) = (started.elapsed().as_secs_f64(), pool.alive());
    let stopwatch = Stopwatch::start(options.pid)?;
    let pings_before = pool.pings;
    pool.hold(Instant::now() + options.duration)?;
    let (usage, held) = (stopwatch.stop()?, pool.alive());
    let pings = pool.pings - pings_before;
    let memory_after = options.pid.map(memory).transpose()?;
    let each = |of: fn(Memory) -> u64| {
        let grown = of(memory_after?) as f64 - of(memory_before?) as f64;
        (held > 0).then(|| round(grown / held as f64, 1))
    };
    let per_connection = (
        each(|memory| memory.rss),
        each(|memory| memory.pss),
        each(|memory| memory.uss),
    );
    let unclosed = pool.close_all()?;
    Ok(Report {
        scenario: "idle",
        url: options.target.url.clone(),
        connections: options.connections,
        opened,
        held,
        pings,
        open_seconds: round(open_seconds, 3),
        opened_per_second: round(opened as f64 / open_seconds, 1),
        usage,
        memory_before,
        memory_after,
        rss_per_connection: per_connection.0,
        pss_per_connection: per_connection.1,
        uss_per_connection: per_connection.2,
        unclosed,
        errors: Errors::from(&pool.failures),
    })
}
