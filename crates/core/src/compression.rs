//! permessage-deflate (RFC 7692) on the way out: who compresses what, and what is shared.
//!
//! Without context takeover one compressor serves all connections with equal parameters, and what goes to many of
//! them is compressed once. Knows nothing of connections' states.

use std::sync::Arc;

use django_bolt_protocol::deflate::{write_compressed_frame, Agreement, Config, Deflater, Direction};
use django_bolt_protocol::frame::Opcode;
use django_bolt_protocol::reader::Role;
use pyo3::prelude::*;

use crate::outbound::Outbound;
use crate::payload::Payload;

/// Longest message that is compressed at a level, in bytes: about 2 ms of work, for which all others wait.
const fn max_size(level: u8) -> usize {
    match level {
        0..=3 => 256 * 1024,
        4..=6 => 192 * 1024,
        _ => 64 * 1024,
    }
}
/// A scratch buffer larger than this is not kept, in bytes.
const KEEP_UP_TO: usize = 64 * 1024;

/// What the endpoint wishes; an object with these attributes.
#[derive(FromPyObject, Clone, Copy)]
pub(crate) struct Wishes {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: u8,
    client_max_window_bits: u8,
    level: u8,
    memory_level: u8,
    min_size: usize,
}

impl From<Wishes> for Config {
    fn from(wishes: Wishes) -> Self {
        Self {
            server_no_context_takeover: wishes.server_no_context_takeover,
            client_no_context_takeover: wishes.client_no_context_takeover,
            server_max_window_bits: wishes.server_max_window_bits,
            client_max_window_bits: wishes.client_max_window_bits,
            level: wishes.level,
            memory_level: wishes.memory_level,
            min_size: wishes.min_size,
        }
    }
}

/// What two connections must have in common to share a compressor.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Parameters {
    direction: Direction,
    level: u8,
    memory_level: u8,
}

/// A message that was compressed for a connection, kept for the next one that it goes to.
struct Last {
    /// Keeps the object alive, so that no other can be taken for it.
    message: Py<PyAny>,
    opcode: Opcode,
    /// The frame; None if compressing did not make the message smaller.
    frame: Option<Arc<[u8]>>,
}

struct SharedDeflater {
    parameters: Parameters,
    deflater: Deflater,
    last: Option<Last>,
}

/// The compressors of a reactor that serve many connections each.
#[derive(Default)]
pub(crate) struct SharedDeflaters {
    deflaters: Vec<SharedDeflater>,
    scratch: Vec<u8>,
}

impl SharedDeflaters {
    /// Forget the messages that were kept for further receivers.
    pub(crate) fn forget_messages(&mut self) -> Vec<Py<PyAny>> {
        self.deflaters
            .iter_mut()
            .filter_map(|shared| shared.last.take())
            .map(|last| last.message)
            .collect()
    }

    fn get(&mut self, parameters: Parameters, config: &Config) -> (&mut SharedDeflater, &mut Vec<u8>) {
        let position = self
            .deflaters
            .iter()
            .position(|shared| shared.parameters == parameters);
        let position = position.unwrap_or_else(|| {
            let deflater = Deflater::new(parameters.direction, config);
            self.deflaters.push(SharedDeflater {
                parameters,
                deflater,
                last: None,
            });
            self.deflaters.len() - 1
        });
        (&mut self.deflaters[position], &mut self.scratch)
    }
}

/// The writing side of one connection's agreement.
pub(crate) struct Compressor {
    parameters: Parameters,
    config: Config,
    /// With context takeover, from the first message on.
    own: Option<Deflater>,
}

impl Compressor {
    pub(crate) fn new(agreement: &Agreement, config: Config) -> Self {
        let direction = agreement.writing(Role::Server);
        let parameters = Parameters {
            direction,
            level: config.level,
            memory_level: config.memory_level,
        };
        Self {
            parameters,
            config,
            own: None,
        }
    }

    /// Whether a message of this length is worth it.
    #[inline]
    pub(crate) fn takes(&self, len: usize) -> bool {
        (self.config.min_size..=max_size(self.config.level)).contains(&len)
    }

    /// Append a message, compressed where that makes it smaller.
    pub(crate) fn push(
        &mut self,
        outbound: &mut Outbound,
        shared: &mut SharedDeflaters,
        opcode: Opcode,
        payload: &Payload<'_, '_>,
    ) {
        if self.parameters.direction.context_takeover {
            return self.push_with_context(outbound, &mut shared.scratch, opcode, payload);
        }
        let (shared, scratch) = shared.get(self.parameters, &self.config);
        match shared.frame(scratch, opcode, payload) {
            Some(frame) => outbound.push_encoded(frame),
            None => outbound.push_message(opcode, payload),
        }
    }

    fn push_with_context(
        &mut self,
        outbound: &mut Outbound,
        scratch: &mut Vec<u8>,
        opcode: Opcode,
        payload: &Payload<'_, '_>,
    ) {
        let (direction, config) = (self.parameters.direction, &self.config);
        let deflater = self.own.get_or_insert_with(|| Deflater::new(direction, config));
        scratch.clear();
        deflater.deflate(payload.as_bytes(), scratch);
        outbound.append(|tail| write_compressed_frame(tail, opcode, scratch, None));
        scratch.shrink_to(KEEP_UP_TO);
    }
}

impl SharedDeflater {
    /// The compressed frame of a message, as it was made for the connection before if it is the same object.
    fn frame(
        &mut self,
        scratch: &mut Vec<u8>,
        opcode: Opcode,
        payload: &Payload<'_, '_>,
    ) -> Option<Arc<[u8]>> {
        let message = payload.owner();
        if let (Some(last), Some(message)) = (&self.last, message) {
            if last.message.is(message) && last.opcode == opcode {
                return last.frame.clone();
            }
        }
        let frame = self.compress(scratch, opcode, payload.as_bytes());
        if let Some(message) = message {
            let message = message.clone().unbind();
            // The one before is an exact `str` or `bytes`, whose end runs no Python code.
            self.last = Some(Last {
                message,
                opcode,
                frame: frame.clone(),
            });
        }
        frame
    }

    fn compress(&mut self, scratch: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) -> Option<Arc<[u8]>> {
        scratch.clear();
        let is_smaller = self.deflater.compress(payload, scratch);
        let frame = is_smaller.then(|| {
            let mut frame = Vec::with_capacity(scratch.len() + 10);
            write_compressed_frame(&mut frame, opcode, scratch, None);
            Arc::from(frame)
        });
        scratch.shrink_to(KEEP_UP_TO);
        frame
    }
}
