//! What a run prints: JSON, or the same as lines of name and value.

use std::io;
use std::time::Instant;

use serde::Serialize;
use serde_json::Value;

use crate::histogram::Histogram;
use crate::pool::Failures;
use crate::process::{cpu_time, own_cpu_time, CpuTime};

/// Share of a core from which a process counts as saturated.
const SATURATED: f64 = 0.95;
/// Share of the time from which waiting for a core counts as a disturbance.
const DISTURBED: f64 = 0.05;

/// CPU time of generator and server over a stretch of time, as shares of one core where not in seconds.
#[derive(Debug, Serialize)]
pub struct Usage {
    /// Length of the stretch.
    pub seconds: f64,
    /// CPU time of the generator.
    pub generator_cpu_seconds: f64,
    /// The same as a share.
    pub generator_utilisation: f64,
    /// Share in which the generator could have run, but something else had its core.
    pub generator_waited: f64,
    /// CPU time of the server, if its process was named.
    pub server_cpu_seconds: Option<f64>,
    /// The same as a share.
    pub server_utilisation: Option<f64>,
    /// Share in which the server could have run, but something else than its own processes had its core.
    pub server_waited: Option<f64>,
    /// The generator was saturated and the server, as far as known, was not: the result says nothing about it.
    pub generator_bound: bool,
    /// Something else took a noticeable share of a core: the result is too low.
    pub disturbed: bool,
}

impl Usage {
    /// Whether the server was saturated, as far as known.
    #[must_use]
    pub fn server_saturated(&self) -> bool {
        self.server_utilisation.is_some_and(|share| share >= SATURATED)
    }
}

/// Measures a `Usage`.
#[derive(Debug)]
pub struct Stopwatch {
    started: Instant,
    pid: Option<u32>,
    own: CpuTime,
    server: Option<CpuTime>,
}

impl Stopwatch {
    /// Starts; `pid` is the server's.
    ///
    /// # Errors
    ///
    /// When `/proc` cannot be read: there is no such process.
    pub fn start(pid: Option<u32>) -> io::Result<Self> {
        let server = pid.map(cpu_time).transpose()?;
        Ok(Self {
            started: Instant::now(),
            pid,
            own: own_cpu_time()?,
            server,
        })
    }

    /// Stops.
    ///
    /// # Errors
    ///
    /// When `/proc` cannot be read: the server's process is gone.
    pub fn stop(&self) -> io::Result<Usage> {
        let seconds = self.started.elapsed().as_secs_f64();
        let own = difference(self.own, own_cpu_time()?);
        let after = self.pid.map(cpu_time).transpose()?;
        let server = self
            .server
            .zip(after)
            .map(|(before, after)| difference(before, after));
        let server_or_none = server.unwrap_or_default();
        // Processes of one server wait for one another, which is no disturbance: it is no more than others took.
        let server_lost = server_or_none
            .waited
            .min((server_or_none.busy - server_or_none.used).max(0.0));
        let server_saturated = server_or_none.used / seconds >= SATURATED;
        Ok(Usage {
            seconds: round(seconds, 4),
            generator_cpu_seconds: round(own.used, 4),
            generator_utilisation: round(own.used / seconds, 3),
            generator_waited: round(own.waited / seconds, 3),
            server_cpu_seconds: server.map(|time| round(time.used, 2)),
            server_utilisation: server.map(|time| round(time.used / seconds, 3)),
            server_waited: server.map(|_| round(server_lost / seconds, 3)),
            generator_bound: own.used / seconds >= SATURATED && !server_saturated,
            disturbed: own.waited.max(server_lost) / seconds >= DISTURBED,
        })
    }
}

fn difference(before: CpuTime, after: CpuTime) -> CpuTime {
    CpuTime {
        used: after.used - before.used,
        waited: after.waited - before.waited,
        busy: after.busy - before.busy,
    }
}

/// Failures of a run.
#[derive(Debug, Serialize)]
pub struct Errors {
    /// How many.
    pub errors: u64,
    /// The first of them.
    pub first_error: Option<String>,
}

impl From<&Failures> for Errors {
    fn from(failures: &Failures) -> Self {
        Self {
            errors: failures.count,
            first_error: failures.first.clone(),
        }
    }
}

/// Times in microseconds.
#[derive(Debug, Serialize)]
pub struct Latency {
    /// Median.
    pub p50_us: f64,
    /// 99 of 100 are shorter.
    pub p99_us: f64,
    /// 999 of 1,000 are shorter.
    pub p999_us: f64,
    /// The longest.
    pub max_us: f64,
}

impl From<&Histogram> for Latency {
    fn from(histogram: &Histogram) -> Self {
        Self {
            p50_us: histogram.quantile_us(0.5),
            p99_us: histogram.quantile_us(0.99),
            p999_us: histogram.quantile_us(0.999),
            max_us: histogram.max_us(),
        }
    }
}

/// `value` with so many decimals.
#[must_use]
pub fn round(value: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    (value * scale).round() / scale
}

/// Prints `report` to standard output, and to standard error what makes it doubtful.
///
/// # Errors
///
/// When the report cannot be written as JSON.
pub fn print(report: &impl Serialize, as_json: bool) -> serde_json::Result<()> {
    let value = serde_json::to_value(report)?;
    if as_json {
        println!("{}", serde_json::to_string_pretty(&value)?);
    } else {
        print_lines(&value);
    }
    if value["generator_bound"] == Value::Bool(true) {
        eprintln!("warning: the generator was saturated, so this measures the generator, not the server");
    }
    if value["disturbed"] == Value::Bool(true) {
        eprintln!("warning: other processes took time from the generator or the server");
    }
    if let Some(error) = value["first_error"].as_str() {
        eprintln!("error: {} failures; the first: {error}", value["errors"]);
    }
    Ok(())
}

fn print_lines(value: &Value) {
    for (name, value) in value.as_object().into_iter().flatten() {
        match value {
            Value::Null => {}
            Value::String(text) => println!("{name:28} {text}"),
            _ => println!("{name:28} {value}"),
        }
    }
}
