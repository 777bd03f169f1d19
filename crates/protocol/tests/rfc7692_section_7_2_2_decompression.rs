//! RFC 7692 section 7.2.2: what the reader makes of compressed messages, good and bad; where its state is.
#![allow(clippy::unwrap_used)]

mod support;

use django_bolt_protocol::deflate::{Direction, InflaterPool};
use django_bolt_protocol::{Input, MessageReader, ProtocolError, Role};
use flate2::{Compress, Compression, FlushCompress};
use support::deflate::{deflate_reader, deflated, deflater, Decoder, NO_TAKEOVER, TAIL, TAKEOVER};
use support::{header, json, masked, read_all, text, Numbers, Owned, KEY};

const CORRUPT: Option<ProtocolError> = Some(ProtocolError::CorruptDeflate);

/// What a server makes of the payloads of compressed frames with a first byte.
fn read(direction: Direction, first: u8, payloads: &[&[u8]]) -> (Vec<Owned>, Option<ProtocolError>) {
    let frames: Vec<_> = payloads.iter().map(|payload| masked(first, payload)).collect();
    read_all(&mut deflate_reader(Role::Server, direction), &frames.concat())
}

/// A payload made by another implementation.
fn foreign(state: &mut Compress, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 1000);
    state
        .compress_vec(payload, &mut out, FlushCompress::Sync)
        .unwrap();
    out.truncate(out.len() - TAIL.len());
    out
}

#[test]
fn section_7_2_2_what_another_implementation_writes_is_read() {
    let mut numbers = Numbers::new(722);
    for direction in [NO_TAKEOVER, TAKEOVER] {
        for level in 0..=9 {
            let mut state = Compress::new(Compression::new(level), false);
            let mut reader = deflate_reader(Role::Server, direction);
            for len in [1, 3000, 100_000, 20] {
                if !direction.context_takeover {
                    state.reset();
                }
                let (message, noise) = (json(&mut numbers, len), numbers.bytes(len));
                let frames = [
                    masked(0xc1, &foreign(&mut state, message.as_bytes())),
                    masked(
                        0xc2,
                        &if direction.context_takeover {
                            foreign(&mut state, &noise)
                        } else {
                            deflated(&noise)
                        },
                    ),
                ];
                let (events, error) = read_all(&mut reader, &frames.concat());
                assert_eq!(error, None);
                assert!(events == [text(&message), Owned::Binary(noise)], "level {level}");
            }
        }
    }
}

#[test]
fn section_7_2_2_own_messages_come_back() {
    let mut numbers = Numbers::new(7220);
    for level in [1, 6] {
        for window_bits in [8, 9, 15] {
            for context_takeover in [false, true] {
                let direction = Direction {
                    context_takeover,
                    window_bits,
                };
                let mut deflater = deflater(direction, level);
                let mut reader = deflate_reader(Role::Server, direction);
                for len in [0, 50_000, 10, 3000] {
                    let message = json(&mut numbers, len);
                    let mut payload = Vec::new();
                    deflater.deflate(message.as_bytes(), &mut payload);
                    let (events, error) = read_all(&mut reader, &masked(0xc1, &payload));
                    assert_eq!(error, None);
                    assert!(events == [text(&message)], "level {level}, {window_bits} bits");
                }
            }
        }
    }
}

#[test]
fn section_7_1_1_a_message_may_refer_to_earlier_ones_only_with_context_takeover() {
    let mut deflater = deflater(TAKEOVER, 6);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    deflater.deflate(b"a secret of some length", &mut first);
    deflater.deflate(b"a secret of some length", &mut second);
    let secret = text("a secret of some length");
    assert_eq!(
        read(TAKEOVER, 0xc1, &[&first, &second]),
        (vec![secret.clone(), secret.clone()], None)
    );
    assert_eq!(
        read(NO_TAKEOVER, 0xc1, &[&first, &second]),
        (vec![secret], CORRUPT)
    );
}

