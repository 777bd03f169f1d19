//! RFC 6455 sections 4.2 and 4.4: the opening handshake as the server reads and answers it; 1.3: its example.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use django_bolt_protocol::{
    accept_key, header_fields, header_values, parse_head, write_accept, write_refusal, write_response, Head,
    Refusal,
};

const LIMIT: usize = 16_384;
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The request of section 1.3, as fields that a test may change.
const SAMPLE: &[(&str, &str)] = &[
    ("Host", "server.example.com"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", KEY),
    ("Origin", "http://example.com"),
    ("Sec-WebSocket-Protocol", "chat, superchat"),
    ("Sec-WebSocket-Version", "13"),
];

fn request(line: &str, fields: &[(&str, &str)]) -> String {
    let fields: String = fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    format!("{line}\r\n{fields}\r\n")
}

/// The sample with a field's value replaced, or without the field.
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
    request("GET /chat HTTP/1.1", &fields)
}

/// The sample with one more field.
fn plus(name: &str, value: &str) -> String {
    request("GET /chat HTTP/1.1", &[SAMPLE, &[(name, value)]].concat())
}

fn with_line(line: &str) -> String {
    request(line, SAMPLE)
}

fn refusal(head: &str) -> Refusal {
    match parse_head(head.as_bytes(), LIMIT) {
        Head::Refused(refusal) => refusal,
        other => panic!("{head:?} was not refused: {other:?}"),
    }
}

fn assert_refused(head: &str, status: u16, reason: &str) {
    let refusal = refusal(head);
    assert_eq!(refusal.status, status, "{head:?}: {}", refusal.reason);
    assert!(refusal.reason.contains(reason), "{head:?}: {}", refusal.reason);
}

#[track_caller]
fn assert_websocket(head: &str) {
    match parse_head(head.as_bytes(), LIMIT) {
        Head::WebSocket(upgrade) => assert_eq!(upgrade.len, head.len()),
        other => panic!("{head:?}: {other:?}"),
    }
}

#[track_caller]
fn assert_http(head: &str) {
    match parse_head(head.as_bytes(), LIMIT) {
        Head::Http(request) => assert_eq!(request.len, head.len()),
        other => panic!("{head:?}: {other:?}"),
    }
}

// What is accepted.

#[test]
fn section_1_3_the_sample_handshake_is_read() {
    let head = request("GET /chat?room=a%20b HTTP/1.1", SAMPLE);
    let with_frames = format!("{head}\u{1}frames that came at once\n\n");
    let Head::WebSocket(upgrade) = parse_head(with_frames.as_bytes(), LIMIT) else {
        panic!("{head:?}")
    };
    assert_eq!(
        (upgrade.target, upgrade.key, upgrade.len),
        ("/chat?room=a%20b", KEY, head.len())
    );
}

