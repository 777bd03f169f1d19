//! However a stream is cut into reads, the reader makes the same of it: a property over generated streams.

mod support;

use django_bolt_protocol::deflate::{Deflater, Direction};
use django_bolt_protocol::{MessageReader, ProtocolError, Role};
use support::deflate::{deflate_reader, deflater, NO_TAKEOVER, TAIL, TAKEOVER};
use support::{client, json, masked, read_all, reader, server, unmasked, Numbers, Owned};

const STREAMS: u64 = 300;
const COMPRESSED_STREAMS: u64 = 120;
const SPLITS: usize = 5;

/// A stream of whole messages, fragmented ones and control frames, perhaps with something wrong in it.
fn stream(numbers: &mut Numbers, frame: fn(u8, &[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=numbers.below(8) {
        match numbers.below(8) {
            0..=2 => bytes.extend(frame(0x81, sample(numbers).as_bytes())),
            3 => {
                let len = [0, 5, 125, 126, 300, 1000, 2000, 66_000][numbers.below(8)];
                bytes.extend(frame(0x82, &numbers.bytes(len)));
            }
            4 | 5 => bytes.extend(fragments(numbers, frame)),
            6 => bytes.extend(control(numbers, frame)),
            _ => bytes.extend(blunder(numbers, frame)),
        }
    }
    bytes
}

fn sample(numbers: &mut Numbers) -> String {
    let len = [0, 1, 7, 31, 32, 33, 100, 200][numbers.below(8)];
    (0..len)
        .map(|_| ['a', '\u{e9}', '\u{20ac}', '\u{1f600}'][numbers.below(4)])
        .collect()
}

fn control(numbers: &mut Numbers, frame: fn(u8, &[u8]) -> Vec<u8>) -> Vec<u8> {
    let len = [0, 1, 125][numbers.below(3)];
    frame([0x89, 0x8a][numbers.below(2)], &numbers.bytes(len))
}

fn fragments(numbers: &mut Numbers, frame: fn(u8, &[u8]) -> Vec<u8>) -> Vec<u8> {
    let text = sample(numbers);
    let mut rest = text.as_bytes();
    let mut bytes = Vec::new();
    let mut opcode = [0x1, 0x2][numbers.below(2)];
    for _ in 0..numbers.below(4) {
        let (head, tail) = rest.split_at(numbers.below(rest.len() + 1));
        bytes.extend(frame(opcode, head));
        if numbers.below(3) == 0 {
            bytes.extend(control(numbers, frame));
        }
        (rest, opcode) = (tail, 0x0);
    }
    bytes.extend(frame(0x80 | opcode, rest));
    bytes
}

fn blunder(numbers: &mut Numbers, frame: fn(u8, &[u8]) -> Vec<u8>) -> Vec<u8> {
    match numbers.below(8) {
        0 => frame(0x81, b"bad \xff text"),
        1 => frame(0x83, b""),
        2 => frame(0x80, b"continues nothing"),
        3 => frame(0x88, b"\x03"),
        4 => frame(0xc1, b"reserved bit"),
        5 => frame(0x81, b"ends inside \xe2\x82"),
        6 => frame(0x88, b"\x03\xe8bye"),
        _ => numbers.bytes(20),
    }
}

fn read_in_pieces(
    mut reader: MessageReader,
    bytes: &[u8],
    numbers: &mut Numbers,
) -> (Vec<Owned>, Option<ProtocolError>) {
    let mut events = Vec::new();
    let most = [1, 3, 20, 1000, 100_000][numbers.below(5)];
    let mut rest = bytes;
    while !rest.is_empty() {
        // Nothing at all is a read, too.
        let (piece, after) = rest.split_at(numbers.below(most + 1).min(rest.len()));
        let (more, error) = read_all(&mut reader, piece);
        events.extend(more);
        if error.is_some() {
            return (events, error);
        }
        rest = after;
    }
    (events, None)
}

#[test]
fn any_split_gives_the_same_events_and_the_same_error() {
    let mut failed = 0;
    for seed in 0..STREAMS {
        let mut numbers = Numbers::new(seed);
        let (role, bytes) = match seed % 2 {
            0 => (Role::Server, stream(&mut numbers, masked)),
            _ => (Role::Client, stream(&mut numbers, unmasked)),
        };
        let expected = if role == Role::Server {
            server(&bytes)
        } else {
            client(&bytes)
        };
        failed += u64::from(expected.1.is_some());
        for _ in 0..SPLITS {
            assert_eq!(
                read_in_pieces(reader(role), &bytes, &mut numbers),
                expected,
                "seed {seed}"
            );
        }
    }
    assert!(
        failed > STREAMS / 10 && failed < STREAMS * 9 / 10,
        "streams of both kinds: {failed} failed"
    );
}

/// As `stream`, with compressed messages in it, some of them broken.
fn compressed_stream(
    numbers: &mut Numbers,
    frame: fn(u8, &[u8]) -> Vec<u8>,
    deflater: &mut Deflater,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=numbers.below(6) {
        match numbers.below(6) {
            0 => bytes.extend(stream(numbers, frame)),
            1 => bytes.extend(control(numbers, frame)),
            _ => {
                let payload = compressed_payload(numbers, deflater);
                let cut = numbers.below(payload.len() + 1);
                if numbers.below(2) == 0 {
                    bytes.extend(frame(0xc1, &payload));
                } else {
                    bytes.extend(frame([0x41, 0x42][numbers.below(2)], &payload[..cut]));
                    bytes.extend(control(numbers, frame));
                    bytes.extend(frame(0x80, &payload[cut..]));
                }
            }
        }
    }
    bytes
}

fn compressed_payload(numbers: &mut Numbers, deflater: &mut Deflater) -> Vec<u8> {
    let mut payload = Vec::new();
    let len = [0, 10, 500, 20_000, 1 << 20][numbers.below(5)];
    match numbers.below(8) {
        0 => deflater.deflate(&vec![b'x'; len + numbers.below(2)], &mut payload),
        1 => deflater.deflate(b"bad text: \xe2\x82x", &mut payload),
        2 => {
            // Behind a good block, whatever it may be.
            deflater.deflate(sample(numbers).as_bytes(), &mut payload);
            payload.extend_from_slice(&TAIL);
            payload.extend(numbers.bytes(8));
        }
        3 => payload.extend(b"\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x48\xcd\xc9\xc9\x07\x00"),
        _ => deflater.deflate(json(numbers, len.min(20_000)).as_bytes(), &mut payload),
    }
    payload
}

#[test]
fn any_split_of_compressed_messages_gives_the_same_events_and_the_same_error() {
    let mut failed = Vec::new();
    for seed in 0..COMPRESSED_STREAMS {
        let mut numbers = Numbers::new(seed);
        let direction: Direction = [NO_TAKEOVER, TAKEOVER][numbers.below(2)];
        let mut deflater = deflater(direction, 1 + (seed % 9) as u8);
        let (role, bytes) = match seed % 2 {
            0 => (
                Role::Server,
                compressed_stream(&mut numbers, masked, &mut deflater),
            ),
            _ => (
                Role::Client,
                compressed_stream(&mut numbers, unmasked, &mut deflater),
            ),
        };
        let expected = read_all(&mut deflate_reader(role, direction), &bytes);
        failed.extend(expected.1.clone());
        for _ in 0..SPLITS {
            let reader = deflate_reader(role, direction);
            let result = read_in_pieces(reader, &bytes, &mut numbers);
            assert!(
                result == expected,
                "seed {seed}: {:?} and {:?}",
                result.1,
                expected.1
            );
        }
    }
    for error in [
        ProtocolError::CorruptDeflate,
        ProtocolError::TextNotUtf8,
        ProtocolError::InflatedTooBig { limit: 1 << 20 },
    ] {
        let count = failed.iter().filter(|other| **other == error).count();
        assert!(count > 2, "{error:?}: {count} of {}", failed.len());
    }
    let failed = failed.len() as u64;
    assert!(
        failed < STREAMS * 9 / 10,
        "streams of both kinds: {failed} failed"
    );
}

/// No bytes whatever make the reader panic, hold more than it got, or go on after an error.
#[test]
fn arbitrary_bytes_are_survived() {
    for seed in 0..3000 {
        let mut numbers = Numbers::new(seed);
        let mut reader = reader(if seed % 2 == 0 { Role::Server } else { Role::Client });
        let len = numbers.below(300);
        let mut bytes = numbers.bytes(len);
        if let Some(first) = bytes.first_mut() {
            *first = [0x81, 0x82, 0x01, 0x89][numbers.below(4)];
        }
        let (_, error) = read_all(&mut reader, &bytes);
        assert!(reader.buffered() <= len);
        if error.is_some() {
            assert_eq!(read_all(&mut reader, &bytes), (vec![], None));
        }
    }
}
