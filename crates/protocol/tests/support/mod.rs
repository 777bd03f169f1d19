//! What the tests of the protocol share: readers, raw frames, owned events, and a generator of numbers.
#![allow(dead_code, unreachable_pub)] // Each test file uses a part of it.

pub mod deflate;

use django_bolt_protocol::{apply_mask, Event, Input, MessageReader, ProtocolError, ReaderConfig, Role};

/// The masking key of RFC 6455 section 5.7.
pub const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub const CONTROL: [u8; 3] = [0x8, 0x9, 0xa];
pub const DATA: [u8; 2] = [0x1, 0x2];
pub const FIN: u8 = 0x80;

/// An event that owns what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owned {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

impl From<Event<'_>> for Owned {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_owned()),
            Event::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Event::Ping(payload) => Self::Ping(payload.to_vec()),
            Event::Pong(payload) => Self::Pong(payload.to_vec()),
            Event::Close(close) => Self::Close(close.code, close.reason.to_owned()),
        }
    }
}

pub fn text(text: &str) -> Owned {
    Owned::Text(text.to_owned())
}

pub fn config(role: Role) -> ReaderConfig {
    ReaderConfig {
        role,
        max_frame_size: 1 << 20,
        max_message_size: 1 << 20,
        max_fragments: 1000,
    }
}

pub fn reader(role: Role) -> MessageReader {
    MessageReader::new(config(role))
}

/// Everything that the reader makes of some bytes, up to an error.
pub fn read_all(reader: &mut MessageReader, bytes: &[u8]) -> (Vec<Owned>, Option<ProtocolError>) {
    let mut bytes = bytes.to_vec();
    let mut input = Input::new(&mut bytes);
    let mut events = Vec::new();
    loop {
        match reader.read(&mut input) {
            Ok(Some(event)) => events.push(event.into()),
            Ok(None) => {
                assert!(input.is_empty(), "None means that all input is consumed");
                return (events, None);
            }
            Err(error) => return (events, Some(error)),
        }
    }
}

/// What a server makes of bytes that arrive at once.
pub fn server(bytes: &[u8]) -> (Vec<Owned>, Option<ProtocolError>) {
    read_all(&mut reader(Role::Server), bytes)
}

/// What a client makes of bytes that arrive at once.
pub fn client(bytes: &[u8]) -> (Vec<Owned>, Option<ProtocolError>) {
    read_all(&mut reader(Role::Client), bytes)
}

/// What a server makes of bytes that arrive one by one.
pub fn server_by_bytes(bytes: &[u8]) -> (Vec<Owned>, Option<ProtocolError>) {
    let mut reader = reader(Role::Server);
    let mut events = Vec::new();
    for byte in bytes {
        let (more, error) = read_all(&mut reader, &[*byte]);
        events.extend(more);
        if error.is_some() {
            return (events, error);
        }
    }
    (events, None)
}

/// A masked frame, built by hand so that it may be wrong: `first` is FIN, reserved bits and opcode.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, 0x80, payload.len() as u64);
    frame.extend_from_slice(&KEY);
    let start = frame.len();
    frame.extend_from_slice(payload);
    apply_mask(&mut frame[start..], KEY, 0);
    frame
}

/// An unmasked frame, built by hand.
pub fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, 0, payload.len() as u64);
    frame.extend_from_slice(payload);
    frame
}

/// A header up to its masking key, with the payload length encoded minimally.
pub fn header(first: u8, mask_bit: u8, payload_len: u64) -> Vec<u8> {
    let mut header = vec![first];
    match payload_len {
        0..=125 => header.push(mask_bit | payload_len as u8),
        126..=0xffff => {
            header.push(mask_bit | 126);
            header.extend_from_slice(&(payload_len as u16).to_be_bytes());
        }
        _ => {
            header.push(mask_bit | 127);
            header.extend_from_slice(&payload_len.to_be_bytes());
        }
    }
    header
}

/// Xorshift: numbers that look random and are the same in every run.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// JSON that looks like what applications send; numbers differ from object to object.
pub fn json(numbers: &mut Numbers, len: usize) -> String {
    const NAMES: [&str; 6] = [
        "alice",
        "bob",
        "charlotte",
        "dmitri",
        "\u{e9}lodie",
        "\u{4e2d}\u{6587}",
    ];
    let mut text = String::from("[");
    while text.len() < len {
        let (id, room, price) = (numbers.below(100_000), numbers.below(50), numbers.below(1000));
        let name = NAMES[numbers.below(NAMES.len())];
        text += &format!(
            "{{\"id\":{id},\"user\":\"{name}\",\"text\":\"hello from room {room}\",\"price\":{price}}},"
        );
    }
    while text.len() > len || !text.is_char_boundary(text.len()) {
        text.pop();
    }
    text
}