/// The state that one connection gives back must not show its messages to the next.
#[test]
fn a_pooled_state_reveals_nothing_of_the_connection_before() {
    let mut deflater = deflater(TAKEOVER, 6);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    deflater.deflate(b"a secret of some length", &mut first);
    deflater.deflate(b"a secret of some length", &mut second);
    let mut pool = InflaterPool::new();
    let frames = [masked(0xc1, &first), masked(0xc1, &second)];
    for direction in [NO_TAKEOVER, TAKEOVER] {
        let [mut victim, mut thief] = [NO_TAKEOVER, direction].map(|d| deflate_reader(Role::Server, d));
        assert_eq!(
            read_pooled(&mut victim, &frames[0], &mut pool),
            (vec![text("a secret of some length")], None)
        );
        assert_eq!(pool.len(), 1);
        assert_eq!(read_pooled(&mut thief, &frames[1], &mut pool), (vec![], CORRUPT));
    }
}

fn read_pooled(
    reader: &mut MessageReader,
    bytes: &[u8],
    pool: &mut InflaterPool,
) -> (Vec<Owned>, Option<ProtocolError>) {
    let mut bytes = bytes.to_vec();
    let mut input = Input::with_pool(&mut bytes, pool);
    let mut events = Vec::new();
    loop {
        match reader.read(&mut input) {
            Ok(Some(event)) => events.push(event.into()),
            Ok(None) => return (events, None),
            Err(error) => return (events, Some(error)),
        }
    }
}

#[test]
fn without_context_takeover_a_state_is_held_only_inside_a_message() {
    let payload = deflated(b"Hello");
    let frame = masked(0xc1, &payload);
    let mut reader = deflate_reader(Role::Server, NO_TAKEOVER);
    assert!(!reader.holds_inflater());
    for _ in 0..3 {
        // A header alone needs none.
        assert_eq!(read_all(&mut reader, &frame[..6]), (vec![], None));
        assert!(!reader.holds_inflater());
        assert_eq!(read_all(&mut reader, &frame[6..8]), (vec![], None));
        assert!(reader.holds_inflater());
        assert_eq!(read_all(&mut reader, &frame[8..]), (vec![text("Hello")], None));
        assert!(!reader.holds_inflater());
    }
}

#[test]
fn with_context_takeover_a_state_is_held_from_the_first_compressed_message_on() {
    let mut reader = deflate_reader(Role::Server, TAKEOVER);
    assert_eq!(
        read_all(&mut reader, &masked(0x81, b"plain")),
        (vec![text("plain")], None)
    );
    assert!(!reader.holds_inflater());
    for _ in 0..3 {
        let frame = masked(0xc1, &deflated(b"Hello"));
        assert_eq!(read_all(&mut reader, &frame), (vec![text("Hello")], None));
        assert!(reader.holds_inflater());
    }
}

#[test]
fn a_pool_lends_a_state_message_by_message() {
    let frame = masked(0xc1, &deflated(b"Hello"));
    let mut pool = InflaterPool::new();
    assert!(pool.is_empty());
    let mut readers: Vec<_> = (0..6)
        .map(|_| deflate_reader(Role::Server, NO_TAKEOVER))
        .collect();
    for reader in &mut readers {
        for _ in 0..3 {
            assert_eq!(
                read_pooled(reader, &frame, &mut pool),
                (vec![text("Hello")], None)
            );
            assert_eq!(pool.len(), 1);
        }
    }
    // All at once need one each, of which some are kept.
    for reader in &mut readers {
        assert_eq!(read_pooled(reader, &frame[..8], &mut pool), (vec![], None));
        assert!(reader.holds_inflater() && pool.is_empty());
    }
    for reader in &mut readers {
        assert_eq!(
            read_pooled(reader, &frame[8..], &mut pool),
            (vec![text("Hello")], None)
        );
        assert!(!reader.holds_inflater());
    }
    assert_eq!(pool.len(), 4);
    // A failed connection gives its state back as well.
    let mut reader = deflate_reader(Role::Server, TAKEOVER);
    assert_eq!(
        read_pooled(&mut reader, &masked(0xc1, b"\xff\xff"), &mut pool),
        (vec![], CORRUPT)
    );
    assert_eq!((reader.holds_inflater(), pool.len()), (false, 4));
}

