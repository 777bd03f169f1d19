//! What can be measured, one file each.

pub mod connect;
pub mod echo;
pub mod fanout;
pub mod http;
pub mod idle;
pub mod rate;

use std::time::Duration;

/// Time between the last opening handshake and the first message. A server may answer the handshake before its
/// handler runs on, to register the connection for broadcasts, say.
const SETTLE: Duration = Duration::from_millis(500);

/// Where in the ring the next connection starts; odd, so that neighbours do not send the same.
const STRIDE: usize = 61;

/// Time after the end of a measurement in which answers may still come.
const DRAIN: Duration = Duration::from_secs(5);
