//! RFC 6455 section 10.4: the limits as they hold for compressed messages; none inflates past them.

mod support;

use django_bolt_protocol::{Event, Input, MessageReader, ProtocolError, ReaderConfig, Role};
use support::deflate::{deflated, deflater, Decoder, NO_TAKEOVER, TAIL, TAKEOVER};
use support::{header, json, masked, read_all, text, Numbers, Owned, KEY};

fn limited(max_frame_size: u64, max_message_size: u64, max_fragments: u32) -> MessageReader {
    let config = ReaderConfig {
        role: Role::Server,
        max_frame_size,
        max_message_size,
        max_fragments,
    };
    MessageReader::with_deflate(config, Some(NO_TAKEOVER))
}

const TOO_BIG: Option<ProtocolError> = Some(ProtocolError::InflatedTooBig { limit: 1000 });

#[test]
fn section_10_4_a_message_may_inflate_to_the_limit_and_not_to_more() {
    assert_eq!(ProtocolError::InflatedTooBig { limit: 1 }.close_code(), 1009);
    let mut numbers = Numbers::new(104);
    for (bytes, opcode) in [
        (vec![b'x'; 1001], 1),
        (vec![b'x'; 1001], 2),
        (numbers.bytes(1001), 2),
        (json(&mut numbers, 1001).into_bytes(), 1),
    ] {
        let fits = masked(0xc0 | opcode, &deflated(&bytes[..1000]));
        let (events, error) = read_all(&mut limited(2000, 1000, 9), &fits);
        // JSON may have been cut inside a character.
        if error != Some(ProtocolError::TextNotUtf8) {
            assert_eq!((events.len(), error), (1, None));
        }
        let over = masked(0xc0 | opcode, &deflated(&bytes));
        let result = read_all(&mut limited(2000, 1000, 9), &over);
        assert!(
            matches!(result.1, Some(ProtocolError::InflatedTooBig { limit: 1000 })),
            "{result:?}"
        );
        let by_bytes =
            |mut reader: MessageReader| over.iter().find_map(|byte| read_all(&mut reader, &[*byte]).1);
        assert_eq!(by_bytes(limited(2000, 1000, 9)), TOO_BIG);
    }
}

#[test]
fn section_10_4_a_limit_of_nothing_admits_empty_messages_only() {
    let mut reader = limited(100, 0, 9);
    assert_eq!(
        read_all(&mut reader, &masked(0xc1, &[0x00])),
        (vec![text("")], None)
    );
    let (_, error) = read_all(&mut reader, &masked(0xc1, &deflated(b"x")));
    assert_eq!(error, Some(ProtocolError::InflatedTooBig { limit: 0 }));
}

#[test]
fn section_10_4_fragments_inflate_to_the_limit_together() {
    let payload = deflated(&[b'x'; 1001]);
    let (start, end) = payload.split_at(5);
    let mut reader = limited(1000, 1000, 9);
    let frames = [masked(0x41, start), masked(0x89, b""), masked(0x80, end)].concat();
    assert_eq!(
        read_all(&mut reader, &frames),
        (vec![Owned::Ping(vec![])], TOO_BIG)
    );
    assert_eq!((reader.buffered(), reader.holds_inflater()), (0, false));
    assert_eq!(
        read_all(&mut reader, &frames),
        (vec![], None),
        "nothing is read after it"
    );
}

/// What comes first is told: bad text within the limit is that, even if more than the limit follows.
#[test]
fn section_10_4_the_first_of_two_faults_is_told() {
    let bad_first = [&b"bad \xff"[..], &[b'x'; 2000]].concat();
    let (_, error) = read_all(&mut limited(3000, 1000, 9), &masked(0xc1, &deflated(&bad_first)));
    assert_eq!(error, Some(ProtocolError::TextNotUtf8));
    let long_first = [&[b'x'; 1001][..], b"bad \xff"].concat();
    let (_, error) = read_all(&mut limited(3000, 1000, 9), &masked(0xc1, &deflated(&long_first)));
    assert_eq!(error, TOO_BIG);
    let corrupt_first = [&deflated(&[b'x'; 900])[..], &TAIL, &[0x06], &[b'x'; 50]].concat();
    let (_, error) = read_all(&mut limited(3000, 1000, 9), &masked(0xc1, &corrupt_first));
    assert_eq!(error, Some(ProtocolError::CorruptDeflate));
}

