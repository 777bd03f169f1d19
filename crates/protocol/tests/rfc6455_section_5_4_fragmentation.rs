//! RFC 6455 section 5.4: fragmentation; 10.4: limits on frames and reassembled messages.

mod support;

use django_bolt_protocol::{Input, MessageReader, ProtocolError, ReaderConfig, Role};
use support::{
    header, masked, read_all, reader, server, server_by_bytes, text, Owned, CONTROL, DATA, FIN, KEY,
};

const TEXT: u8 = 0x1;
const CONTINUATION: u8 = 0x0;

fn limited(max_frame_size: u64, max_message_size: u64, max_fragments: u32) -> MessageReader {
    let role = Role::Server;
    MessageReader::new(ReaderConfig {
        role,
        max_frame_size,
        max_message_size,
        max_fragments,
    })
}

#[test]
fn section_5_4_fragments_are_one_message_in_order() {
    let frames = [
        masked(TEXT, b"Hel"),
        masked(CONTINUATION, b""),
        masked(CONTINUATION, b"l"),
        masked(0x80, b"o"),
    ]
    .concat();
    assert_eq!(server(&frames), (vec![text("Hello")], None));
    assert_eq!(server_by_bytes(&frames), (vec![text("Hello")], None));
}

#[test]
fn section_5_4_a_fragmented_message_without_any_payload_is_an_empty_message() {
    for (opcode, expected) in [(0x1, text("")), (0x2, Owned::Binary(vec![]))] {
        let frames = [masked(opcode, b""), masked(CONTINUATION, b""), masked(0x80, b"")].concat();
        assert_eq!(server(&frames), (vec![expected], None));
    }
}

#[test]
fn section_5_4_control_frames_may_come_between_fragments() {
    let frames = [
        masked(TEXT, b"a"),
        masked(0x89, b"ping"),
        masked(CONTINUATION, b"b"),
        masked(0x8a, b""),
        masked(0x80, b"c"),
        masked(0x89, b"last"),
    ]
    .concat();
    let expected = vec![
        Owned::Ping(b"ping".to_vec()),
        Owned::Pong(vec![]),
        text("abc"),
        Owned::Ping(b"last".to_vec()),
    ];
    assert_eq!(server(&frames), (expected.clone(), None));
    assert_eq!(server_by_bytes(&frames), (expected, None));
}

#[test]
fn section_5_4_a_close_frame_may_come_between_fragments_and_ends_the_message() {
    let mut reader = reader(Role::Server);
    let frames = [masked(TEXT, b"a"), masked(0x88, b"\x03\xe8"), masked(0x80, b"c")].concat();
    assert_eq!(
        read_all(&mut reader, &frames),
        (vec![Owned::Close(Some(1000), String::new())], None)
    );
    assert_eq!(reader.buffered(), 0);
    assert!(!reader.is_mid_message());
}

#[test]
fn section_5_4_a_continuation_needs_a_message_to_continue() {
    for first in [CONTINUATION, 0x80] {
        let result = server(&masked(first, b"x"));
        assert_eq!(result, (vec![], Some(ProtocolError::UnexpectedContinuation)));
        let after_a_message = [masked(TEXT, b"a"), masked(0x80, b"b"), masked(first, b"x")].concat();
        let expected = (vec![text("ab")], Some(ProtocolError::UnexpectedContinuation));
        assert_eq!(server(&after_a_message), expected);
    }
}

#[test]
fn section_5_4_fragments_of_two_messages_must_not_be_interleaved() {
    for opcode in DATA {
        for fin in [0, FIN] {
            let (events, error) = server(&[masked(TEXT, b"a"), masked(fin | opcode, b"b")].concat());
            assert_eq!(events, vec![]);
            assert!(matches!(error, Some(ProtocolError::ExpectedContinuation(got)) if got as u8 == opcode));
        }
    }
}

#[test]
fn section_5_4_control_frames_must_not_be_fragmented() {
    for opcode in CONTROL {
        for frames in [
            masked(opcode, b""),
            [masked(TEXT, b"a"), masked(opcode, b"")].concat(),
        ] {
            let (events, error) = server(&frames);
            assert_eq!(events, vec![]);
            assert!(matches!(error, Some(ProtocolError::FragmentedControl(got)) if got as u8 == opcode));
        }
    }
}

#[test]
fn section_10_4_a_single_frame_over_the_frame_limit_fails_with_1009() {
    for opcode in DATA {
        let mut reader = limited(10, 100, 10);
        assert_eq!(read_all(&mut reader, &masked(FIN | opcode, &[b'x'; 10])).1, None);
        let (_, error) = read_all(&mut reader, &masked(FIN | opcode, &[b'x'; 11]));
        assert_eq!(error, Some(ProtocolError::FrameTooBig { size: 11, limit: 10 }));
        assert_eq!(error.map(|error| error.close_code()), Some(1009));
    }
}

#[test]
fn section_10_4_a_single_frame_over_the_message_limit_fails_with_1009() {
    let (events, error) = read_all(&mut limited(100, 10, 10), &masked(0x82, &[0; 11]));
    assert_eq!(events, vec![]);
    assert_eq!(error, Some(ProtocolError::MessageTooBig { size: 11, limit: 10 }));
    assert_eq!(error.map(|error| error.close_code()), Some(1009));
}