#[test]
fn section_1_3_the_sample_key_has_the_sample_accept() {
    assert_eq!(accept_key(KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn section_4_2_1_tokens_are_found_in_lists_in_any_case_and_in_several_fields() {
    assert_websocket(&with("Connection", Some("keep-alive, Upgrade")));
    assert_websocket(&with("Connection", Some("UPGRADE,keep-alive")));
    assert_websocket(&plus("connection", "keep-alive"));
    assert_websocket(&with("Upgrade", Some("WebSocket")));
    assert_websocket(&with("Upgrade", Some("h2c, websocket")));
}

#[test]
fn section_4_2_1_fields_that_are_not_known_are_ignored() {
    assert_websocket(&plus("Sec-WebSocket-Extensions", "permessage-deflate"));
    assert_websocket(&plus("Content-Length", "0"));
    assert_websocket(&plus("Sec-WebSocket-Protocol", "more"));
    assert_websocket(&with("Origin", None));
    assert_websocket(&plus("X-Latin", "caf\u{e9}"));
}

#[test]
fn rfc9112_section_2_2_empty_lines_before_the_request_are_ignored() {
    assert_websocket(&format!("\r\n{}", with_line("GET / HTTP/1.1")));
    assert_websocket(&with_line("GET / HTTP/1.1").replace("\r\n", "\n"));
}

#[test]
fn section_4_1_an_absolute_target_for_the_same_host_names_the_resource() {
    for (line, target) in [
        ("GET http://server.example.com/chat?x HTTP/1.1", "/chat?x"),
        ("GET HTTPS://Server.Example.com/ HTTP/1.1", "/"),
        ("GET http://server.example.com HTTP/1.1", "/"),
    ] {
        let head = with_line(line);
        let Head::WebSocket(upgrade) = parse_head(head.as_bytes(), LIMIT) else {
            panic!("{line}")
        };
        assert_eq!(upgrade.target, target);
    }
}

// What is left to HTTP.

#[test]
fn requests_that_ask_for_no_websocket_are_http() {
    for head in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocketx\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
        "PROPFIND /dav HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        assert_http(head);
    }
}

#[test]
fn an_http_head_is_told_apart_with_its_body_behind_it() {
    let bytes = b"POST /a?b HTTP/1.1\r\nHost: x\r\n\r\n\x16\x03body\r\n\r\n";
    let Head::Http(head) = parse_head(bytes, LIMIT) else {
        panic!()
    };
    assert_eq!((head.method, head.target, head.len), ("POST", "/a?b", 31));
}

// What is refused, rule by rule.

#[test]
fn section_4_2_1_the_method_must_be_get() {
    for method in ["POST", "HEAD", "PUT", "CONNECT", "get"] {
        let head = with_line(&format!("{method} /chat HTTP/1.1"));
        assert_refused(&head, 405, "GET");
        assert_eq!(refusal(&head).headers, [("Allow", "GET")]);
    }
}

#[test]
fn section_4_2_1_the_version_of_http_must_be_1_1() {
    assert_refused(&with_line("GET /chat HTTP/1.0"), 400, "HTTP/1.1");
    assert_refused(&with_line("GET /chat HTTP/2.0"), 400, "HTTP version");
}

#[test]
fn section_4_2_1_there_must_be_one_host() {
    assert_refused(&with("Host", None), 400, "Host");
    assert_refused(&with("Host", Some("")), 400, "Host");
    assert_refused(&plus("HOST", "server.example.com"), 400, "Host");
}

#[test]
fn section_4_2_1_upgrade_must_name_websocket() {
    for value in [
        None,
        Some("h2c"),
        Some(""),
        Some("web socket"),
        Some("websocket2"),
    ] {
        assert_refused(&with("Upgrade", value), 400, "Upgrade");
    }
}

#[test]
fn section_4_2_1_connection_must_name_upgrade() {
    for value in [None, Some("keep-alive"), Some(""), Some("upgrades")] {
        assert_refused(&with("Connection", value), 400, "Connection");
    }
}

#[test]
fn section_4_4_the_version_must_be_13_and_the_answer_names_it() {
    for value in [
        None,
        Some("8"),
        Some("12"),
        Some("14"),
        Some("013"),
        Some("13, 8"),
        Some(""),
    ] {
        let head = with("Sec-WebSocket-Version", value);
        assert_refused(&head, 426, "Sec-WebSocket-Version");
        assert!(refusal(&head).headers.contains(&("Sec-WebSocket-Version", "13")));
        assert!(refusal(&head).headers.contains(&("Upgrade", "websocket")));
    }
    assert_refused(&plus("Sec-WebSocket-Version", "13"), 426, "Sec-WebSocket-Version");
}

#[test]
fn section_4_2_1_there_must_be_one_key() {
    assert_refused(&with("Sec-WebSocket-Key", None), 400, "Sec-WebSocket-Key");
    assert_refused(&plus("sec-websocket-key", KEY), 400, "Sec-WebSocket-Key");
}

#[test]
fn section_4_2_1_the_key_must_be_16_bytes_in_base64() {
    for key in [
        "",
        "short",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZSE=",
        "dGhlIHNhbXBsZSBub25jZSEh",
        "dGhlIHNhbXBsZSBub25j!Q==",
        "dGhlIHNhbXBsZSBub25j\u{e9}==",
        "dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ==",
    ] {
        assert_refused(&with("Sec-WebSocket-Key", Some(key)), 400, "base64");
    }
    // 22 characters that a client made up: the last has bits that no encoder sets.
    assert_websocket(&with("Sec-WebSocket-Key", Some("0123456789abcdefghijkl==")));
}

#[test]
fn section_4_1_a_handshake_has_no_body() {
    assert_refused(&plus("Content-Length", "5"), 400, "body");
    assert_refused(&plus("Content-Length", "00"), 400, "body");
    assert_refused(&plus("Content-Length", ""), 400, "body");
    assert_refused(&plus("Transfer-Encoding", "chunked"), 400, "body");
    let twice = [SAMPLE, &[("Content-Length", "0"), ("content-length", "0")]].concat();
    assert_refused(&request("GET / HTTP/1.1", &twice), 400, "Content-Length");
}

#[test]
fn section_4_2_1_there_is_at_most_one_origin() {
    assert_refused(&plus("origin", "http://example.com"), 400, "Origin");
}

#[test]
fn section_4_2_1_subprotocols_must_be_tokens() {
    for offer in ["a b", "chat, a/b", "\"chat\"", "chat;q=1", "caf\u{e9}", "a\u{9}b"] {
        assert_refused(
            &plus("Sec-WebSocket-Protocol", offer),
            400,
            "malformed Sec-WebSocket-Protocol",
        );
    }
    for offer in [
        "",
        "chat",
        "chat, superchat",
        " chat ,, v2.chat ",
        "bearer.eyJ0-_.x.y",
    ] {
        assert_websocket(&plus("Sec-WebSocket-Protocol", offer));
    }
}

#[test]
fn section_4_2_1_the_target_must_name_a_resource() {
    for line in [
        "GET chat HTTP/1.1",
        "GET * HTTP/1.1",
        "GET ftp://server.example.com/ HTTP/1.1",
        "GET http://other.example.com/chat HTTP/1.1",
        "GET http://server.example.com.evil/chat HTTP/1.1",
        "GET http://server.example.com?x HTTP/1.1",
        // Section 3: no fragment identifiers.
        "GET /chat#part HTTP/1.1",
        "GET /caf\u{e9} HTTP/1.1",
    ] {
        assert_refused(&with_line(line), 400, "request target");
    }
    for line in [
        "GET /a b HTTP/1.1",
        "GET /a\u{1}b HTTP/1.1",
        "GET  HTTP/1.1",
        "GET /\u{7f} HTTP/1.1",
    ] {
        assert_eq!(refusal(&with_line(line)).status, 400, "{line:?}");
    }
}

#[test]
fn any_websocket_field_makes_it_an_attempt() {
    for field in [
        ("Upgrade", "WEBSOCKET"),
        ("Upgrade", "h2c, websocket"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
    ] {
        let head = request("GET / HTTP/1.1", &[("Host", "a"), field]);
        assert!(
            matches!(parse_head(head.as_bytes(), LIMIT), Head::Refused(_)),
            "{head:?}"
        );
    }
}

// Garbage and limits.

#[test]
fn what_cannot_become_a_request_is_refused_with_its_first_bytes() {
    for bytes in [
        &b"\x16\x03\x01"[..],
        b"\x16",
        b"\0",
        b"\x81\x85",
        b"\r\n\x16",
        b"\r\n\r\n\r\nGET",
        b"<html>",
        b"GET\r",
        b"GET\tx",
        b" GET",
        b"A-METHOD-THAT-NOBODY-HAS-EVER-REGISTERED",
    ] {
        let Head::Refused(refusal) = parse_head(bytes, LIMIT) else {
            panic!("{}", bytes.escape_ascii())
        };
        assert_eq!(refusal.status, 400);
    }
}

/// A slow head is judged as a quick one: what was decided on its beginning stays so.
#[test]
fn damaged_heads_are_survived_and_judged_the_same_however_they_arrive() {
    for seed in 0..300 {
        let mut numbers = support::Numbers::new(seed);
        let mut head = with_line("GET /chat HTTP/1.1").into_bytes();
        for _ in 0..=numbers.below(3) {
            let at = numbers.below(head.len());
            head[at] = b"\r\n\0 :,=/\xff\x80aG"[numbers.below(12)];
        }
        let whole = parse_head(&head, LIMIT);
        let first = (0..=head.len()).map(|len| parse_head(&head[..len], LIMIT));
        let first = first.into_iter().find(|judged| *judged != Head::Incomplete);
        assert_eq!(
            first.unwrap_or(Head::Incomplete),
            whole,
            "{}",
            head.escape_ascii()
        );
    }
}

#[test]
fn malformed_heads_are_refused_with_400() {
    for head in [
        "GET /\r\n\r\n",
        "GET / HTTP/3.0\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        assert_eq!(refusal(head).status, 400, "{head:?}");
    }
}

#[test]
fn a_head_is_incomplete_until_its_blank_line() {
    let head = with_line("GET /chat HTTP/1.1");
    for len in 0..head.len() {
        assert_eq!(
            parse_head(&head.as_bytes()[..len], LIMIT),
            Head::Incomplete,
            "{len} bytes"
        );
    }
    assert_websocket(&head);
}

#[test]
fn a_head_over_the_limit_is_refused_with_431() {
    let head = with_line("GET /chat HTTP/1.1");
    let bytes = head.as_bytes();
    assert!(matches!(parse_head(bytes, head.len()), Head::WebSocket(_)));
    for seen in [head.len() - 1, head.len()] {
        let Head::Refused(refusal) = parse_head(&bytes[..seen], head.len() - 1) else {
            panic!("{seen}")
        };
        assert_eq!(refusal.status, 431);
    }
    assert_eq!(
        parse_head(&bytes[..head.len() - 2], head.len() - 1),
        Head::Incomplete
    );
}

#[test]
fn more_than_128_fields_are_refused_with_431() {
    let fields = vec![("X", "y"); 128];
    assert_http(&request("GET / HTTP/1.1", &fields));
    assert_refused(&request("GET / HTTP/1.1", &vec![("X", "y"); 129]), 431, "fields");
    // Known before the head ends.
    let unfinished = format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(130));
    assert_refused(&unfinished, 431, "fields");
}

#[test]
fn header_fields_are_lower_case_names_and_trimmed_bytes() {
    let head =
        b"GET / HTTP/1.1\r\nHost: a \r\nX-Latin:\t\xe9 \t\r\nCOOKIE: a=b\r\nCookie: c=d\r\nEmpty:\r\n\r\n";
    let expected: Vec<(String, &[u8])> = vec![
        ("host".to_owned(), b"a"),
        ("x-latin".to_owned(), b"\xe9"),
        ("cookie".to_owned(), b"a=b"),
        ("cookie".to_owned(), b"c=d"),
        ("empty".to_owned(), b""),
    ];
    assert_eq!(header_fields(head), expected);
    assert_eq!(header_fields(b"no head"), vec![]);
}

#[test]
fn header_values_are_those_of_a_name_in_any_case() {
    let head = b"GET / HTTP/1.1\r\nHost: a \r\nX-Latin:\t\xe9 \t\r\nX-LATIN:\r\nX-Lat: c\r\n\r\n";
    assert_eq!(header_values(head, "x-latin"), [&b"\xe9"[..], b""]);
    assert_eq!(header_values(head, "HOST"), [b"a"]);
    assert_eq!(header_values(head, "x"), [&b""[..]; 0]);
    assert_eq!(header_values(b"no head", "host"), [&b""[..]; 0]);
}

// Answers.

#[test]
fn section_4_2_2_the_accepting_response() {
    let mut out = b"before".to_vec();
    write_accept(
        &mut out,
        KEY,
        Some("chat"),
        &[("X-A", "b"), ("Set-Cookie", "c=d")],
    )
    .unwrap();
    let expected = "before\
        HTTP/1.1 101 Switching Protocols\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
        Sec-WebSocket-Protocol: chat\r\n\
        X-A: b\r\n\
        Set-Cookie: c=d\r\n\
        \r\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn section_4_2_2_no_field_may_contradict_or_break_the_accepting_response() {
    for (subprotocol, field) in [
        (Some(""), ("X", "y")),
        (Some("a, b"), ("X", "y")),
        (Some("a\r\nX: y"), ("X", "y")),
        (None, ("Sec-WebSocket-Protocol", "chat")),
        (None, ("sec-websocket-extensions", "permessage-deflate")),
        (None, ("UPGRADE", "h2c")),
        (None, ("Content-Length", "1")),
        (None, ("", "x")),
        (None, ("X Y", "x")),
        (None, ("X", "a\r\nSet-Cookie: b")),
        (None, ("X", "a\nb")),
        (None, ("X", "a\0b")),
    ] {
        let mut out = b"before".to_vec();
        let bad = write_accept(&mut out, KEY, subprotocol, &[field]).unwrap_err();
        assert!(
            !bad.problem.is_empty() && bad.to_string().contains(bad.problem),
            "{bad}"
        );
        assert_eq!(out, b"before", "{field:?}");
    }
}

#[test]
fn a_response_says_where_it_ends() {
    let mut out = Vec::new();
    let own = [
        ("Content-Type", "application/json"),
        ("content-length", "99"),
        ("Connection", "keep-alive"),
    ];
    write_response(&mut out, 422, &own, b"{\"a\": 1}").unwrap();
    let expected = "HTTP/1.1 422 Unprocessable Content\r\n\
        Content-Type: application/json\r\n\
        Content-Length: 8\r\n\
        Connection: close\r\n\
        \r\n\
        {\"a\": 1}";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

/// RFC 9112 section 6.3: such a response ends with its head.
#[test]
fn a_response_without_content_has_no_length() {
    for (status, phrase) in [(204, "No Content"), (304, "Not Modified")] {
        let mut out = Vec::new();
        write_response(&mut out, status, &[], b"dropped").unwrap();
        let expected = format!("HTTP/1.1 {status} {phrase}\r\nConnection: close\r\n\r\n");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn a_response_with_an_unregistered_status_has_no_phrase() {
    let mut out = Vec::new();
    write_response(&mut out, 499, &[], b"").unwrap();
    assert!(out.starts_with(b"HTTP/1.1 499 \r\nContent-Length: 0\r\n"));
}

#[test]
fn a_response_with_a_bad_field_is_not_written() {
    let mut out = Vec::new();
    assert!(write_response(&mut out, 400, &[("X", "a\r\n\r\nb")], b"body").is_err());
    assert!(out.is_empty());
}

#[test]
fn section_4_4_a_refusal_is_a_whole_response_with_its_reason() {
    let mut out = Vec::new();
    write_refusal(&mut out, &refusal(&with("Sec-WebSocket-Version", Some("8"))));
    let expected = "HTTP/1.1 426 Upgrade Required\r\n\
        Content-Type: text/plain; charset=utf-8\r\n\
        Sec-WebSocket-Version: 13\r\n\
        Upgrade: websocket\r\n\
        Content-Length: 32\r\n\
        Connection: close, Upgrade\r\n\
        \r\n\
        Sec-WebSocket-Version is not 13\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}