/// Noise grows by compression; a message within the limit is not refused for that.
#[test]
fn section_10_4_on_the_wire_a_compressed_message_may_be_an_eighth_over_the_limit() {
    let mut numbers = Numbers::new(1040);
    let noise = numbers.bytes(1000);
    for level in [1, 6, 9] {
        let mut payload = Vec::new();
        deflater(NO_TAKEOVER, level).deflate(&noise, &mut payload);
        assert!(payload.len() > 1000);
        let result = read_all(&mut limited(1000, 1000, 9), &masked(0xc2, &payload));
        assert_eq!(result, (vec![Owned::Binary(noise.clone())], None));
    }
    let most = 1000 + 125 + 64;
    let (_, error) = read_all(&mut limited(1000, 9000, 9), &header(0xc2, 0x80, most + 1));
    assert_eq!(error, None, "the masking key is not here yet");
    for (frame, message, expected) in [
        (
            1000,
            9000,
            ProtocolError::FrameTooBig {
                size: most + 1,
                limit: most,
            },
        ),
        (
            9000,
            1000,
            ProtocolError::MessageTooBig {
                size: most + 1,
                limit: most,
            },
        ),
    ] {
        let start = [&header(0xc2, 0x80, most)[..], &KEY].concat();
        assert_eq!(read_all(&mut limited(frame, message, 9), &start), (vec![], None));
        let start = [&header(0xc2, 0x80, most + 1)[..], &KEY].concat();
        assert_eq!(
            read_all(&mut limited(frame, message, 9), &start),
            (vec![], Some(expected))
        );
        // A plain frame has the limit itself.
        let start = [&header(0x82, 0x80, 1001)[..], &KEY].concat();
        assert!(read_all(&mut limited(frame, message, 9), &start).1.is_some());
    }
    // Without limits the sums do not overflow.
    let start = [&header(0x42, 0x80, i64::MAX as u64)[..], &KEY].concat();
    assert_eq!(
        read_all(&mut limited(u64::MAX, u64::MAX, 9), &start),
        (vec![], None)
    );
}

#[test]
fn section_10_4_compressed_fragments_are_counted() {
    let mut reader = limited(1000, 1000, 3);
    let frames = [masked(0x42, b""), masked(0, b""), masked(0, b""), masked(0, b"")].concat();
    let error = Some(ProtocolError::TooManyFragments { limit: 3 });
    assert_eq!(read_all(&mut reader, &frames), (vec![], error));
}

/// Blocks that hold nothing are inflated to nothing: they cost the sender as much as the reader.
#[test]
fn section_10_4_empty_blocks_do_no_more_than_their_bytes() {
    let empty = |kind: &[u8]| kind.repeat(100_000 / kind.len());
    for kind in [&b"\x00\x00\x00\xff\xff"[..], b"\x01\x00\x00\xff\xff", b"\x03\x00"] {
        let mut payload = empty(kind);
        payload.push(0x00);
        assert_eq!(Decoder::default().message(&payload), Some(vec![]));
        let mut reader = limited(200_000, 200_000, 9);
        assert_eq!(
            read_all(&mut reader, &masked(0xc1, &payload)),
            (vec![text("")], None)
        );
        // They count against the limit on the wire.
        let (_, error) = read_all(&mut limited(200_000, 1000, 9), &masked(0xc1, &payload));
        assert!(
            matches!(error, Some(ProtocolError::MessageTooBig { .. })),
            "{error:?}"
        );
    }
}

/// Reading may stop after any event, and go on later with the bytes that are left.
#[test]
fn section_10_4_a_reader_of_many_bombs_may_stop_between_them() {
    let frame = masked(0xc2, &deflated(&[0; 1000]));
    let frames = frame.repeat(50);
    let mut reader = limited(1000, 1000, 9);
    let mut rest = frames.clone();
    for left in (0..50).rev() {
        let mut input = Input::new(&mut rest);
        assert!(matches!(reader.read(&mut input), Ok(Some(Event::Binary(bytes))) if bytes == [0; 1000]));
        let remaining = input.remaining();
        assert_eq!(remaining, left * frame.len());
        rest.drain(..rest.len() - remaining);
        assert_eq!(rest, frames[..remaining]);
    }
}

#[test]
fn section_10_4_with_context_takeover_each_message_has_the_limit() {
    let config = ReaderConfig {
        role: Role::Server,
        max_frame_size: 1000,
        max_message_size: 1000,
        max_fragments: 9,
    };
    let mut reader = MessageReader::with_deflate(config, Some(TAKEOVER));
    let mut deflater = deflater(TAKEOVER, 6);
    for (len, expected) in [(1000, None), (999, None), (1000, None), (1001, TOO_BIG)] {
        let mut payload = Vec::new();
        deflater.deflate(&vec![b'x'; len], &mut payload);
        assert_eq!(read_all(&mut reader, &masked(0xc2, &payload)).1, expected);
    }
    assert!(!reader.holds_inflater());
}
