//! The native core of django_bolt as a Python module; `_core.pyi` is its manual.
//!
//! | module | owns | must not know |
//! |---|---|---|
//! | `reactor` | the poller, accepting, batches, timers | frames, Django |
//! | `connection` | one WebSocket: its state machine and its Python class | the poller |
//! | `hub` | topics, and who is subscribed to them | frames, sockets |
//! | `awaitable` | what `receive_*` and `send_*` return | sockets |
//! | `outbound`, `payload` | frames on their way out, without copies where it pays | limits |
//! | `compression` | permessage-deflate on the way out | connections' states |
//! | `prefetch` | hints to the processor | what they are for |
//! | `client` | the client's side without I/O, for the test client | sockets |
//!
//! `unsafe` stands in `gil_cell`, `payload`, `prefetch`, `awaitable` and, for descriptors from Python, `reactor`.

mod awaitable;
mod client;
mod compression;
mod connection;
mod errors;
mod gil_cell;
mod hub;
mod options;
mod outbound;
mod payload;
mod prefetch;
mod reactor;
mod timers;

use pyo3::prelude::*;

#[pymodule(gil_used = true)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<options::Options>()?;
    module.add_class::<connection::Connection>()?;
    module.add_class::<reactor::Reactor>()?;
    module.add_class::<hub::Hub>()?;
    module.add_class::<client::ClientProtocol>()?;
    awaitable::install_slots(module.py());
    Ok(())
}
