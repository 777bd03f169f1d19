//! The messages of a run, laid out once: what is sent, masked, and what must come back.
//!
//! Frames stand side by side in one table, so that several of them are one slice: one write to send them, one
//! comparison to check them. The table is a ring of different messages, longer than what is ever in flight, so that a
//! lost, doubled or swapped answer shows.

use clap::ValueEnum;
use serde::Serialize;

use crate::compression::deflate;
use crate::random::Random;
use crate::wire::{opcode, push_client_frame, push_server_frame, RSV1};

/// Messages in a ring, unless in flight are more; few enough that small ones stay in the first-level cache.
const RING_LENGTH: usize = 256;
const MAX_TABLE_SIZE: usize = 1 << 20;
/// What the text of JSON messages is made of, so that it compresses as text does.
const WORDS: [&str; 8] = [
    "the ", "room ", "is ", "full ", "of ", "people ", "tonight ", "again ",
];

/// What messages hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// Text messages of random printable ASCII.
    Text,
    /// Binary messages of random bytes.
    Binary,
    /// Text messages that are JSON objects, `{"id":12345678,"text":"..."}`, without blanks between tokens.
    Json,
}

/// What the messages of a run look like.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Bytes in a message sent; JSON has 25 at least.
    pub size: usize,
    /// What the server puts in front of its answer.
    pub prefix: Vec<u8>,
    /// What they hold.
    pub content: Content,
    /// Offer permessage-deflate without context takeover, and send compressed messages.
    pub compressed: bool,
    /// Most messages sent at once on one connection.
    pub in_flight: usize,
}

/// The table of frames.
#[derive(Debug)]
pub struct Messages {
    /// Opcode of messages and answers.
    pub opcode: u8,
    /// Whether answers may be compressed: what arrives cannot be compared without being parsed.
    pub compressed: bool,
    ring_length: usize,
    frames: Vec<u8>,
    /// Where each frame begins; some more than a ring, as what goes out in one write may run over its end.
    starts: Vec<usize>,
    answers: Vec<u8>,
    answer_length: usize,
    answer_payload_length: usize,
}

impl Messages {
    /// Lays out the frames; the same shape gives the same messages in every run.
    #[must_use]
    pub fn new(shape: &Shape) -> Self {
        let opcode = match shape.content {
            Content::Binary => opcode::BINARY,
            Content::Text | Content::Json => opcode::TEXT,
        };
        let ring_length = RING_LENGTH
            .min(MAX_TABLE_SIZE / shape.size.max(1))
            .max(shape.in_flight + 1);
        let mut random = Random::from_seed(1);
        let (mut frames, mut starts, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ring_length {
            let payload = payload(shape, &mut random);
            starts.push(frames.len());
            push_message(&mut frames, shape, opcode, &payload, random.next_masking_key());
            push_server_frame(&mut answers, opcode, &shape.prefix, &payload);
        }
        let ring = frames.len();
        let more: Vec<usize> = (0..=shape.in_flight).map(|index| ring + starts[index]).collect();
        starts.extend(more);
        frames.extend_from_within(..starts[shape.in_flight]);
        let answer_length = answers.len() / ring_length;
        Self {
            opcode,
            compressed: shape.compressed,
            ring_length,
            frames,
            starts,
            answers,
            answer_length,
            answer_payload_length: shape.prefix.len() + shape.size,
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
        &self.frames[self.starts[first]..self.starts[first + count]]
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

fn push_message(frames: &mut Vec<u8>, shape: &Shape, opcode: u8, payload: &[u8], key: [u8; 4]) {
    if shape.compressed {
        push_client_frame(frames, opcode | RSV1, &deflate(payload), key);
    } else {
        push_client_frame(frames, opcode, payload, key);
    }
}

fn payload(shape: &Shape, random: &mut Random) -> Vec<u8> {
    match shape.content {
        Content::Json => json(shape.size, random),
        content => (0..shape.size).map(|_| random_byte(content, random)).collect(),
    }
}

fn random_byte(content: Content, random: &mut Random) -> u8 {
    // The shift leaves eight bits, the remainder fewer still: printable ASCII.
    let byte = (random.next_u64() >> 56) as u8;
    if content == Content::Binary {
        byte
    } else {
        b' ' + byte % 95
    }
}

/// A JSON object of so many bytes, in the one form in which a server that decodes it will encode it again.
fn json(size: usize, random: &mut Random) -> Vec<u8> {
    let id = 10_000_000 + random.next_u64() % 90_000_000;
    let mut text = format!("{{\"id\":{id},\"text\":\"").into_bytes();
    while text.len() + 2 < size {
        text.extend_from_slice(WORDS[random.next_u64() as usize % WORDS.len()].as_bytes());
    }
    text.truncate(size.saturating_sub(2));
    text.extend_from_slice(b"\"}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{apply_mask, parse_header};

    fn shape(size: usize, in_flight: usize) -> Shape {
        Shape {
            size,
            prefix: b"Echo: ".to_vec(),
            content: Content::Text,
            compressed: false,
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

    #[test]
    fn json_has_its_size_and_is_json() {
        for size in [26, 32, 1024] {
            let text = json(size, &mut Random::from_seed(3));
            assert_eq!(text.len(), size);
            let value: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
            assert!(value["id"].is_u64() && value["text"].is_string());
        }
    }

    #[test]
    fn compressed_frames_run_over_the_end_of_the_ring_too() {
        let compressed = Shape {
            content: Content::Json,
            compressed: true,
            ..shape(1024, 3)
        };
        let messages = Messages::new(&compressed);
        let last = messages.ring_length() - 1;
        let all = [
            messages.frames(last, 1),
            messages.frames(0, 1),
            messages.frames(1, 1),
        ]
        .concat();
        assert_eq!(messages.frames(last, 3), all);
        assert!(messages.frames(0, 1).len() < 600);
    }
}
