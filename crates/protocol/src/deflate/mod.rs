//! The extension permessage-deflate (RFC 7692): compressed messages.
//!
//! The module owns the negotiation, both directions' compression states, and the figures of their memory. It
//! must not know sockets, or which messages are worth compressing: [`Config::min_size`] is for the caller.
//!
//! | who | does what |
//! |---|---|
//! | server | [`negotiate`] over the offers of the request; [`Agreement::response`] into the response |
//! | client | [`offer`] into the request; [`accept_response`] over the response |
//! | both | [`MessageReader::with_deflate`](crate::MessageReader::with_deflate) with [`Agreement::reading`] |
//! | both | [`Deflater::new`] with [`Agreement::writing`]; [`write_compressed_frame`] |
//! | both, for large messages | [`Deflater::begin`], [`Deflation::push`] piece by piece, [`Deflation::finish`] |
//!
//! Without context takeover nothing is held between messages: [`Deflater`]s may serve all connections of a
//! thread whose [`Direction`]s are equal, and an [`InflaterPool`] lends readers their state message by message.
//!
//! Each message is bounded, but one read of 64 KiB may hold sixty messages that inflate to the limit. Whoever
//! queues events must therefore be ready to stop between two calls of
//! [`MessageReader::read`](crate::MessageReader::read) and keep the rest of the input for later: bytes that are not
//! consumed are left as they came.

mod config;
mod deflater;
mod inflater;
mod memory;
mod negotiation;

pub use config::{BadConfig, Config, MAX_WINDOW_BITS, MIN_WINDOW_BITS};
pub use deflater::{write_compressed_frame, Deflater, Deflation};
pub use inflater::InflaterPool;
pub(crate) use inflater::Inflation;
pub use memory::{deflater_size, INFLATER_SIZE};
pub use negotiation::{accept_response, negotiate, offer, Agreement, BadAnswer, Direction};

/// The registered name of the extension (RFC 7692 section 9.1).
pub const NAME: &str = "permessage-deflate";

/// What ends every flushed piece of deflate data, and is left out on the wire (section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
