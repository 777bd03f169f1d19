//! The messages of a run, laid out once: what is sent, masked, and what must come back.
//!
//! Frames of one table all have the same length and stand side by side, so that several of them are one
//! slice: one write to send them, one comparison to check them. The table is a ring of different messages,
//! longer than what is ever in flight, so that a lost, doubled or swapped answer shows.

use crate::random::Random;
use crate::wire::{opcode, push_client_frame, push_server_frame};

/// Messages in a ring, unless in flight are more; few enough that small ones stay in the first-level cache.
const RING_LENGTH: usize = 256;
const MAX_TABLE_SIZE: usize = 1 << 20;

/// What the messages of a run look like.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Bytes in a message sent.
    pub size: usize,
    /// What the server puts in front of its answer.
    pub prefix: Vec<u8>,
    /// Binary messages instead of text.
    pub binary: bool,
    /// Most messages in flight on one connection.
    pub in_flight: usize,
}

/// The table of frames.
#[derive(Debug)]
pub struct Messages {
    /// Opcode of messages and answers.
    pub opcode: u8,
    ring_length: usize,
    frames: Vec<u8>,
    frame_length: usize,
    answers: Vec<u8>,
    answer_length: usize,
    answer_payload_length: usize,
}

impl Messages {
    /// Lays out the frames; the same shape gives the same messages in every run.
    #[must_use]
    pub fn new(shape: &Shape) -> Self {
        let opcode = if shape.binary {
            opcode::BINARY
        } else {
            opcode::TEXT
        };
        let ring_length = RING_LENGTH
            .min(MAX_TABLE_SIZE / shape.size.max(1))
            .max(shape.in_flight + 1);
        let mut random = Random::from_seed(1);
        let (mut frames, mut answers) = (Vec::new(), Vec::new());
        for _ in 0..ring_length {
            let payload = payload(shape, &mut random);
            push_client_frame(&mut frames, opcode, &payload, random.next_masking_key());
            push_server_frame(&mut answers, opcode, &shape.prefix, &payload);
        }
        let (frame_length, answer_length) = (frames.len() / ring_length, answers.len() / ring_length);
        // What goes out in one write may run over the ring's end.
        frames.extend_from_within(..shape.in_flight * frame_length);
        let answer_payload_length = shape.prefix.len() + shape.size;
        Self {
            opcode,
            ring_length,
            frames,
            frame_length,
            answers,
            answer_length,
            answer_payload_length,
        }
    }

    /// Number of different messages.
    #[must_use]
    pub const fn ring_length(&self) -> usize {
        self.ring_length
    }

    /// The frames of `count` messages from number `first` of the ring on; `count` is at most `in_flight`.
    #[must_use]
    pub fn frames(&self, first: usize, count: usize) -> &[u8] {
        &self.frames[first * self.frame_length..(first + count) * self.frame_length]
    }

    /// Bytes in the frame of an answer.
    #[must_use]
    pub const fn answer_length(&self) -> usize {
        self.answer_length
    }

    /// The frames that must come back from answer number `first` on, up to the ring's end.
    #[must_use]
    pub fn answers_from(&self, first: usize) -> &[u8] {
        &self.answers[first * self.answer_length..]
    }

    /// The payload of answer number `index`.
    #[must_use]
    pub fn answer_payload(&self, index: usize) -> &[u8] {
        let end = (index + 1) * self.answer_length;
        &self.answers[end - self.answer_payload_length..end]
    }
}

fn payload(shape: &Shape, random: &mut Random) -> Vec<u8> {
    (0..shape.size)
        .map(|_| {
            // The shift leaves eight bits, the remainder fewer still: printable ASCII.
            let byte = (random.next_u64() >> 56) as u8;
            if shape.binary {
                byte
            } else {
                b' ' + byte % 95
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{apply_mask, parse_header};

    fn shape(size: usize, in_flight: usize) -> Shape {
        Shape {
            size,
            prefix: b"Echo: ".to_vec(),
            binary: false,
            in_flight,
        }
    }

    #[test]
    fn frames_are_masked_and_fit_their_answers() {
        let messages = Messages::new(&shape(32, 16));
        for index in 0..messages.ring_length() {
            let frame = messages.frames(index, 1);
            let Ok(Some(header)) = parse_header(frame) else {
                unreachable!("frame {index} has a good header")
            };
            let Some(key) = header.masking_key else {
                unreachable!("frame {index} is masked")
            };
            let mut payload = frame[header.length..].to_vec();
            assert!(payload != messages.answer_payload(index)[6..]);
            apply_mask(&mut payload, key);
            assert_eq!(payload, messages.answer_payload(index)[6..]);
            assert!(messages.answer_payload(index).starts_with(b"Echo: "));
        }
    }

    #[test]
    fn slices_run_over_the_end_of_the_ring() {
        let messages = Messages::new(&shape(32, 16));
        let last = messages.ring_length() - 1;
        let both = [messages.frames(last, 1), messages.frames(0, 1)].concat();
        assert_eq!(messages.frames(last, 2), both);
    }

    #[test]
    fn ring_is_longer_than_what_is_in_flight() {
        assert_eq!(Messages::new(&shape(32, 16)).ring_length(), RING_LENGTH);
        assert_eq!(Messages::new(&shape(32, 1_000)).ring_length(), 1_001);
        assert_eq!(Messages::new(&shape(1 << 20, 4)).ring_length(), 5);
    }
}
