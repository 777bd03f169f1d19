//! RFC 7692 section 7.2.3: its examples, as they are written and as they are read.

mod support;

use django_bolt_protocol::deflate::{write_compressed_frame, Deflater, Direction};
use django_bolt_protocol::{Opcode, Role};
use support::deflate::{deflate_reader, deflater, Decoder, NO_TAKEOVER, TAKEOVER};
use support::{masked, read_all, text, Owned, KEY};

/// "Hello" as sections 7.2.3.1 and 7.2.3.2 compress it.
const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

/// What a server makes of messages, each the payload of one compressed frame.
fn read(direction: Direction, payloads: &[&[u8]]) -> Vec<Owned> {
    let mut reader = deflate_reader(Role::Server, direction);
    let frames: Vec<_> = payloads.iter().map(|payload| masked(0xc1, payload)).collect();
    let (events, error) = read_all(&mut reader, &frames.concat());
    assert_eq!(error, None, "{payloads:x?}");
    events
}

fn deflate(deflater: &mut Deflater, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    deflater.deflate(payload, &mut out);
    out
}

#[test]
fn section_7_2_3_1_a_message_in_one_frame() {
    assert_eq!(read(NO_TAKEOVER, &[&HELLO]), vec![text("Hello")]);
    assert_eq!(deflate(&mut deflater(NO_TAKEOVER, 6), b"Hello"), HELLO);

    let frame = [0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let mut client = deflate_reader(Role::Client, NO_TAKEOVER);
    assert_eq!(read_all(&mut client, &frame), (vec![text("Hello")], None));
    let mut out = Vec::new();
    write_compressed_frame(&mut out, Opcode::Text, &HELLO, None);
    assert_eq!(out, frame);
    out.clear();
    write_compressed_frame(&mut out, Opcode::Text, &HELLO, Some(KEY));
    assert_eq!(out, masked(0xc1, &HELLO));
}

#[test]
fn section_7_2_3_1_a_message_in_two_fragments() {
    let frames = [0x41, 0x03, 0xf2, 0x48, 0xcd, 0x80, 0x04, 0xc9, 0xc9, 0x07, 0x00];
    let mut reader = deflate_reader(Role::Client, NO_TAKEOVER);
    assert_eq!(read_all(&mut reader, &frames), (vec![text("Hello")], None));
}

#[test]
fn section_7_2_3_2_sharing_the_window() {
    let hellos = vec![text("Hello"), text("Hello")];
    let shared: [u8; 5] = [0xf2, 0x00, 0x11, 0x00, 0x00];
    assert_eq!(read(TAKEOVER, &[&HELLO, &shared]), hellos);
    // Without takeover both are compressed alike; a receiver that keeps its window reads that, too.
    assert_eq!(read(NO_TAKEOVER, &[&HELLO, &HELLO]), hellos);
    assert_eq!(read(TAKEOVER, &[&HELLO, &HELLO]), hellos);

    let mut forgetful = deflater(NO_TAKEOVER, 6);
    assert_eq!(deflate(&mut forgetful, b"Hello"), HELLO);
    assert_eq!(deflate(&mut forgetful, b"Hello"), HELLO);
    let mut mindful = deflater(TAKEOVER, 6);
    assert_eq!(deflate(&mut mindful, b"Hello"), HELLO);
    assert_eq!(deflate(&mut mindful, b"Hello"), shared);
}

#[test]
fn section_7_2_3_3_a_block_without_compression() {
    let stored = [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
    assert_eq!(read(NO_TAKEOVER, &[&stored]), vec![text("Hello")]);
}

#[test]
fn section_7_2_3_4_a_block_with_bfinal() {
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    for direction in [NO_TAKEOVER, TAKEOVER] {
        let hellos = vec![text("Hello"), text("Hello"), text("Hello")];
        assert_eq!(read(direction, &[&last, &HELLO, &last]), hellos);
    }
}

#[test]
fn section_7_2_3_5_two_blocks_in_a_message() {
    let blocks = [
        0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
    ];
    assert_eq!(read(NO_TAKEOVER, &[&blocks]), vec![text("Hello")]);
}

#[test]
fn section_7_2_3_6_an_empty_message() {
    for direction in [NO_TAKEOVER, TAKEOVER] {
        let events = vec![text("Hello"), text(""), text(""), text("Hello")];
        assert_eq!(read(direction, &[&HELLO, &[0x00], &[0x00], &HELLO]), events);

        let mut deflater = deflater(direction, 1);
        let mut decoder = Decoder::default();
        for payload in [&b""[..], b"Hello", b"", b"", b"Hello"] {
            let deflated = deflate(&mut deflater, payload);
            if payload.is_empty() {
                assert_eq!(deflated, [0x00]);
            }
            assert_eq!(decoder.message(&deflated).as_deref(), Some(payload));
        }
    }
}
