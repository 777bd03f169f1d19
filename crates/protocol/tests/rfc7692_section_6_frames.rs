//! RFC 7692 section 6: bit RSV1, fragments and control frames.

mod support;

use django_bolt_protocol::{ProtocolError, Role};
use support::deflate::{deflate_reader, deflated, NO_TAKEOVER, TAKEOVER};
use support::{masked, read_all, reader, text, unmasked, Owned, CONTROL, DATA, FIN};

const RSV1: u8 = 0x40;

#[test]
fn section_6_rsv1_tells_compressed_messages_from_plain_ones() {
    let payload = deflated("h\u{e9}llo".as_bytes());
    let frames = [
        masked(FIN | RSV1 | 0x1, &payload),
        masked(FIN | 0x1, b"plain"),
        masked(FIN | RSV1 | 0x2, &payload),
        masked(FIN | 0x2, &payload),
    ]
    .concat();
    let expected = vec![
        text("h\u{e9}llo"),
        text("plain"),
        Owned::Binary("h\u{e9}llo".as_bytes().to_vec()),
        Owned::Binary(payload),
    ];
    for direction in [NO_TAKEOVER, TAKEOVER] {
        let mut reader = deflate_reader(Role::Server, direction);
        assert_eq!(read_all(&mut reader, &frames), (expected.clone(), None));
    }
}

#[test]
fn section_6_rsv1_must_not_be_set_without_the_extension() {
    for opcode in DATA {
        let mut reader = reader(Role::Server);
        let (events, error) = read_all(&mut reader, &masked(FIN | RSV1 | opcode, &deflated(b"x")));
        assert_eq!((events, error), (vec![], Some(ProtocolError::ReservedBits)));
    }
}

#[test]
fn section_6_1_rsv1_must_not_be_set_on_control_frames() {
    for opcode in CONTROL {
        // The first byte is enough.
        let mut reader = deflate_reader(Role::Server, NO_TAKEOVER);
        let (events, error) = read_all(&mut reader, &[FIN | RSV1 | opcode]);
        assert_eq!((events, error), (vec![], Some(ProtocolError::ReservedBits)));
    }
}

#[test]
fn section_6_1_rsv1_must_not_be_set_on_continuations() {
    let payload = deflated(b"Hello");
    for first in [0x2, RSV1 | 0x2] {
        for continuation in [RSV1, FIN | RSV1] {
            let frames = [masked(first, &payload[..3]), masked(continuation, &payload[3..])].concat();
            let mut reader = deflate_reader(Role::Server, NO_TAKEOVER);
            let (events, error) = read_all(&mut reader, &frames);
            assert_eq!((events, error), (vec![], Some(ProtocolError::ReservedBits)));
            assert!(!reader.holds_inflater());
        }
    }
}

#[test]
fn section_6_the_other_reserved_bits_stay_reserved() {
    for bits in [0x10, 0x20, 0x30, 0x50, 0x60, 0x70] {
        for opcode in [0x0, 0x1, 0x2, 0x8, 0x9, 0xa] {
            let mut reader = deflate_reader(Role::Server, NO_TAKEOVER);
            let (_, error) = read_all(&mut reader, &[FIN | bits | opcode]);
            assert_eq!(error, Some(ProtocolError::ReservedBits), "{bits:x} {opcode:x}");
        }
    }
    // Opcodes that are reserved anyway.
    let mut reader = deflate_reader(Role::Server, NO_TAKEOVER);
    assert!(read_all(&mut reader, &[FIN | RSV1 | 0x3]).1.is_some());
}

#[test]
fn section_6_1_fragments_are_cut_anywhere_and_control_frames_come_between() {
    let payload = deflated("h\u{e9}llo h\u{e9}llo h\u{e9}llo".as_bytes());
    for at in 0..=payload.len() {
        for until in at..=payload.len() {
            let frames = [
                masked(RSV1 | 0x1, &payload[..at]),
                masked(0x89, b"ping"),
                masked(0x0, &payload[at..until]),
                masked(0x8a, b""),
                masked(0x80, &payload[until..]),
                masked(0x81, b"plain"),
            ]
            .concat();
            let expected = vec![
                Owned::Ping(b"ping".to_vec()),
                Owned::Pong(vec![]),
                text("h\u{e9}llo h\u{e9}llo h\u{e9}llo"),
                text("plain"),
            ];
            let mut reader = deflate_reader(Role::Server, NO_TAKEOVER);
            assert_eq!(read_all(&mut reader, &frames), (expected, None), "{at} {until}");
        }
    }
}

#[test]
fn section_6_a_plain_fragmented_message_stays_plain_after_a_compressed_one() {
    let payload = deflated(b"Hello");
    let frames = [
        masked(RSV1 | 0x2, &payload),
        masked(0x80, b""),
        masked(0x2, &payload),
        masked(0x80, b"!"),
    ]
    .concat();
    let expected = vec![
        Owned::Binary(b"Hello".to_vec()),
        Owned::Binary([&payload[..], b"!"].concat()),
    ];
    let mut reader = deflate_reader(Role::Server, TAKEOVER);
    assert_eq!(read_all(&mut reader, &frames), (expected, None));
}

#[test]
fn section_6_a_close_frame_may_come_between_fragments() {
    for direction in [NO_TAKEOVER, TAKEOVER] {
        let payload = deflated(b"Hello");
        let frames = [masked(RSV1 | 0x1, &payload[..4]), masked(0x88, b"\x03\xe8")].concat();
        let mut reader = deflate_reader(Role::Server, direction);
        let expected = vec![Owned::Close(Some(1000), String::new())];
        assert_eq!(read_all(&mut reader, &frames), (expected, None));
        assert!(!reader.holds_inflater());
        assert_eq!(reader.buffered(), 0);
    }
}

#[test]
fn section_6_the_client_reads_unmasked_compressed_frames() {
    let payload = deflated(b"Hello");
    let mut reader = deflate_reader(Role::Client, NO_TAKEOVER);
    let frame = unmasked(FIN | RSV1 | 0x1, &payload);
    assert_eq!(read_all(&mut reader, &frame), (vec![text("Hello")], None));
    let (_, error) = read_all(&mut reader, &masked(FIN | RSV1 | 0x1, &payload));
    assert_eq!(error, Some(ProtocolError::Masked));
}
