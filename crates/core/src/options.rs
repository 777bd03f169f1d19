//! Limits and times of a reactor.

use std::time::Duration;

use django_bolt_protocol::reader::{ReaderConfig, Role};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// See the stub for the documentation of each field.
#[pyclass(frozen, from_py_object, module = "django_bolt._core")]
#[derive(Clone, Copy)]
pub(crate) struct Options {
    pub(crate) max_message_size: u64,
    pub(crate) max_frame_size: u64,
    pub(crate) max_fragments: u32,
    pub(crate) max_head_size: usize,
    pub(crate) max_connections: usize,
    pub(crate) inbound_limit: usize,
    pub(crate) outbound_limit: usize,
    pub(crate) message_rate: f64,
    pub(crate) byte_rate: f64,
    /// Whether a connection over its rate is read more slowly instead of closed.
    pub(crate) rate_waits: bool,
    pub(crate) handshake_timeout: Timeout,
    pub(crate) ping_interval: Timeout,
    pub(crate) ping_timeout: Timeout,
    pub(crate) close_timeout: Timeout,
    pub(crate) disconnect_grace: Timeout,
}

/// A span of time in milliseconds, or none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timeout(Option<u64>);

impl Timeout {
    /// The moment this long after `now`; None when the timer is off.
    pub(crate) fn after(self, now: u64) -> Option<u64> {
        self.0.map(|span| now + span)
    }

    fn from_seconds(name: &str, seconds: f64) -> PyResult<Self> {
        if seconds == 0.0 {
            return Ok(Self(None));
        }
        let span = Duration::try_from_secs_f64(seconds).map_err(|_| {
            PyValueError::new_err(format!(
                "{name} must be 0 or a positive number of seconds, not {seconds}"
            ))
        })?;
        Ok(Self(Some(
            u64::try_from(span.as_millis())
                .unwrap_or(u64::MAX / 2)
                .clamp(1, u64::MAX / 2),
        )))
    }
}

fn check_rate(name: &str, rate: f64) -> PyResult<f64> {
    if rate.is_finite() && rate >= 0.0 {
        return Ok(rate);
    }
    Err(PyValueError::new_err(format!(
        "{name} must be 0 or a positive number a second, not {rate}"
    )))
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_message_size: 1_048_576,
            max_frame_size: 1_048_576,
            max_fragments: 131_072,
            max_head_size: 16_384,
            max_connections: 10_000,
            inbound_limit: 1_048_576,
            outbound_limit: 4_194_304,
            message_rate: 0.0,
            byte_rate: 0.0,
            rate_waits: false,
            handshake_timeout: Timeout(Some(10_000)),
            ping_interval: Timeout(Some(20_000)),
            ping_timeout: Timeout(Some(20_000)),
            close_timeout: Timeout(Some(5_000)),
            disconnect_grace: Timeout(Some(10_000)),
        }
    }
}

impl Options {
    pub(crate) fn reader_config(&self) -> ReaderConfig {
        ReaderConfig {
            role: Role::Server,
            max_frame_size: self.max_frame_size,
            max_message_size: self.max_message_size,
            max_fragments: self.max_fragments,
        }
    }
}

#[pymethods]
impl Options {
    #[new]
    #[pyo3(signature = (*, max_message_size=1_048_576, max_frame_size=1_048_576, max_fragments=131_072, max_head_size=16_384,
        max_connections=10_000, inbound_limit=1_048_576, outbound_limit=4_194_304, message_rate=0.0, byte_rate=0.0,
        rate_waits=false, handshake_timeout=10.0,
        ping_interval=20.0, ping_timeout=20.0, close_timeout=5.0, disconnect_grace=10.0))]
    #[allow(
        clippy::too_many_arguments,
        reason = "keyword-only settings, named at every call"
    )]
    fn new(
        max_message_size: u64,
        max_frame_size: u64,
        max_fragments: u32,
        max_head_size: usize,
        max_connections: usize,
        inbound_limit: usize,
        outbound_limit: usize,
        message_rate: f64,
        byte_rate: f64,
        rate_waits: bool,
        handshake_timeout: f64,
        ping_interval: f64,
        ping_timeout: f64,
        close_timeout: f64,
        disconnect_grace: f64,
    ) -> PyResult<Self> {
        Ok(Self {
            max_message_size,
            max_frame_size,
            max_fragments,
            max_head_size,
            max_connections,
            inbound_limit,
            outbound_limit,
            message_rate: check_rate("message_rate", message_rate)?,
            byte_rate: check_rate("byte_rate", byte_rate)?,
            rate_waits,
            handshake_timeout: Timeout::from_seconds("handshake_timeout", handshake_timeout)?,
            ping_interval: Timeout::from_seconds("ping_interval", ping_interval)?,
            ping_timeout: Timeout::from_seconds("ping_timeout", ping_timeout)?,
            close_timeout: Timeout::from_seconds("close_timeout", close_timeout)?,
            disconnect_grace: Timeout::from_seconds("disconnect_grace", disconnect_grace)?,
        })
    }
}
