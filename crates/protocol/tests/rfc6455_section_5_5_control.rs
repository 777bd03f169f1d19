//! RFC 6455 section 5.5: control frames.

mod support;

use django_bolt_protocol::{Input, ProtocolError, Role};
use support::{header, masked, read_all, reader, server, server_by_bytes, Owned, CONTROL, FIN, KEY};

#[test]
fn section_5_5_control_frames_of_125_bytes_are_read() {
    let payload = [&[0x03, 0xe8][..], &[b'x'; 123]].concat();
    let reason = "x".repeat(123);
    let expected = [
        Owned::Close(Some(1000), reason),
        Owned::Ping(payload.clone()),
        Owned::Pong(payload.clone()),
    ];
    for (opcode, expected) in CONTROL.into_iter().zip(expected) {
        let frame = masked(FIN | opcode, &payload);
        assert_eq!(server(&frame), (vec![expected.clone()], None));
        assert_eq!(server_by_bytes(&frame), (vec![expected], None));
    }
}

#[test]
fn section_5_5_control_frames_must_not_exceed_125_bytes() {
    for opcode in CONTROL {
        for length in [126, 127, 0xffff, 0x1_0000] {
            let (events, error) = server(&header(FIN | opcode, 0x80, length)[..2]);
            assert_eq!(events, vec![]);
            assert!(matches!(error, Some(ProtocolError::ControlTooLong(got)) if got as u8 == opcode));
        }
    }
}

#[test]
fn section_5_5_control_frames_must_not_be_fragmented() {
    for opcode in CONTROL {
        let (events, error) = server(&masked(opcode, b"\x03\xe8"));
        assert_eq!(events, vec![]);
        assert!(matches!(error, Some(ProtocolError::FragmentedControl(got)) if got as u8 == opcode));
    }
}

#[test]
fn section_5_5_2_pings_without_payload_are_pings() {
    for (opcode, expected) in [(0x9, Owned::Ping(vec![])), (0xa, Owned::Pong(vec![]))] {
        assert_eq!(server(&masked(FIN | opcode, b"")), (vec![expected.clone()], None));
        assert_eq!(
            server_by_bytes(&masked(FIN | opcode, b"")),
            (vec![expected], None)
        );
    }
}

/// A Ping's payload is application data: any bytes, not text.
#[test]
fn section_5_5_2_a_ping_may_hold_any_bytes() {
    let payload = (0x80..=0xff).collect::<Vec<u8>>();
    let payload = &payload[..125];
    assert_eq!(
        server(&masked(0x89, payload)).0,
        vec![Owned::Ping(payload.to_vec())]
    );
}

#[test]
fn a_control_frame_in_pieces_is_held_and_released() {
    let mut reader = reader(Role::Server);
    let frame = masked(0x89, b"0123456789");
    assert_eq!(read_all(&mut reader, &frame[..10]), (vec![], None));
    assert_eq!(reader.buffered(), 4);
    assert!(!reader.is_mid_message(), "a control frame is no message");

    let mut rest = frame[10..].to_vec();
    let mut input = Input::new(&mut rest);
    assert!(matches!(reader.read(&mut input), Ok(Some(_))));
    assert_eq!(reader.read(&mut input), Ok(None));
    assert_eq!(reader.buffered(), 0);
}

#[test]
fn a_header_in_pieces_is_held() {
    let mut reader = reader(Role::Server);
    let start = [&header(0x82, 0x80, 70_000)[..], &KEY[..3]].concat();
    for (count, byte) in start.iter().enumerate() {
        assert_eq!(reader.buffered(), count);
        assert_eq!(read_all(&mut reader, &[*byte]), (vec![], None));
    }
    assert_eq!(reader.buffered(), 13);
    assert_eq!(read_all(&mut reader, &KEY[3..]), (vec![], None));
    assert_eq!(reader.buffered(), 0);
    assert!(reader.is_mid_message());
}
