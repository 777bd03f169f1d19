//! RFC 6455 section 4.1: the opening handshake as the client asks for it and judges the answer.
#![allow(clippy::unwrap_used, clippy::panic)]

use django_bolt_protocol::{
    parse_head, parse_response, write_accept, write_request, write_response, HandshakeError, Head, Response,
};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

fn response(fields: &[(&str, &str)]) -> String {
    let fields: String = fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n")
}

const SAMPLE: &[(&str, &str)] = &[
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Accept", ACCEPT),
];

fn with(name: &str, value: Option<&str>) -> String {
    let fields: Vec<_> = SAMPLE
        .iter()
        .filter_map(|(own, old)| {
            if *own == name {
                value.map(|value| (*own, value))
            } else {
                Some((*own, *old))
            }
        })
        .collect();
    response(&fields)
}

fn plus(name: &str, value: &str) -> String {
    response(&[SAMPLE, &[(name, value)]].concat())
}

#[track_caller]
fn assert_error(head: &str, error: HandshakeError) {
    assert_eq!(
        parse_response(head.as_bytes(), KEY, &["chat"]),
        Err(error),
        "{head:?}"
    );
    assert!(!error.to_string().is_empty());
}

#[test]
fn section_4_1_the_request() {
    let mut out = Vec::new();
    let headers = [("Origin", "http://example.com"), ("Cookie", "a=b")];
    write_request(
        &mut out,
        "/chat?a=b",
        "server.example.com:80",
        KEY,
        &["chat", "superchat"],
        &headers,
    )
    .unwrap();
    let expected = "GET /chat?a=b HTTP/1.1\r\n\
        Host: server.example.com:80\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Protocol: chat, superchat\r\n\
        Origin: http://example.com\r\n\
        Cookie: a=b\r\n\
        \r\n";
    assert_eq!(std::str::from_utf8(&out).unwrap(), expected);
    let Head::WebSocket(upgrade) = parse_head(&out, 16_384) else {
        panic!("{expected}")
    };
    assert_eq!(
        (upgrade.target, upgrade.key, upgrade.len),
        ("/chat?a=b", KEY, out.len())
    );
}

#[test]
fn section_4_1_a_request_that_would_be_malformed_is_not_written() {
    let refused = |target: &str, host: &str, subprotocols: &[&str], header: (&str, &str)| {
        let mut out = b"before".to_vec();
        assert!(
            write_request(&mut out, target, host, KEY, subprotocols, &[header]).is_err(),
            "{target:?}"
        );
        assert_eq!(out, b"before");
    };
    for target in ["", "chat", "/a b", "/a\r\nX: y", "/caf\u{e9}", "/a#b", "/\0"] {
        refused(target, "a", &[], ("X", "y"));
    }
    refused("/", "a\r\nX: y", &[], ("X", "y"));
    refused("/", "a", &["a b"], ("X", "y"));
    refused("/", "a", &[""], ("X", "y"));
    refused("/", "a", &[], ("X", "y\r\n\r\n"));
    for own in [
        "Host",
        "upgrade",
        "Connection",
        "sec-websocket-key",
        "Sec-WebSocket-Protocol",
    ] {
        refused("/", "a", &[], (own, "y"));
    }
}

#[test]
fn section_4_1_the_server_s_own_answer_is_accepted() {
    let mut out = Vec::new();
    write_accept(&mut out, KEY, Some("chat"), &[("X-A", "b")]).unwrap();
    let len = out.len();
    out.extend_from_slice(b"\x81\x00\n\n");
    match parse_response(&out, KEY, &["other", "chat"]).unwrap() {
        Response::Accepted {
            len: got,
            subprotocol,
            headers,
        } => {
            assert_eq!((got, subprotocol.as_deref()), (len, Some("chat")));
            assert_eq!(headers.last().unwrap(), &("x-a".to_owned(), b"b".to_vec()));
        }
        other => panic!("{other:?}"),
    }
    for shorter in 0..len {
        assert_eq!(
            parse_response(&out[..shorter], KEY, &["chat"]),
            Ok(Response::Incomplete)
        );
    }
}

#[test]
fn section_4_1_any_other_status_is_an_http_response() {
    let mut out = Vec::new();
    write_response(&mut out, 403, &[("X-Why", "guard")], b"body").unwrap();
    match parse_response(&out, KEY, &[]).unwrap() {
        Response::Rejected { len, status, headers } => {
            assert_eq!((status, &out[len..]), (403, &b"body"[..]));
            assert_eq!(headers[0], ("x-why".to_owned(), b"guard".to_vec()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn section_4_1_upgrade_must_be_websocket() {
    for value in [None, Some("h2c"), Some("websocket, h2c")] {
        assert_error(&with("Upgrade", value), HandshakeError::Upgrade);
    }
    assert!(parse_response(with("Upgrade", Some("WebSocket")).as_bytes(), KEY, &[]).is_ok());
}

#[test]
fn section_4_1_connection_must_name_upgrade() {
    for value in [None, Some("keep-alive")] {
        assert_error(&with("Connection", value), HandshakeError::Connection);
    }
}

#[test]
fn section_4_1_the_accept_must_belong_to_the_key() {
    for value in [
        None,
        Some(""),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOO="),
        Some("S3PPLMBITXAQ9KYGZZHZRBK+XOO="),
    ] {
        assert_error(&with("Sec-WebSocket-Accept", value), HandshakeError::Accept);
    }
    assert_error(&plus("Sec-WebSocket-Accept", ACCEPT), HandshakeError::Accept);
}

#[test]
fn section_4_1_no_extension_may_be_chosen_that_was_not_offered() {
    assert_error(
        &plus("Sec-WebSocket-Extensions", "permessage-deflate"),
        HandshakeError::Extension,
    );
}

#[test]
fn section_4_1_no_subprotocol_may_be_chosen_that_was_not_offered() {
    for value in ["other", "Chat", "", "chat, chat"] {
        assert_error(
            &plus("Sec-WebSocket-Protocol", value),
            HandshakeError::Subprotocol,
        );
    }
    let twice = [
        SAMPLE,
        &[
            ("Sec-WebSocket-Protocol", "chat"),
            ("Sec-WebSocket-Protocol", "chat"),
        ],
    ]
    .concat();
    assert_error(&response(&twice), HandshakeError::Subprotocol);
}

#[test]
fn malformed_and_oversized_answers_are_errors() {
    assert_error("nonsense\r\n\r\n", HandshakeError::Malformed);
    assert_error(
        "HTTP/1.0 101 Switching Protocols\r\n\r\n",
        HandshakeError::Malformed,
    );
    assert_error("HTTP/1.1 101 X\r\nno colon\r\n\r\n", HandshakeError::Malformed);
    assert_error(&"x".repeat(70_000), HandshakeError::TooLarge);
    assert_error(
        &format!("HTTP/1.1 200 OK\r\n{}", "a: b\r\n".repeat(130)),
        HandshakeError::TooLarge,
    );
}
