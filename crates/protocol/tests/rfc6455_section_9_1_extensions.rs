//! RFC 6455 section 9.1: the grammar of Sec-WebSocket-Extensions.

mod support;

use django_bolt_protocol::extension::{parse_extensions, Extension, MalformedExtensions, Parameter};
use django_bolt_protocol::{parse_head, Head};

fn extension<'v>(name: &'v str, parameters: &[(&'v str, Option<&'v str>)]) -> Extension<'v> {
    let parameters = parameters.iter().map(|(name, value)| Parameter {
        name,
        value: value.map(Into::into),
    });
    Extension {
        name,
        parameters: parameters.collect(),
    }
}

#[test]
fn section_9_1_extensions_and_parameters_are_read_in_order() {
    for (value, expected) in [
        ("foo", vec![extension("foo", &[])]),
        ("foo; bar", vec![extension("foo", &[("bar", None)])]),
        ("foo;bar=1", vec![extension("foo", &[("bar", Some("1"))])]),
        (
            "foo; bar=\"baz\"",
            vec![extension("foo", &[("bar", Some("baz"))])],
        ),
        (
            "foo; bar=\"b\\az\"",
            vec![extension("foo", &[("bar", Some("baz"))])],
        ),
        (
            " foo ; bar = 1 ;\tbar , foo,b!z; q=\"1\"",
            vec![
                extension("foo", &[("bar", Some("1")), ("bar", None)]),
                extension("foo", &[]),
                extension("b!z", &[("q", Some("1"))]),
            ],
        ),
        // Empty elements of a list are ignored (RFC 9110 section 5.6.1).
        ("", vec![]),
        (" , ,", vec![]),
        (",foo,,bar,", vec![extension("foo", &[]), extension("bar", &[])]),
    ] {
        assert_eq!(parse_extensions(value.as_bytes()), Ok(expected), "{value:?}");
    }
}

const MALFORMED: &[&str] = &[
    ";",
    "foo;",
    "foo;;bar",
    "foo; =1",
    "foo; bar=",
    "foo; bar=,",
    "foo bar",
    "foo; bar baz",
    "foo=1",
    "foo; bar=\"",
    "foo; bar=\"\"",
    "foo; bar=\"a",
    "foo; bar=\"a b\"",
    "foo; bar=\"a\\",
    "foo; bar=\"a\"b",
    "foo; bar=a\"b\"",
    "foo/1",
    "f\u{e9}",
    "foo; bar=\u{e9}",
    "\"foo\"",
];

#[test]
fn section_9_1_what_does_not_follow_the_grammar_is_malformed() {
    for value in MALFORMED {
        assert_eq!(
            parse_extensions(value.as_bytes()),
            Err(MalformedExtensions),
            "{value:?}"
        );
    }
}

#[test]
fn section_9_1_a_malformed_value_must_fail_the_opening_handshake() {
    let request = |value: &str| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Extensions: foo\r\nSec-WebSocket-Extensions: {value}\r\n\r\n"
        )
    };
    for value in MALFORMED {
        let request = request(value);
        let Head::Refused(refusal) = parse_head(request.as_bytes(), 4096) else {
            unreachable!("{value:?} was let pass");
        };
        assert_eq!(
            (refusal.status, refusal.reason),
            (400, "malformed Sec-WebSocket-Extensions")
        );
    }
    let request = request("");
    assert!(matches!(parse_head(request.as_bytes(), 4096), Head::WebSocket(_)));
}

/// Nothing in a head makes the parser panic or hang.
#[test]
fn section_9_1_arbitrary_bytes_are_survived() {
    const PALETTE: &[u8] = b"ab;,=\"\\ \t\xe9";
    let mut numbers = support::Numbers::new(91);
    let (mut good, mut bad) = (0, 0);
    for _ in 0..20_000 {
        let len = numbers.below(12);
        let value: Vec<u8> = (0..len).map(|_| PALETTE[numbers.below(PALETTE.len())]).collect();
        match parse_extensions(&value) {
            Ok(_) => good += 1,
            Err(_) => bad += 1,
        }
    }
    assert!(good > 1000 && bad > 1000, "{good} good, {bad} bad");
}
