//! Compressors without context takeover: one for all connections with equal parameters.

use std::sync::Arc;

use django_bolt_protocol::deflate::{write_compressed_frame, Deflater};
use django_bolt_protocol::frame::{Opcode, MAX_HEADER};
use pyo3::prelude::*;

use super::{Parameters, KEEP_UP_TO};
use crate::payload::Payload;

/// A message that was compressed for a connection, kept for the next one that it goes to.
struct Last {
    /// Keeps the object alive, so that no other can be taken for it.
    message: Py<PyAny>,
    opcode: Opcode,
    frame: Shrunk,
}

/// A compressed frame; None if compressing did not make the message smaller.
pub(super) type Shrunk = Option<Arc<[u8]>>;

/// What connections with equal parameters share.
pub(super) struct SharedDeflater {
    parameters: Parameters,
    /// None while a message is compressed in slices with it.
    deflater: Option<Deflater>,
    last: Option<Last>,
}

#[derive(Default)]
pub(super) struct SharedDeflaters(Vec<SharedDeflater>);

impl SharedDeflaters {
    /// Forget the messages that were kept for further receivers.
    pub(super) fn forget_messages(&mut self) -> Vec<Py<PyAny>> {
        self.0
            .iter_mut()
            .filter_map(|shared| shared.last.take())
            .map(|last| last.message)
            .collect()
    }

    pub(super) fn get(&mut self, parameters: Parameters) -> &mut SharedDeflater {
        let position = self.0.iter().position(|shared| shared.parameters == parameters);
        let position = position.unwrap_or_else(|| {
            self.0.push(SharedDeflater {
                parameters,
                deflater: None,
                last: None,
            });
            self.0.len() - 1
        });
        &mut self.0[position]
    }
}

impl SharedDeflater {
    /// The frame that was made for the connection before, if the message is the same object.
    pub(super) fn known(&self, opcode: Opcode, payload: &Payload<'_, '_>) -> Option<Shrunk> {
        let (last, message) = (self.last.as_ref()?, payload.owner()?);
        let is_same = last.message.is(message) && last.opcode == opcode;
        is_same.then(|| last.frame.clone())
    }

    /// Compress a message, and keep the frame for the next receiver.
    pub(super) fn compress(
        &mut self,
        scratch: &mut Vec<u8>,
        opcode: Opcode,
        payload: &Payload<'_, '_>,
    ) -> Shrunk {
        let mut deflater = self.lend();
        scratch.clear();
        let is_smaller = deflater.compress(payload.as_bytes(), scratch);
        self.give_back(deflater);
        let frame: Shrunk = is_smaller.then(|| {
            let mut frame = Vec::with_capacity(scratch.len() + MAX_HEADER);
            write_compressed_frame(&mut frame, opcode, scratch, None);
            Arc::from(frame)
        });
        scratch.shrink_to(KEEP_UP_TO);
        if let Some(message) = payload.owner() {
            // The one before is an exact `str` or `bytes`, whose end runs no Python code.
            self.last = Some(Last {
                message: message.clone().unbind(),
                opcode,
                frame: frame.clone(),
            });
        }
        frame
    }

    /// Lend the compressor, or a new one while another message has it.
    pub(super) fn lend(&mut self) -> Deflater {
        self.deflater.take().unwrap_or_else(|| self.parameters.deflater())
    }

    /// Keep one compressor for the next message.
    pub(super) fn give_back(&mut self, deflater: Deflater) {
        self.deflater.get_or_insert(deflater);
    }
}
