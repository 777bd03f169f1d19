//! One message that is compressed in the reactor's turns, piece by piece.

use std::sync::Arc;
use std::time::Instant;

use django_bolt_protocol::deflate::{Deflater, Deflation};
use django_bolt_protocol::frame::Opcode;

use super::shared::SharedDeflaters;
use super::Parameters;
use crate::payload::{HeldBytes, Payload};

/// Bytes that are compressed between two looks at the clock. See `Deflation::push` for what they take.
const PIECE: usize = 1024;
/// So many bytes tell how small the whole will get; if it does not, the rest is left alone.
const SAMPLE: usize = 32 * PIECE;

/// What a message that waits costs besides its payload, in bytes: its places in queues, and references.
const OVERHEAD: usize = 96;

/// A message that waits for its turn.
#[derive(Clone)]
pub(crate) struct HeldMessage {
    pub(super) opcode: Opcode,
    pub(super) payload: Arc<HeldBytes>,
}

impl HeldMessage {
    pub(super) fn new(opcode: Opcode, payload: &Payload<'_, '_>) -> Self {
        Self {
            opcode,
            payload: Arc::new(payload.hold()),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.payload.len()
    }

    /// Bytes that it counts while it waits.
    pub(super) fn cost(&self) -> usize {
        self.len() + OVERHEAD
    }
}

pub(super) struct Job {
    pub(super) message: HeldMessage,
    pub(super) parameters: Parameters,
    /// With context takeover, the connection's compressor while no slice was begun, and again at the end.
    pub(super) own: Option<Deflater>,
    deflation: Option<Deflation>,
    /// Bytes of the message that were compressed.
    done: usize,
    out: Vec<u8>,
    /// Tokens of the connections that wait for it.
    pub(super) receivers: Vec<usize>,
}

impl Job {
    pub(super) fn new(
        parameters: Parameters,
        message: HeldMessage,
        own: Option<Deflater>,
        receiver: usize,
    ) -> Self {
        Self {
            message,
            parameters,
            own,
            deflation: None,
            done: 0,
            out: Vec::new(),
            receivers: vec![receiver],
        }
    }

    /// Whether a message of this length is done in one go.
    pub(super) fn is_short(&self) -> bool {
        self.message.len() <= self.parameters.whole_size()
    }

    /// Compress until all is done or the time has come; false if something is left.
    pub(super) fn run(&mut self, shared: &mut SharedDeflaters, until: Option<Instant>) -> bool {
        let mut deflation = match self.deflation.take() {
            Some(deflation) => deflation,
            None => self.begin(shared),
        };
        loop {
            self.push_piece(&mut deflation);
            if self.done == self.message.len() || self.is_in_vain(&mut deflation) {
                self.end(deflation, shared);
                return true;
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                self.deflation = Some(deflation);
                return false;
            }
        }
    }

    /// The compressed payload; None if the message is to be sent plain.
    pub(super) fn into_result(self) -> (HeldMessage, Option<Arc<HeldBytes>>) {
        let is_worth_it = self.keeps_context() || self.out.len() < self.done;
        let deflated = is_worth_it.then(|| Arc::new(HeldBytes::Own(self.out)));
        (self.message, deflated)
    }

    fn begin(&mut self, shared: &mut SharedDeflaters) -> Deflation {
        let own = self.own.take();
        own.unwrap_or_else(|| shared.get(self.parameters).lend()).begin()
    }

    fn push_piece(&mut self, deflation: &mut Deflation) {
        let rest = &self.message.payload[self.done..];
        let piece = &rest[..rest.len().min(PIECE)];
        deflation.push(piece, &mut self.out);
        self.done += piece.len();
    }

    /// Look once at how small it gets. With context takeover it is compressed in any case, since what comes later
    /// may refer to it.
    fn is_in_vain(&mut self, deflation: &mut Deflation) -> bool {
        if self.done != SAMPLE {
            return false;
        }
        deflation.flush(&mut self.out);
        let expected = self.message.len() / SAMPLE * self.out.len();
        // In one go: to move megabytes again and again would hold up others, too.
        self.out.reserve_exact(expected + expected / 8);
        !self.keeps_context() && self.out.len() >= self.done
    }

    fn end(&mut self, deflation: Deflation, shared: &mut SharedDeflaters) {
        let deflater = deflation.finish(&mut self.out);
        self.out.shrink_to_fit();
        if self.keeps_context() {
            self.own = Some(deflater);
        } else {
            shared.get(self.parameters).give_back(deflater);
        }
    }

    fn keeps_context(&self) -> bool {
        self.parameters.direction.context_takeover
    }
}
