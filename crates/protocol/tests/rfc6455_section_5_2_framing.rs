//! RFC 6455 sections 5.1 and 5.2: masking by role, reserved bits, opcodes, payload lengths; 5.7: its examples.
#![allow(clippy::unwrap_used)]

mod support;

use django_bolt_protocol::{write_frame, write_header, Opcode, ProtocolError, MAX_HEADER};
use support::{
    client, header, masked, server, server_by_bytes, text, unmasked, Owned, CONTROL, DATA, FIN, KEY,
};

// Section 5.7, in its order.

#[test]
fn section_5_7_single_frame_unmasked_text() {
    let frame = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    assert_eq!(client(&frame), (vec![text("Hello")], None));
}

#[test]
fn section_5_7_single_frame_masked_text() {
    let frame = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(server(&frame), (vec![text("Hello")], None));
}

#[test]
fn section_5_7_fragmented_unmasked_text() {
    let frames = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f];
    assert_eq!(client(&frames), (vec![text("Hello")], None));
}

#[test]
fn section_5_7_unmasked_ping_and_masked_pong() {
    let ping = [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    assert_eq!(client(&ping), (vec![Owned::Ping(b"Hello".to_vec())], None));
    let pong = [0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(server(&pong), (vec![Owned::Pong(b"Hello".to_vec())], None));
}

#[test]
fn section_5_7_binary_of_256_bytes_and_of_64_kib() {
    for (start, len) in [
        (&[0x82, 0x7e, 0x01, 0x00][..], 256),
        (&[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0][..], 65_536),
    ] {
        let payload = vec![7; len];
        let frame = [start, &payload].concat();
        assert_eq!(client(&frame), (vec![Owned::Binary(payload)], None));
    }
}

#[test]
fn section_5_7_examples_are_what_is_written() {
    let written = |opcode, payload: &[u8], mask| {
        let mut out = Vec::new();
        write_frame(&mut out, opcode, payload, mask);
        out
    };
    assert_eq!(
        written(Opcode::Text, b"Hello", None),
        [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]
    );
    assert_eq!(
        written(Opcode::Pong, b"Hello", Some(KEY)),
        [0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]
    );
    assert_eq!(
        written(Opcode::Binary, &[0; 256], None)[..4],
        [0x82, 0x7e, 0x01, 0x00]
    );
    assert_eq!(
        written(Opcode::Binary, &[0; 65_536], None)[..10],
        [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]
    );
}

// Section 5.1.

#[test]
fn section_5_1_a_server_must_fail_the_connection_on_an_unmasked_frame() {
    for opcode in DATA.into_iter().chain(CONTROL) {
        for payload in [&b""[..], b"\x03\xe8"] {
            let result = server(&unmasked(FIN | opcode, payload));
            assert_eq!(result, (vec![], Some(ProtocolError::Unmasked)), "opcode {opcode}");
        }
    }
}

#[test]
fn section_5_1_a_client_must_fail_the_connection_on_a_masked_frame() {
    for opcode in DATA.into_iter().chain(CONTROL) {
        let result = client(&masked(FIN | opcode, b"\x03\xe8"));
        assert_eq!(result, (vec![], Some(ProtocolError::Masked)), "opcode {opcode}");
    }
}

// Section 5.2.

#[test]
fn section_5_2_reserved_bits_must_be_zero_without_an_extension() {
    for opcode in [0x0, 0x1, 0x2, 0x8, 0x9, 0xa] {
        for bits in 1..8 {
            let result = server(&masked(FIN | bits << 4 | opcode, b""));
            assert_eq!(
                result,
                (vec![], Some(ProtocolError::ReservedBits)),
                "{bits:03b}, opcode {opcode}"
            );
        }
    }
}

#[test]
fn section_5_2_an_unknown_opcode_must_fail_the_connection() {
    for opcode in (0x3..=0x7).chain(0xb..=0xf) {
        for fin in [0, FIN] {
            let result = server(&masked(fin | opcode, b""));
            assert_eq!(result, (vec![], Some(ProtocolError::ReservedOpcode(opcode))));
        }
    }
}

#[test]
fn section_5_2_a_bad_first_byte_fails_before_the_second_arrives() {
    for first in [0xc1, 0xa1, 0x91, 0x83, 0x8f, 0x09] {
        assert!(server(&[first]).1.is_some(), "{first:#x}");
    }
}

#[test]
fn section_5_2_the_minimal_number_of_bytes_must_be_used_for_the_length() {
    let short = |len: u16| [&[0x82, 0xfe][..], &len.to_be_bytes(), &KEY].concat();
    let long = |len: u64| [&[0x82, 0xff][..], &len.to_be_bytes(), &KEY].concat();
    let frames = [
        short(0),
        short(1),
        short(125),
        long(0),
        long(125),
        long(126),
        long(0xffff),
    ];
    for frame in frames {
        assert_eq!(
            server(&frame),
            (vec![], Some(ProtocolError::LengthNotMinimal)),
            "{frame:x?}"
        );
    }
}

#[test]
fn section_5_2_the_most_significant_bit_of_a_64_bit_length_must_be_zero() {
    for length in [1 << 63, (1 << 63) | 5, u64::MAX] {
        let frame = header(0x82, 0x80, length);
        assert_eq!(server(&frame), (vec![], Some(ProtocolError::LengthOutOfRange)));
    }
}

#[test]
fn section_5_2_lengths_around_each_encoding_are_read_and_written() {
    for len in [
        0, 1, 124, 125, 126, 127, 128, 255, 256, 65_534, 65_535, 65_536, 65_537, 200_000,
    ] {
        let payload = vec![b'x'; len];
        let mut written = Vec::new();
        write_frame(&mut written, Opcode::Binary, &payload, Some(KEY));
        assert_eq!(written, masked(0x82, &payload), "{len} bytes");
        assert_eq!(
            server(&written),
            (vec![Owned::Binary(payload.clone())], None),
            "{len} bytes"
        );
        let expected = vec![text(std::str::from_utf8(&payload).unwrap())];
        assert_eq!(client(&unmasked(0x81, &payload)), (expected, None), "{len} bytes");
    }
}

#[test]
fn section_5_2_a_header_is_written_bit_by_bit() {
    let written = |fin, rsv1, opcode, len, mask| {
        let mut out = Vec::new();
        write_header(&mut out, fin, rsv1, opcode, len, mask);
        out
    };
    assert_eq!(written(false, false, Opcode::Text, 5, None), [0x01, 0x05]);
    assert_eq!(written(false, true, Opcode::Binary, 125, None), [0x42, 0x7d]);
    assert_eq!(
        written(true, true, Opcode::Text, 126, None),
        [0xc1, 0x7e, 0x00, 0x7e]
    );
    assert_eq!(
        written(true, false, Opcode::Continuation, 0, Some(KEY)),
        [&[0x80, 0x80][..], &KEY].concat()
    );
    assert_eq!(
        written(true, false, Opcode::Binary, 1 << 20, Some(KEY)).len(),
        MAX_HEADER
    );
}

/// An empty message is a message, not an end.
#[test]
fn section_5_2_empty_messages_are_messages() {
    let frames = [masked(0x81, b""), masked(0x82, b""), masked(0x81, b"")].concat();
    let expected = vec![text(""), Owned::Binary(vec![]), text("")];
    assert_eq!(server(&frames), (expected.clone(), None));
    assert_eq!(server_by_bytes(&frames), (expected, None));
}

#[test]
fn events_before_a_bad_frame_are_delivered_before_the_error() {
    let frames = [
        masked(0x81, b"one"),
        masked(0x89, b"two"),
        masked(0x82, b"three"),
        masked(0x83, b""),
    ]
    .concat();
    let events = vec![
        text("one"),
        Owned::Ping(b"two".to_vec()),
        Owned::Binary(b"three".to_vec()),
    ];
    assert_eq!(
        server(&frames),
        (events.clone(), Some(ProtocolError::ReservedOpcode(3)))
    );
    assert_eq!(
        server_by_bytes(&frames),
        (events, Some(ProtocolError::ReservedOpcode(3)))
    );
}

#[test]
fn after_an_error_all_input_is_consumed_and_ignored() {
    let mut reader = support::reader(django_bolt_protocol::Role::Server);
    let frames = [masked(0x83, b""), masked(0x81, b"late")].concat();
    assert_eq!(
        support::read_all(&mut reader, &frames),
        (vec![], Some(ProtocolError::ReservedOpcode(3)))
    );
    assert_eq!(
        support::read_all(&mut reader, &masked(0x81, b"later")),
        (vec![], None)
    );
    assert_eq!(reader.buffered(), 0);
    assert!(!reader.is_mid_message());
}