#[test]
fn section_7_2_2_data_that_are_no_blocks_fail_with_1007() {
    assert_eq!(ProtocolError::CorruptDeflate.close_code(), 1007);
    let hello = deflated(b"Hello");
    for payload in [
        // A block type that does not exist; a stored block whose lengths disagree; a match before the start; code
        // lengths that make no code; more symbols than there may be.
        &b"\x06"[..],
        b"\x00\x05\x00\x00\x00Hello",
        b"\x02\x03\x00",
        b"\x04\x00\x00\x00",
        b"\xfc\xff\xff\xff\xff\xff",
        b"not deflate data at all",
        b"\x78\x9c\xf2\x48\xcd\xc9\xc9\x07\x00",
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    ] {
        for first in [0xc1, 0xc2] {
            for direction in [NO_TAKEOVER, TAKEOVER] {
                assert_eq!(
                    read(direction, first, &[payload]),
                    (vec![], CORRUPT),
                    "{payload:x?}"
                );
            }
        }
        // The good part before is no reason to let it pass.
        let (events, error) = read(
            NO_TAKEOVER,
            0xc2,
            &[&hello, &[&hello[..], &TAIL, payload].concat()],
        );
        assert_eq!(
            (events, error),
            (vec![Owned::Binary(b"Hello".to_vec())], CORRUPT),
            "{payload:x?}"
        );
    }
}

#[test]
fn section_7_2_2_a_message_must_not_end_inside_a_block() {
    let mut numbers = Numbers::new(7222);
    let noise = numbers.bytes(100);
    for payload in [
        deflated(b"Hello Hello"),
        deflated(&noise),
        deflated(&[b'x'; 1000]),
    ] {
        let mut cut_off = 0;
        for end in 1..payload.len() {
            let cut = &payload[..end];
            // The header of a stored block is a message by itself.
            let expected = match Decoder::default().message(cut) {
                Some(message) => (vec![Owned::Binary(message)], None),
                None => (vec![], CORRUPT),
            };
            cut_off += usize::from(expected.1.is_some());
            assert_eq!(
                read(NO_TAKEOVER, 0xc2, &[cut]),
                expected,
                "{end} of {}",
                payload.len()
            );
        }
        assert!(cut_off + 3 > payload.len(), "{cut_off} of {}", payload.len());
        // The tail is appended by the receiver, and by nobody else.
        let result = read(NO_TAKEOVER, 0xc2, &[&[&payload[..], &TAIL].concat()]);
        assert_eq!(result, (vec![], CORRUPT));
    }
}

#[test]
fn section_7_2_2_an_error_is_found_before_the_frame_ends() {
    let mut reader = deflate_reader(Role::Server, NO_TAKEOVER);
    let frame = [&header(0xc1, 0x80, 1000)[..], &KEY, &[0x06 ^ KEY[0]]].concat();
    assert_eq!(read_all(&mut reader, &frame), (vec![], CORRUPT));
    assert!(!reader.holds_inflater());
}

#[test]
fn section_8_1_inflated_text_fails_at_its_first_bad_byte() {
    // Stored blocks show their content at once.
    let stored = |text: &[u8]| {
        let len = text.len() as u16;
        [&[0][..], &len.to_le_bytes(), &(!len).to_le_bytes(), text].concat()
    };
    for (good, bad) in [
        (&b"abc"[..], &b"\xff"[..]),
        (b"\xe2\x82", b"a"),
        (b"\xed", b"\xa0"),
    ] {
        let payload = stored(&[good, bad, b"never read"].concat());
        let until = 5 + good.len();
        let mut reader = deflate_reader(Role::Server, NO_TAKEOVER);
        let frame = [&header(0x41, 0x80, 1000)[..], &masked(0, &payload)[2..]].concat();
        let (start, rest) = frame.split_at(frame.len() - payload.len() + until);
        assert_eq!(read_all(&mut reader, start), (vec![], None));
        let expected = (vec![], Some(ProtocolError::TextNotUtf8));
        assert_eq!(read_all(&mut reader, &rest[..1]), expected, "{good:x?} {bad:x?}");
    }
    // Compressed well or not, text must not end inside a character; bytes may.
    let payload = deflated(b"abc\xe2\x82");
    assert_eq!(
        read(NO_TAKEOVER, 0xc1, &[&payload]).1,
        Some(ProtocolError::TextNotUtf8)
    );
    assert_eq!(read(NO_TAKEOVER, 0xc2, &[&payload]).1, None);
}

