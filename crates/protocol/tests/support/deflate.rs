//! What the tests of permessage-deflate share: agreements, payloads, and a decoder of deflate data that is
//! written from RFC 1951, so that it shares no mistake with what is tested.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // Each test file uses a part of it.

use django_bolt_protocol::deflate::{Config, Deflater, Direction};
use django_bolt_protocol::{MessageReader, Role};

/// What a sender leaves out and a receiver appends (RFC 7692 sections 7.2.1 and 7.2.2).
pub const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

pub const TAKEOVER: Direction = Direction {
    context_takeover: true,
    window_bits: 15,
};
pub const NO_TAKEOVER: Direction = Direction {
    context_takeover: false,
    window_bits: 15,
};

/// A compressor at a level.
pub fn deflater(direction: Direction, level: u8) -> Deflater {
    let config = Config {
        level,
        ..Config::default()
    };
    Deflater::new(direction, &config)
}

/// A message's compressed payload, by itself.
pub fn deflated(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    deflater(NO_TAKEOVER, 6).deflate(payload, &mut out);
    out
}

/// A reader whose peer may compress.
pub fn deflate_reader(role: Role, direction: Direction) -> MessageReader {
    MessageReader::with_deflate(super::config(role), Some(direction))
}

/// A decoder of deflate data (RFC 1951), as slow as it is short.
#[derive(Default)]
pub struct Decoder {
    /// All that was decoded so far.
    pub output: Vec<u8>,
    /// Greatest distance that a match reached back.
    pub reach: usize,
    /// Whether the last block was an empty one without compression.
    ends_empty: bool,
}

impl Decoder {
    /// Decode a message's payload after appending the tail; None if that is no sequence
    /// of whole blocks of which the tail ends an empty one.
    pub fn message(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let message = self.blocks(&[payload, &TAIL].concat())?;
        self.ends_empty.then_some(message)
    }

    /// Decode whole blocks.
    pub fn blocks(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        let start = self.output.len();
        let mut bits = Bits { data, at: 0 };
        while bits.at < data.len() * 8 {
            let is_last = bits.take(1)? == 1;
            self.ends_empty = false;
            match bits.take(2)? {
                0 => self.stored(&mut bits)?,
                1 => self.fixed(&mut bits)?,
                2 => self.dynamic(&mut bits)?,
                _ => return None,
            }
            if is_last {
                bits.at = bits.at.next_multiple_of(8);
            }
        }
        Some(self.output[start..].to_vec())
    }

    fn stored(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        bits.at = bits.at.next_multiple_of(8);
        let (len, complement) = (bits.take(16)?, bits.take(16)?);
        if len != !complement & 0xffff {
            return None;
        }
        self.ends_empty = len == 0;
        for _ in 0..len {
            self.output.push(bits.take(8)? as u8);
        }
        Some(())
    }

    fn fixed(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        let lengths = [vec![8; 144], vec![9; 112], vec![7; 24], vec![8; 8]].concat();
        self.codes(bits, &Huffman::new(&lengths), &Huffman::new(&[5; 30]))
    }

    fn dynamic(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let (literals, distances) = (bits.take(5)? + 257, bits.take(5)? + 1);
        let mut lengths = vec![0; 19];
        for at in ORDER.iter().take(bits.take(4)? + 4) {
            lengths[*at] = bits.take(3)?;
        }
        let code = Huffman::new(&lengths);
        let mut lengths = Vec::new();
        while lengths.len() < literals + distances {
            let (value, times) = match code.decode(bits)? {
                16 => (*lengths.last()?, bits.take(2)? + 3),
                17 => (0, bits.take(3)? + 3),
                18 => (0, bits.take(7)? + 11),
                length => (length, 1),
            };
            lengths.resize(lengths.len() + times, value);
        }
        let (literals, distances) = lengths.split_at(literals);
        self.codes(bits, &Huffman::new(literals), &Huffman::new(distances))
    }

    fn codes(&mut self, bits: &mut Bits<'_>, literals: &Huffman, distances: &Huffman) -> Option<()> {
        loop {
            match literals.decode(bits)? {
                literal @ 0..=255 => self.output.push(literal as u8),
                256 => return Some(()),
                symbol => {
                    let len = length(symbol - 257, bits)?;
                    let distance = distance(distances.decode(bits)?, bits)?;
                    self.reach = self.reach.max(distance);
                    for _ in 0..len {
                        let at = self.output.len().checked_sub(distance)?;
                        self.output.push(self.output[at]);
                    }
                }
            }
        }
    }
}

fn length(symbol: usize, bits: &mut Bits<'_>) -> Option<usize> {
    match symbol {
        0..=7 => Some(symbol + 3),
        28 => Some(258),
        _ => {
            let extra = symbol / 4 - 1;
            Some(((4 + symbol % 4) << extra) + 3 + bits.take(extra)?)
        }
    }
}

fn distance(symbol: usize, bits: &mut Bits<'_>) -> Option<usize> {
    match symbol {
        0..=3 => Some(symbol + 1),
        _ => {
            let extra = symbol / 2 - 1;
            Some(((2 + symbol % 2) << extra) + 1 + bits.take(extra)?)
        }
    }
}

struct Bits<'d> {
    data: &'d [u8],
    at: usize,
}

impl Bits<'_> {
    /// Bits of a number, the least significant first.
    fn take(&mut self, count: usize) -> Option<usize> {
        let mut number = 0;
        for place in 0..count {
            let byte = self.data.get(self.at / 8)?;
            number |= usize::from(byte >> (self.at % 8) & 1) << place;
            self.at += 1;
        }
        Some(number)
    }
}

/// A canonical Huffman code (RFC 1951 section 3.2.2): how many codes of each length, and symbols in their order.
struct Huffman {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Huffman {
    fn new(lengths: &[usize]) -> Self {
        let mut counts = [0; 16];
        let mut symbols: Vec<usize> = (0..lengths.len()).filter(|symbol| lengths[*symbol] > 0).collect();
        symbols.sort_by_key(|symbol| lengths[*symbol]);
        for symbol in &symbols {
            counts[lengths[*symbol]] += 1;
        }
        Self { counts, symbols }
    }

    fn decode(&self, bits: &mut Bits<'_>) -> Option<usize> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= bits.take(1)?;
            if code - first < *count {
                return Some(self.symbols[index + code - first]);
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}
