//! RFC 6455 sections 5.5.1 and 7.4: Close frames and close codes.
mod support;

use django_bolt_protocol::{is_receivable, is_sendable, write_close, ProtocolError, Role, MAX_REASON};
use support::{client, masked, read_all, reader, server, server_by_bytes, Owned, KEY};

const VALID: [u16; 18] = [
    1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3001, 3999, 4000, 4001,
    4999,
];
const INVALID: [u16; 16] = [
    0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1017, 1100, 1999, 2000, 2999, 5000, 10_000, 65_535,
];

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    masked(0x88, &[&code.to_be_bytes(), reason].concat())
}

#[test]
fn section_7_4_valid_codes_are_read_with_their_reason() {
    for code in VALID {
        assert!(is_sendable(code) && is_receivable(code), "{code}");
        let expected = Owned::Close(Some(code), "caf\u{e9}".to_owned());
        let frame = close(code, "caf\u{e9}".as_bytes());
        assert_eq!(server(&frame), (vec![expected.clone()], None));
        assert_eq!(server_by_bytes(&frame), (vec![expected], None));
    }
}

#[test]
fn section_7_4_codes_that_must_not_be_sent_fail_with_1002() {
    for code in INVALID {
        assert!(!is_sendable(code) && !is_receivable(code), "{code}");
        let error = Some(ProtocolError::CloseCode(code));
        assert_eq!(error.as_ref().map(ProtocolError::close_code), Some(1002));
        assert_eq!(server(&close(code, b"")), (vec![], error.clone()));
        assert_eq!(server_by_bytes(&close(code, b"why")), (vec![], error));
    }
}

#[test]
fn section_5_5_1_a_close_frame_may_be_empty() {
    let expected = (vec![Owned::Close(None, String::new())], None);
    assert_eq!(server(&masked(0x88, b"")), expected);
    assert_eq!(server_by_bytes(&masked(0x88, b"")), expected);
}

#[test]
fn section_5_5_1_a_payload_must_begin_with_a_code_of_two_bytes() {
    for result in [
        server(&masked(0x88, b"\x03")),
        server_by_bytes(&masked(0x88, b"\x03")),
    ] {
        assert_eq!(result, (vec![], Some(ProtocolError::CloseTooShort)));
    }
    assert_eq!(ProtocolError::CloseTooShort.close_code(), 1002);
}

#[test]
fn section_5_5_1_the_reason_must_be_utf8() {
    for reason in [&b"\xff"[..], b"ok\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"] {
        assert_eq!(
            server(&close(1000, reason)),
            (vec![], Some(ProtocolError::CloseReasonNotUtf8))
        );
    }
    assert_eq!(ProtocolError::CloseReasonNotUtf8.close_code(), 1007);
}

#[test]
fn section_5_5_1_nothing_is_read_after_a_close_frame() {
    for split in [false, true] {
        let mut reader = reader(Role::Server);
        let frames = [close(1000, b"bye"), masked(0x81, b"late"), masked(0x83, b"bad")].concat();
        let at = if split { 12 } else { frames.len() };
        let (mut events, error) = read_all(&mut reader, &frames[..at]);
        assert_eq!(error, None);
        let (more, error) = read_all(&mut reader, &frames[at..]);
        assert_eq!(error, None);
        events.extend(more);
        assert_eq!(events, vec![Owned::Close(Some(1000), "bye".to_owned())]);
        assert_eq!(reader.buffered(), 0);
    }
}

#[test]
fn section_5_5_1_close_frames_are_written() {
    let written = |code, reason: &str, mask| {
        let mut out = Vec::new();
        write_close(&mut out, code, reason, mask);
        out
    };
    assert_eq!(written(None, "left out", None), [0x88, 0x00]);
    assert_eq!(written(Some(1000), "", None), [0x88, 0x02, 0x03, 0xe8]);
    assert_eq!(written(Some(1001), "bye", None), b"\x88\x05\x03\xe9bye");
    assert_eq!(written(Some(4001), "token", Some(KEY)), close(4001, b"token"));
}

/// Section 5.5: a control frame has at most 125 bytes, whatever the reason.
#[test]
fn section_5_5_1_a_long_reason_is_cut_at_the_end_of_a_character() {
    for (reason, expected) in [
        ("x".repeat(MAX_REASON), MAX_REASON),
        ("x".repeat(MAX_REASON + 1), MAX_REASON),
        ("\u{e9}".repeat(100), MAX_REASON - 1),
        ("\u{1f600}".repeat(100), MAX_REASON - 3),
    ] {
        let mut out = Vec::new();
        write_close(&mut out, Some(1000), &reason, None);
        assert_eq!(out.len(), 2 + 2 + expected);
        let cut = reason[..expected].to_owned();
        assert_eq!(client(&out), (vec![Owned::Close(Some(1000), cut)], None));
    }
}

/// Section 7.4.1: which code answers which error.
#[test]
fn section_7_4_1_each_error_has_its_code_and_says_what_was_wrong() {
    for (error, code) in [
        (ProtocolError::ReservedBits, 1002),
        (ProtocolError::Unmasked, 1002),
        (ProtocolError::TextNotUtf8, 1007),
        (ProtocolError::CloseReasonNotUtf8, 1007),
        (ProtocolError::TooManyFragments { limit: 1 }, 1009),
        (ProtocolError::MessageTooBig { size: 2, limit: 1 }, 1009),
        (ProtocolError::InflatedTooBig { limit: 1 }, 1009),
        (ProtocolError::CorruptDeflate, 1007),
    ] {
        assert_eq!(error.close_code(), code);
        assert!(is_sendable(error.close_code()));
        let explanation = error.to_string();
        assert!(!explanation.is_empty() && explanation.len() <= MAX_REASON);
    }
}
