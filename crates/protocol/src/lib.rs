//! The WebSocket protocol (RFC 6455, RFC 7692) without I/O: bytes in, events and bytes out.
//!
//! The crate owns the opening handshake of both sides, frames, messages, masking, UTF-8 and close codes.
//! It must not know sockets, clocks, threads or Python; whoever holds the connection feeds it bytes and
//! sends what it writes. Unsafe code is forbidden. [`deflate`] has the compression of messages.
//!
//! ```
//! use django_bolt_protocol::{write_frame, Event, Input, MessageReader, Opcode, ReaderConfig, Role};
//!
//! let mut bytes = Vec::new();
//! write_frame(&mut bytes, Opcode::Text, b"Hello", Some([0x37, 0xfa, 0x21, 0x3d]));
//!
//! let mut reader = MessageReader::new(ReaderConfig {
//!     role: Role::Server,
//!     max_frame_size: 1 << 20,
//!     max_message_size: 1 << 20,
//!     max_fragments: 1024,
//! });
//! let mut input = Input::new(&mut bytes);
//! assert_eq!(reader.read(&mut input), Ok(Some(Event::Text("Hello"))));
//! assert_eq!(reader.read(&mut input), Ok(None));
//! ```
#![forbid(unsafe_code)]

pub mod client;
pub mod close;
mod config;
pub mod deflate;
pub mod error;
mod event;
pub mod extension;
pub mod frame;
mod frame_header;
pub mod handshake;
pub mod header;
mod input;
pub mod mask;
mod message;
pub mod reader;
mod response;
pub mod utf8;
mod whole_message;

pub use client::{parse_response, write_request, HandshakeError, Request, Response};
pub use close::{is_receivable, is_sendable, ClosePayload, MAX_REASON};
pub use error::ProtocolError;
pub use frame::{write_close, write_frame, write_header, Opcode, MAX_HEADER};
pub use handshake::{
    accept_key, header_fields, header_values, parse_head, Head, Refusal, RequestHead, Upgrade,
};
pub use header::BadHeader;
pub use mask::apply_mask;
pub use reader::{Event, Input, MessageReader, ReaderConfig, Role};
pub use response::{write_accept, write_accept_with_deflate, write_refusal, write_response};