#[test]
fn section_7_2_3_4_bfinal_may_come_anywhere() {
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let go_on = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    for (payload, expected) in [
        ([&last[..], &[0x00]].concat(), "Hello"),
        ([&last[..], &go_on].concat(), "HelloHello"),
        ([&last[..], &last, &last, &[0x00]].concat(), "HelloHelloHello"),
        ([&go_on[..], &TAIL, &last, &go_on].concat(), "HelloHelloHello"),
        (
            [&[0x01, 0x00, 0x00, 0xff, 0xff][..], &last, &[0x00]].concat(),
            "Hello",
        ),
        // Without the empty block that section 7.2.1 wants behind it.
        (last.to_vec(), "Hello"),
        (vec![0x03, 0x00], ""),
    ] {
        for direction in [NO_TAKEOVER, TAKEOVER] {
            let result = read(direction, 0xc1, &[&payload, &go_on, &payload]);
            let expected = vec![text(expected), text("Hello"), text(expected)];
            assert_eq!(result, (expected, None), "{payload:x?}");
        }
    }
}

/// A frame without any payload, which senders make of an empty message that zlib had nothing to flush for.
#[test]
fn section_7_2_3_6_no_payload_at_all_is_an_empty_message() {
    for direction in [NO_TAKEOVER, TAKEOVER] {
        let hello = deflated(b"Hello");
        let expected = vec![text(""), text("Hello"), text(""), text("Hello")];
        assert_eq!(
            read(direction, 0xc1, &[b"", &hello, b"", &hello]),
            (expected, None)
        );
    }
    let frames = [masked(0x42, b""), masked(0x0, b""), masked(0x80, b"")].concat();
    let mut reader = deflate_reader(Role::Server, NO_TAKEOVER);
    assert_eq!(
        read_all(&mut reader, &frames),
        (vec![Owned::Binary(vec![])], None)
    );
    assert!(!reader.holds_inflater());
}

/// No bytes whatever make inflating panic, hang, or hold more than the limit.
#[test]
fn arbitrary_deflate_data_are_survived() {
    let mut numbers = Numbers::new(7223);
    let good = deflated(json(&mut numbers, 400).as_bytes());
    let (mut read_well, mut failed) = (0, 0);
    for seed in 0..20_000 {
        let payload = if seed % 2 == 0 {
            let len = numbers.below(60);
            numbers.bytes(len)
        } else {
            let mut payload = good.clone();
            let at = numbers.below(payload.len());
            payload[at] ^= 1 << numbers.below(8);
            payload
        };
        let mut reader = deflate_reader(Role::Server, TAKEOVER);
        match read_all(&mut reader, &masked(0xc2, &payload)) {
            (events, None) => {
                let message = Decoder::default().message(&payload);
                // A last block may do without the empty one behind it.
                let message = message.or_else(|| Decoder::default().blocks(&payload));
                assert_eq!(events, [Owned::Binary(message.unwrap())], "{payload:x?}");
                read_well += 1;
            }
            (events, Some(error)) => {
                assert_eq!((events, error), (vec![], ProtocolError::CorruptDeflate));
                failed += 1;
            }
        }
    }
    assert!(
        read_well > 100 && failed > 100,
        "{read_well} read, {failed} failed"
    );
}
