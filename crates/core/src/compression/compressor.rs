//! One connection's side of compression: what it agreed to, and what waits for its turn.
//!
//! A message that is compressed by a job keeps its place: what is sent behind it waits in a line, and counts in the
//! outbound buffer, until the job is done. Control frames go ahead (RFC 6455, section 5.4 lets them).

use std::collections::VecDeque;
use std::time::Instant;

use django_bolt_protocol::deflate::{write_compressed_frame, Agreement, Config, Deflater};
use django_bolt_protocol::frame::{write_frame, Opcode};
use django_bolt_protocol::reader::Role;

use super::job::HeldMessage;
use super::jobs::{Finished, JobId};
use super::{Compressions, Parameters, KEEP_UP_TO};
use crate::outbound::{Outbound, SEAL_AT};
use crate::payload::{Payload, SHARE_FROM};

/// Where a connection's messages go.
pub(crate) struct Output<'a> {
    pub(crate) outbound: &'a mut Outbound,
    pub(crate) compressions: &'a mut Compressions,
    /// The connection's.
    pub(crate) token: usize,
}

/// The writing side of one connection's agreement.
pub(crate) struct Compressor {
    parameters: Parameters,
    /// Bytes of payload below which a message is sent plain.
    min_size: usize,
    /// Least message to be given to us: `min_size`, or all while there is a line, which none may pass.
    takes_from: usize,
    /// With context takeover, from the first message on; a job has it meanwhile.
    own: Option<Deflater>,
    line: Option<Box<Line>>,
}

/// Messages in the order in which they were sent.
struct Line {
    /// Is being compressed.
    first: HeldMessage,
    job: JobId,
    behind: VecDeque<Held>,
}

enum Held {
    Message(HeldMessage),
    /// Whole frames as they are sent.
    Frames(Vec<u8>),
}

impl Held {
    fn cost(&self) -> usize {
        match self {
            Self::Message(message) => message.cost(),
            Self::Frames(frames) => frames.len(),
        }
    }
}

impl Line {
    fn push_message(&mut self, outbound: &mut Outbound, message: HeldMessage) {
        outbound.hold(message.cost());
        self.behind.push_back(Held::Message(message));
    }

    fn push_frame(&mut self, outbound: &mut Outbound, write: impl FnOnce(&mut Vec<u8>)) {
        if !matches!(self.behind.back(), Some(Held::Frames(frames)) if frames.len() < SEAL_AT) {
            self.behind.push_back(Held::Frames(Vec::new()));
        }
        if let Some(Held::Frames(frames)) = self.behind.back_mut() {
            let before = frames.len();
            write(frames);
            outbound.hold(frames.len() - before);
        }
    }
}

impl Compressor {
    pub(crate) fn new(agreement: &Agreement, config: Config) -> Self {
        let parameters = Parameters {
            direction: agreement.writing(Role::Server),
            level: config.level,
            memory_level: config.memory_level,
        };
        Self {
            parameters,
            min_size: config.min_size,
            takes_from: config.min_size,
            own: None,
            line: None,
        }
    }

    /// Whether a message of this length is to be given to us.
    #[inline]
    pub(crate) fn takes(&self, len: usize) -> bool {
        len >= self.takes_from
    }

    /// Whether messages wait for the one that is being compressed.
    pub(crate) fn has_line(&self) -> bool {
        self.line.is_some()
    }

    /// Append a message, compressed where that makes it smaller; or put it off, if that takes long.
    pub(crate) fn push(&mut self, output: &mut Output<'_>, opcode: Opcode, payload: &Payload<'_, '_>) {
        if self.line.is_some() {
            return self.push_behind(output, opcode, payload);
        }
        let is_done = if self.keeps_context() {
            self.push_with_context(output, opcode, payload)
        } else {
            self.push_shared(output, opcode, payload)
        };
        if !is_done {
            self.put_off(output, HeldMessage::new(opcode, payload), VecDeque::new());
        }
    }

    /// Append a frame behind all messages; false, with nothing done, if none waits.
    pub(crate) fn push_frame(&mut self, output: &mut Output<'_>, frame: &[u8]) -> bool {
        if let Some(line) = &mut self.line {
            line.push_frame(output.outbound, |tail| tail.extend_from_slice(frame));
        }
        self.line.is_some()
    }

    /// Append a message that a job has compressed, and what waited behind it.
    pub(crate) fn on_finished(&mut self, output: &mut Output<'_>, finished: &mut Finished) {
        let Some(line) = self.line.take_if(|line| line.job == finished.id) else {
            return;
        };
        if self.keeps_context() {
            self.own = finished.own.take();
        }
        let payload = finished.deflated.as_ref();
        output.outbound.release(line.first.cost());
        output.outbound.push_held(
            line.first.opcode,
            payload.is_some(),
            payload.unwrap_or(&finished.message.payload),
        );
        self.go_on(output, line.behind);
    }