#[test]
fn section_10_4_fragments_over_the_message_limit_fail_with_1009() {
    let start = [masked(TEXT, b"12345"), masked(CONTINUATION, b"67890")].concat();
    let mut reader = limited(100, 10, 10);
    assert_eq!(
        read_all(&mut reader, &[&start[..], &masked(0x80, b"")].concat()).0,
        vec![text("1234567890")]
    );
    // The count starts again with each message.
    assert_eq!(read_all(&mut reader, &start), (vec![], None));
    // The header alone is enough.
    let (events, error) = read_all(&mut reader, &[&header(0x80, 0x80, 1)[..], &KEY].concat());
    assert_eq!(events, vec![]);
    assert_eq!(error, Some(ProtocolError::MessageTooBig { size: 11, limit: 10 }));
}

#[test]
fn section_10_4_control_frames_do_not_count_as_parts_of_a_message() {
    let mut reader = limited(4, 4, 2);
    let frames = [
        masked(TEXT, b"ab"),
        masked(0x89, &[7; 125]),
        masked(0x8a, &[7; 125]),
        masked(0x80, b"cd"),
    ]
    .concat();
    let expected = vec![Owned::Ping(vec![7; 125]), Owned::Pong(vec![7; 125]), text("abcd")];
    assert_eq!(read_all(&mut reader, &frames), (expected, None));
}

#[test]
fn section_10_4_more_fragments_than_allowed_fail_with_1009_even_when_empty() {
    for payload in [&b""[..], b"x"] {
        let mut reader = limited(100, 100, 3);
        let continuation = masked(CONTINUATION, payload);
        let allowed = [masked(TEXT, payload), continuation.clone(), masked(0x80, payload)].concat();
        for _ in 0..2 {
            assert_eq!(
                read_all(&mut reader, &allowed).0.len(),
                1,
                "the count starts again"
            );
        }
        let start = [masked(TEXT, payload), continuation.clone(), continuation.clone()].concat();
        assert_eq!(read_all(&mut reader, &start), (vec![], None));
        let (_, error) = read_all(&mut reader, &continuation);
        assert_eq!(error, Some(ProtocolError::TooManyFragments { limit: 3 }));
        assert_eq!(error.map(|error| error.close_code()), Some(1009));
    }
}

#[test]
fn section_10_4_a_message_in_one_frame_is_not_in_fragments() {
    let mut reader = limited(100, 100, 0);
    for byte in [masked(0x81, b"a"), masked(0x82, b"b")].concat() {
        assert_eq!(read_all(&mut reader, &[byte]).1, None);
    }
    let (_, error) = read_all(&mut reader, &masked(TEXT, b"a"));
    assert_eq!(error, Some(ProtocolError::TooManyFragments { limit: 0 }));
}

#[test]
fn section_10_4_a_huge_declared_length_buffers_nothing() {
    for length in [1 << 62, i64::MAX as u64] {
        for first in [0x82, 0x02, 0x81] {
            let mut reader = reader(Role::Server);
            let (_, error) = read_all(&mut reader, &[&header(first, 0x80, length)[..], &KEY].concat());
            assert_eq!(
                error,
                Some(ProtocolError::FrameTooBig {
                    size: length,
                    limit: 1 << 20
                })
            );
            assert_eq!(reader.buffered(), 0);
        }
    }
}

/// Without limits, still only received bytes are held, and the sum of fragments does not overflow.
#[test]
fn section_10_4_memory_grows_with_what_was_received_only() {
    let mut reader = limited(u64::MAX, u64::MAX, u32::MAX);
    let start = [
        masked(0x02, b"x"),
        header(0x00, 0x80, i64::MAX as u64),
        KEY.to_vec(),
    ]
    .concat();
    assert_eq!(read_all(&mut reader, &start), (vec![], None));
    assert_eq!(read_all(&mut reader, b"abc"), (vec![], None));
    assert_eq!(reader.buffered(), 4);
}

#[test]
fn what_is_held_is_told_and_released_by_the_next_read() {
    let mut reader = reader(Role::Server);
    assert_eq!((reader.buffered(), reader.is_mid_message()), (0, false));
    assert_eq!(
        read_all(&mut reader, &masked(TEXT, &[b'x'; 10_000])),
        (vec![], None)
    );
    assert_eq!((reader.buffered(), reader.is_mid_message()), (10_000, true));
    // A control frame between leaves the message alone.
    assert_eq!(read_all(&mut reader, &masked(0x89, b"p")).0.len(), 1);
    assert_eq!((reader.buffered(), reader.is_mid_message()), (10_000, true));

    let mut last = masked(0x80, b"x");
    let mut input = Input::new(&mut last);
    assert!(matches!(reader.read(&mut input), Ok(Some(_))));
    assert!(!reader.is_mid_message(), "its last frame was read");
    assert_eq!(reader.buffered(), 10_001, "the event borrows it");
    assert_eq!(reader.read(&mut input), Ok(None));
    assert_eq!(reader.buffered(), 0);
}

#[test]
fn a_message_in_one_frame_is_mid_message_until_it_is_whole() {
    let mut reader = reader(Role::Server);
    let frame = masked(0x81, b"abc");
    assert_eq!(read_all(&mut reader, &frame[..8]), (vec![], None));
    assert!(reader.is_mid_message());
    assert_eq!(reader.buffered(), 2);
    assert_eq!(read_all(&mut reader, &frame[8..]), (vec![text("abc")], None));
    assert!(!reader.is_mid_message());
}
