//! RFC 6455 section 8.1: text that is not UTF-8 fails the connection, at its first bad byte.
mod support;

use django_bolt_protocol::utf8::Utf8Decoder;
use django_bolt_protocol::{ProtocolError, Role};
use support::{header, masked, read_all, reader, server, server_by_bytes, text, Numbers, KEY};

/// Texts with sequences of every width and at the borders of each range.
const VALID: &[&str] = &[
    "",
    "a",
    "Hello-\u{b5}@\u{df}\u{f6}\u{e4}\u{fc}\u{e0}\u{e1}-UTF-8!!",
    "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}",
    "\0\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}",
    "\u{d7ff}\u{e000}\u{fffd}\u{fffe}",
    "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
];

/// Bytes that are not UTF-8, and how many of them can be read before that is certain.
const INVALID: &[(&[u8], usize)] = &[
    (b"\x80", 0),
    (b"\xbf", 0),
    (b"\xc0\x80", 0),
    (b"\xc1\xbf", 0),
    (b"\xfe", 0),
    (b"\xff", 0),
    (b"\xf5\x80\x80\x80", 0),
    (b"\xf8\x88\x80\x80\x80", 0),
    (b"a\xc3\x28", 2),
    (b"\xe0\x80\x80", 1),
    (b"\xe0\x9f\xbf", 1),
    (b"\xed\xa0\x80", 1),
    (b"\xed\xbf\xbf", 1),
    (b"\xe2\x82\x28", 2),
    (b"\xf0\x80\x80\x80", 1),
    (b"\xf0\x8f\xbf\xbf", 1),
    (b"\xf4\x90\x80\x80", 1),
    (b"\xf0\x9f\x98\x28", 3),
    // Autobahn 6.4: valid text, then a code point over U+10FFFF, then valid text.
    (
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited",
        12,
    ),
];

fn decode(pieces: &[&[u8]]) -> Result<String, ()> {
    let (mut decoder, mut out) = (Utf8Decoder::default(), String::new());
    for piece in pieces {
        decoder.push(piece, &mut out).map_err(|_| ())?;
    }
    if decoder.is_complete() {
        Ok(out)
    } else {
        Err(())
    }
}

#[test]
fn the_decoder_agrees_with_the_standard_library_for_all_splits() {
    let valid = VALID.iter().map(|text| text.as_bytes());
    for bytes in valid.chain(INVALID.iter().map(|(bytes, _)| *bytes)) {
        let expected = std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| ());
        for i in 0..=bytes.len() {
            for j in i..=bytes.len() {
                let pieces = [&bytes[..i], &bytes[i..j], &bytes[j..]];
                assert_eq!(decode(&pieces), expected, "{bytes:x?} at {i} and {j}");
            }
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(decode(&single), expected, "{bytes:x?} by bytes");
    }
}

#[test]
fn the_decoder_agrees_with_the_standard_library_for_arbitrary_bytes() {
    const PALETTE: &[u8] = b"a\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc2\xdf\xe0\xe1\xed\xef\xf0\xf1\xf4\xf5\xff";
    let mut numbers = Numbers::new(81);
    for _ in 0..20_000 {
        let len = numbers.below(7);
        let bytes: Vec<u8> = (0..len).map(|_| PALETTE[numbers.below(PALETTE.len())]).collect();
        let expected = std::str::from_utf8(&bytes).map(str::to_owned).map_err(|_| ());
        let at = numbers.below(len + 1);
        assert_eq!(
            decode(&[&bytes[..at], &bytes[at..]]),
            expected,
            "{bytes:x?} at {at}"
        );
    }
}

#[test]
fn the_decoder_fails_as_soon_as_no_text_could_follow() {
    for (bytes, good) in INVALID {
        for start in 0..=*good {
            let (mut decoder, mut out) = (Utf8Decoder::default(), String::new());
            assert!(decoder.push(&bytes[..start], &mut out).is_ok());
            for byte in &bytes[start..*good] {
                assert!(decoder.push(&[*byte], &mut out).is_ok(), "{bytes:x?} too early");
            }
            assert!(
                decoder.push(&bytes[*good..=*good], &mut out).is_err(),
                "{bytes:x?} too late"
            );
        }
    }
}

