//! However a stream is cut into reads, the reader makes the same of it: a property over generated streams.

mod support;

use django_bolt_protocol::{ProtocolError, Role};
use support::{client, masked, read_all, reader, server, unmasked, Numbers, Owned};

const STREAMS: u64 = 300;
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

fn read_in_pieces(role: Role, bytes: &[u8], numbers: &mut Numbers) -> (Vec<Owned>, Option<ProtocolError>) {
    let mut reader = reader(role);
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
                read_in_pieces(role, &bytes, &mut numbers),
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
