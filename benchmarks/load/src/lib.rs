//! A WebSocket load generator on one thread, and the bare server it is calibrated against.
//!
//! Every frame sent is masked and every answer is compared byte for byte, yet neither costs much: the
//! frames to send and the frames to expect are laid out once (`messages`), sent by slices of that table
//! and compared with it where they arrive, without being parsed or copied. Bytes that differ go through
//! a real parser (`connection`), which answers Ping and Close and joins fragments.

#![forbid(unsafe_code)]

pub mod compression;
pub mod connection;
pub mod handshake;
pub mod histogram;
pub mod limit;
pub mod messages;
pub mod outbox;
pub mod pool;
pub mod process;
pub mod random;
pub mod report;
pub mod scenarios;
pub mod target;
pub mod wire;
