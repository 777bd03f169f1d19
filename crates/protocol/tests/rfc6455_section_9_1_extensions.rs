//! RFC 6455 section 9.1: the grammar of Sec-WebSocket-Extensions.

mod support;

use django_bolt_protocol::extension::parse_extensions;
use django_bolt_protocol::{parse_head, Head};

type Parameters<'t> = Vec<(&'t str, Option<&'t str>)>;

/// What is read of a value, or None.
fn read(value: &str) -> Option<Vec<(String, Vec<(String, Option<String>)>)>> {
    let extensions = parse_extensions(value.as_bytes()).ok()?;
    Some(
        extensions
            .into_iter()
            .map(|extension| {
                let parameters = extension.parameters.into_iter();
                let parameters = parameters.map(|p| (p.name.to_owned(), p.value.map(Into::into)));
                (extension.name.to_owned(), parameters.collect())
            })
            .collect(),
    )
}

#[test]
fn section_9_1_extensions_and_parameters_are_read_in_order() {
    let cases: &[(&str, Vec<(&str, Parameters<'_>)>)] = &[
        ("foo", vec![("foo", vec![])]),
        ("foo; bar", vec![("foo", vec![("bar", None)])]),
        ("foo;bar=1", vec![("foo", vec![("bar", Some("1"))])]),
        ("foo; bar=\"baz\"", vec![("foo", vec![("bar", Some("baz"))])]),
        ("foo; bar=\"b\\az\"", vec![("foo", vec![("bar", Some("baz"))])]),
        (
            " foo ; bar = 1 ;\tbar , foo,b!z; q=\"1\"",
            vec![
                ("foo", vec![("bar", Some("1")), ("bar", None)]),
                ("foo", vec![]),
                ("b!z", vec![("q", Some("1"))]),
            ],
        ),
        // Empty elements of a list are ignored (RFC 9110 section 5.6.1).
        ("", vec![]),
        (" , ,", vec![]),
        (",foo,,bar,", vec![("foo", vec![]), ("bar", vec![])]),
    ];
    for (value, expected) in cases {
        let read = read(value).unwrap_or_else(|| vec![("malformed".to_owned(), vec![])]);
        let read: Vec<_> = read
            .iter()
            .map(|(name, parameters)| {
                let parameters = parameters.iter();
                let parameters = parameters.map(|(name, value)| (name.as_str(), value.as_deref()));
                (name.as_str(), parameters.collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(&read, expected, "{value:?}");
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
        assert_eq!(read(value), None, "{value:?}");
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