#[test]
fn section_8_1_valid_text_is_read_whole_by_bytes_and_in_fragments() {
    for valid in VALID {
        let bytes = valid.as_bytes();
        let expected = (vec![text(valid)], None);
        assert_eq!(server(&masked(0x81, bytes)), expected);
        assert_eq!(server_by_bytes(&masked(0x81, bytes)), expected);
        for at in 0..=bytes.len() {
            let fragments = [masked(0x01, &bytes[..at]), masked(0x80, &bytes[at..])].concat();
            assert_eq!(server(&fragments), expected, "{valid:?} at {at}");
        }
    }
}

#[test]
fn section_8_1_invalid_text_must_fail_the_connection_with_1007() {
    assert_eq!(ProtocolError::TextNotUtf8.close_code(), 1007);
    for (bytes, _) in INVALID {
        let expected = (vec![], Some(ProtocolError::TextNotUtf8));
        assert_eq!(server(&masked(0x81, bytes)), expected, "{bytes:x?}");
        assert_eq!(server_by_bytes(&masked(0x81, bytes)), expected, "{bytes:x?}");
        // Long enough for the vectorised path.
        let long = [&[b'x'; 200][..], bytes, &[b'y'; 200]].concat();
        assert_eq!(server(&masked(0x81, &long)), expected, "{bytes:x?}");
        let fragments = [masked(0x01, bytes), masked(0x80, b"")].concat();
        assert_eq!(server(&fragments), expected, "{bytes:x?}");
    }
}

#[test]
fn section_8_1_a_message_must_not_end_inside_a_character() {
    for bytes in [&b"a\xc3"[..], b"\xe2\x82", b"\xf0\x9f\x98"] {
        let expected = (vec![], Some(ProtocolError::TextNotUtf8));
        assert_eq!(server(&masked(0x81, bytes)), expected);
        assert_eq!(server_by_bytes(&masked(0x81, bytes)), expected);
        assert_eq!(
            server(&[masked(0x01, bytes), masked(0x80, b"")].concat()),
            expected
        );
    }
}

/// Autobahn 6.4.3 and 6.4.4: the frame is not waited for.
#[test]
fn section_8_1_invalid_text_fails_at_its_first_bad_byte_in_the_middle_of_a_frame() {
    for (bytes, good) in INVALID {
        let mut reader = reader(Role::Server);
        let start = [&header(0x81, 0x80, 1000)[..], &KEY].concat();
        let payload = masked(0x81, bytes)[6..].to_vec();
        assert_eq!(read_all(&mut reader, &start), (vec![], None));
        assert_eq!(
            read_all(&mut reader, &payload[..*good]),
            (vec![], None),
            "{bytes:x?}"
        );
        let (events, error) = read_all(&mut reader, &payload[*good..=*good]);
        assert_eq!(
            (events, error),
            (vec![], Some(ProtocolError::TextNotUtf8)),
            "{bytes:x?}"
        );
        assert_eq!(reader.buffered(), 0);
    }
}

/// Autobahn 6.4.1 and 6.4.2: the bad fragment fails, not the last.
#[test]
fn section_8_1_invalid_text_fails_in_its_fragment() {
    let mut reader = reader(Role::Server);
    assert_eq!(
        read_all(&mut reader, &masked(0x01, "\u{3ba}".as_bytes())),
        (vec![], None)
    );
    let bad = masked(0x00, b"\xf4\x90\x80\x80");
    assert_eq!(
        read_all(&mut reader, &bad),
        (vec![], Some(ProtocolError::TextNotUtf8))
    );
}

/// Section 5.6: binary messages are arbitrary bytes.
#[test]
fn section_8_1_binary_is_not_judged() {
    for (bytes, _) in INVALID {
        let expected = vec![support::Owned::Binary(bytes.to_vec())];
        assert_eq!(server(&masked(0x82, bytes)), (expected.clone(), None));
        assert_eq!(server_by_bytes(&masked(0x82, bytes)), (expected, None));
    }
}

#[test]
fn a_carried_sequence_counts_as_held() {
    let mut reader = reader(Role::Server);
    assert_eq!(
        read_all(&mut reader, &masked(0x01, b"ab\xe2\x82")),
        (vec![], None)
    );
    assert_eq!(reader.buffered(), 4);
    let rest = masked(0x80, b"\xac");
    assert_eq!(read_all(&mut reader, &rest).0, vec![text("ab\u{20ac}")]);
}
