#![allow(clippy::unwrap_used)]
use super::*;
use crate::messages::{Content, Shape};
use crate::wire::push_server_frame;

fn messages() -> Messages {
    Messages::new(&Shape {
        size: 32,
        prefix: b"Echo: ".to_vec(),
        content: Content::Text,
        compressed: false,
        in_flight: 8,
    })
}

/// An open connection whose peer is never read.
fn open() -> (Connection, std::net::TcpListener) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    stream.set_nonblocking(true).unwrap();
    let request = Request {
        head: Vec::new(),
        accept_key: String::new(),
        compressed: false,
    };
    let mut connection = Connection::new(TcpStream::from_std(stream), request, 250);
    connection.state = State::Open;
    (connection, listener)
}

fn receive(connection: &mut Connection, bytes: &[u8]) -> Result<usize, Failure> {
    let mut progress = Progress::default();
    connection
        .receive(bytes, &messages(), &mut progress)
        .map(|()| progress.answers)
}

/// Eight answers over the ring's end, with a Ping and an answer in fragments among them.
fn mixed_stream() -> Vec<u8> {
    let table = messages();
    let mut bytes = Vec::new();
    for step in 0..8 {
        let index = (250 + step) % table.ring_length();
        let payload = table.answer_payload(index);
        match step {
            2 => push_server_frame(&mut bytes, opcode::PING, b"", b"beat"),
            5 => {
                bytes.extend_from_slice(&[opcode::TEXT, 10]);
                bytes.extend_from_slice(&payload[..10]);
                push_server_frame(&mut bytes, opcode::PING, b"", b"");
                push_server_frame(&mut bytes, opcode::CONTINUATION, b"", &payload[10..]);
                continue;
            }
            _ => {}
        }
        push_server_frame(&mut bytes, opcode::TEXT, b"", payload);
    }
    bytes
}

#[test]
fn answers_are_counted_however_they_are_cut() {
    let bytes = mixed_stream();
    for size in 1..=bytes.len() {
        let (mut connection, _listener) = open();
        connection.expect(8);
        let answers: usize = bytes
            .chunks(size)
            .map(|part| receive(&mut connection, part).unwrap())
            .sum();
        assert_eq!((answers, connection.outstanding()), (8, 0), "in parts of {size}");
    }
}

#[test]
fn one_wrong_byte_is_noticed_wherever_it_is() {
    let table = messages();
    let right = &table.answers_from(250)[..2 * table.answer_length()];
    for position in 0..right.len() {
        let (mut connection, _listener) = open();
        connection.expect(2);
        let mut wrong = right.to_vec();
        wrong[position] ^= 0x01;
        // A wrong length may leave the frame incomplete, so that the answer is late instead of wrong.
        let outcome = receive(&mut connection, &wrong);
        assert!(!matches!(outcome, Ok(2)), "byte {position}");
    }
}

#[test]
fn answers_without_a_question_are_noticed() {
    let (mut connection, _listener) = open();
    connection.expect(1);
    let table = messages();
    let two = &table.answers_from(250)[..2 * table.answer_length()];
    assert!(matches!(receive(&mut connection, two), Err(Failure::Unsolicited)));
}

#[test]
fn close_by_the_server_is_a_failure_and_by_us_is_not() {
    let mut bytes = Vec::new();
    push_server_frame(&mut bytes, opcode::CLOSE, b"", &1011_u16.to_be_bytes());
    let (mut connection, _listener) = open();
    assert!(matches!(
        receive(&mut connection, &bytes),
        Err(Failure::Closed(Some(1011)))
    ));
    let (mut connection, _listener) = open();
    connection.close().unwrap();
    assert!(matches!(receive(&mut connection, &bytes), Ok(0)));
    assert_eq!(connection.state, State::Closed);
}