    /// Send what waits plain, at once; false if nothing did. With context takeover the context is forgotten, as a
    /// compressor may at any time.
    pub(crate) fn give_up(&mut self, output: &mut Output<'_>) -> bool {
        let Some(line) = self.line.take() else {
            return false;
        };
        output.compressions.jobs.leave(line.job, output.token);
        self.takes_from = self.min_size;
        push_plain(output.outbound, Held::Message(line.first));
        for held in line.behind {
            push_plain(output.outbound, held);
        }
        true
    }

    /// Forget what waits.
    pub(crate) fn abandon(&mut self, compressions: &mut Compressions, token: usize) {
        if let Some(line) = self.line.take() {
            compressions.jobs.leave(line.job, token);
        }
    }

    fn keeps_context(&self) -> bool {
        self.parameters.direction.context_takeover
    }

    fn push_behind(&mut self, output: &mut Output<'_>, opcode: Opcode, payload: &Payload<'_, '_>) {
        let Some(line) = &mut self.line else { return };
        let bytes = payload.as_bytes();
        if bytes.len() < self.min_size.min(SHARE_FROM) {
            line.push_frame(output.outbound, |tail| write_frame(tail, opcode, bytes, None));
        } else {
            line.push_message(output.outbound, HeldMessage::new(opcode, payload));
        }
    }

    /// Compress with what the other connections use, too; false if there is no time for it.
    fn push_shared(&mut self, output: &mut Output<'_>, opcode: Opcode, payload: &Payload<'_, '_>) -> bool {
        let has_time = output
            .compressions
            .has_time_for(&self.parameters, payload.as_bytes().len());
        let Compressions {
            shared,
            scratch,
            spent,
            ..
        } = &mut *output.compressions;
        let shared = shared.get(self.parameters);
        let frame = match shared.known(opcode, payload) {
            Some(frame) => frame,
            None if !has_time => return false,
            None => {
                let start = Instant::now();
                let frame = shared.compress(scratch, opcode, payload);
                *spent += start.elapsed();
                frame
            }
        };
        match frame {
            Some(frame) => output.outbound.push_encoded(frame),
            None => output.outbound.push_message(opcode, payload),
        }
        true
    }

    /// Compress with what this connection alone has; false if there is no time for it.
    fn push_with_context(
        &mut self,
        output: &mut Output<'_>,
        opcode: Opcode,
        payload: &Payload<'_, '_>,
    ) -> bool {
        let compressions = &mut *output.compressions;
        if !compressions.has_time_for(&self.parameters, payload.as_bytes().len()) {
            return false;
        }
        let start = Instant::now();
        let scratch = &mut compressions.scratch;
        scratch.clear();
        let parameters = &self.parameters;
        let deflater = self.own.get_or_insert_with(|| parameters.deflater());
        deflater.deflate(payload.as_bytes(), scratch);
        compressions.spent += start.elapsed();
        output
            .outbound
            .append(|tail| write_compressed_frame(tail, opcode, scratch, None));
        scratch.shrink_to(KEEP_UP_TO);
        true
    }

    /// Have a message compressed by a job, with what stands behind it.
    fn put_off(&mut self, output: &mut Output<'_>, first: HeldMessage, behind: VecDeque<Held>) {
        output.outbound.hold(first.cost());
        let own = if self.keeps_context() {
            Some(self.own.take().unwrap_or_else(|| self.parameters.deflater()))
        } else {
            None
        };
        let job = output
            .compressions
            .jobs
            .add(self.parameters, &first, own, output.token);
        self.takes_from = 0;
        self.line = Some(Box::new(Line { first, job, behind }));
    }

    /// Append what has waited, up to the next message that is to be compressed.
    fn go_on(&mut self, output: &mut Output<'_>, mut behind: VecDeque<Held>) {
        self.takes_from = self.min_size;
        while let Some(held) = behind.pop_front() {
            match held {
                Held::Message(message) if self.takes(message.len()) => {
                    output.outbound.release(message.cost());
                    return self.put_off(output, message, behind);
                }
                held => push_plain(output.outbound, held),
            }
        }
    }
}

/// Append what was held as it is.
fn push_plain(outbound: &mut Outbound, held: Held) {
    outbound.release(held.cost());
    match held {
        Held::Message(message) => outbound.push_held(message.opcode, false, &message.payload),
        Held::Frames(frames) => outbound.append(|tail| tail.extend_from_slice(&frames)),
    }
}
