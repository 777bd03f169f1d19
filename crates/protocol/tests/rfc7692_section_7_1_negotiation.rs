//! RFC 7692 sections 5 and 7.1: offers, responses, and what they agree on.
#![allow(clippy::unwrap_used)]

mod support;

use django_bolt_protocol::deflate::{accept_response, negotiate, offer, Agreement, Config, Direction};
use django_bolt_protocol::{write_accept_with_deflate, HandshakeError, Request, Response, Role};

/// A config that asks for nothing.
const OPEN: Config = Config {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: 15,
    client_max_window_bits: 15,
    level: 1,
    memory_level: 8,
    min_size: 0,
};

fn agree(offers: &str, config: &Config) -> Option<Agreement> {
    negotiate([offers.as_bytes()], config)
}

/// The response to some offers; "" if there is none.
fn respond(offers: &str, config: &Config) -> String {
    agree(offers, config).map_or(String::new(), |agreement| agreement.response())
}

fn direction(context_takeover: bool, window_bits: u8) -> Direction {
    Direction {
        context_takeover,
        window_bits,
    }
}

#[test]
fn section_7_1_offers_are_answered() {
    for (offer, response, server, client) in [
        ("", "", direction(true, 15), direction(true, 15)),
        (
            "; server_no_context_takeover",
            "; server_no_context_takeover",
            direction(false, 15),
            direction(true, 15),
        ),
        (
            "; client_no_context_takeover",
            "; client_no_context_takeover",
            direction(true, 15),
            direction(false, 15),
        ),
        (
            "; server_max_window_bits=10",
            "; server_max_window_bits=10",
            direction(true, 10),
            direction(true, 15),
        ),
        (
            "; server_max_window_bits=8",
            "; server_max_window_bits=8",
            direction(true, 8),
            direction(true, 15),
        ),
        (
            "; server_max_window_bits=\"15\"",
            "; server_max_window_bits=15",
            direction(true, 15),
            direction(true, 15),
        ),
        (
            "; client_max_window_bits",
            "",
            direction(true, 15),
            direction(true, 15),
        ),
        (
            "; client_max_window_bits=15",
            "",
            direction(true, 15),
            direction(true, 15),
        ),
        (
            "; client_max_window_bits=9",
            "; client_max_window_bits=9",
            direction(true, 15),
            direction(true, 9),
        ),
        (
            "; client_max_window_bits; server_max_window_bits=11; client_no_context_takeover",
            "; client_no_context_takeover; server_max_window_bits=11",
            direction(true, 11),
            direction(false, 15),
        ),
    ] {
        let agreement = agree(&format!("permessage-deflate{offer}"), &OPEN).unwrap();
        assert_eq!(
            agreement.response(),
            format!("permessage-deflate{response}"),
            "{offer}"
        );
        assert_eq!((agreement.server, agreement.client), (server, client), "{offer}");
        assert_eq!(agreement.reading(Role::Server), agreement.writing(Role::Client));
        assert_eq!(agreement.reading(Role::Client), agreement.writing(Role::Server));
        assert_eq!(agreement.reading(Role::Server), client);
    }
}

#[test]
fn section_7_1_the_config_is_answered_as_well() {
    let both = Config {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        server_max_window_bits: 10,
        client_max_window_bits: 9,
        ..OPEN
    };
    for (offer, response, bits) in [
        // Section 7.1.2.2: client_max_window_bits must not be answered to a client that did not offer it. The
        // server's own window may be smaller than what is said.
        ("", "", (10, 15)),
        ("; client_max_window_bits", "; client_max_window_bits=9", (10, 9)),
        (
            "; client_max_window_bits=8",
            "; client_max_window_bits=8",
            (10, 8),
        ),
        (
            "; client_max_window_bits=15",
            "; client_max_window_bits=9",
            (10, 9),
        ),
        (
            "; server_max_window_bits=15",
            "; server_max_window_bits=10",
            (10, 15),
        ),
        (
            "; server_max_window_bits=9",
            "; server_max_window_bits=9",
            (9, 15),
        ),
    ] {
        let agreement = agree(&format!("permessage-deflate{offer}"), &both).unwrap();
        assert_eq!(
            agreement.response(),
            format!("permessage-deflate; server_no_context_takeover; client_no_context_takeover{response}"),
            "{offer}"
        );
        assert_eq!((agreement.server.window_bits, agreement.client.window_bits), bits);
        assert!(!agreement.server.context_takeover && !agreement.client.context_takeover);
    }
}

#[test]
fn section_7_1_an_offer_with_a_parameter_it_may_not_have_must_be_declined() {
    for parameter in [
        "unknown",
        "unknown=1",
        "server_no_context_takeover=1",
        "client_no_context_takeover=true",
        "server_no_context_takeover; server_no_context_takeover",
        "client_no_context_takeover; client_no_context_takeover",
        "server_max_window_bits",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=010",
        "server_max_window_bits=+9",
        "server_max_window_bits=1e1",
        "server_max_window_bits=256",
        "server_max_window_bits=99999999999999999999",
        "server_max_window_bits=10; server_max_window_bits=10",
        "client_max_window_bits=7",
        "client_max_window_bits=16",
        "client_max_window_bits=08",
        "client_max_window_bits=x",
        "client_max_window_bits; client_max_window_bits",
        "client_max_window_bits; client_max_window_bits=10",
        "Server_No_Context_Takeover",
    ] {
        let offer = format!("permessage-deflate; {parameter}");
        assert_eq!(agree(&offer, &OPEN), None, "{offer}");
        assert_eq!(accept_response([offer.as_bytes()], &OPEN).ok(), None, "{offer}");
        // Section 5: offers are alternatives, and the next may do.
        let offers = format!("{offer}, permessage-deflate; server_max_window_bits=12, permessage-deflate");
        assert_eq!(
            respond(&offers, &OPEN),
            "permessage-deflate; server_max_window_bits=12",
            "{offer}"
        );
    }
}

#[test]
fn section_5_offers_may_stand_in_several_fields_among_other_extensions() {
    let fields = [
        &b"x-webkit-deflate-frame, permessage-bzip2; server_max_window_bits=9"[..],
        b"",
        b"permessage-deflate; client_no_context_takeover; x, permessage-deflate; client_no_context_takeover",
        b"permessage-deflate",
    ];
    let agreement = negotiate(fields, &OPEN).unwrap();
    assert_eq!(
        agreement.response(),
        "permessage-deflate; client_no_context_takeover"
    );
    assert_eq!(negotiate([&b"x-webkit-deflate-frame"[..], b""], &OPEN), None);
    assert_eq!(negotiate(std::iter::empty(), &OPEN), None);
    assert_eq!(agree("permessage-deflate, ;", &OPEN), None);
}

#[test]
fn browsers_get_no_context_takeover_by_default() {
    let config = Config::default();
    for offer in [
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    ] {
        assert_eq!(
            respond(offer, &config),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        );
    }
}

#[test]
fn section_7_1_a_client_offers_what_its_config_wishes() {
    assert_eq!(offer(&OPEN), "permessage-deflate; client_max_window_bits");
    let config = Config {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        server_max_window_bits: 10,
        client_max_window_bits: 9,
        ..OPEN
    };
    assert_eq!(
        offer(&config),
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
         server_max_window_bits=10; client_max_window_bits=9"
    );
}

#[test]
fn section_7_1_a_client_reads_the_response() {
    let accept = |value: &str, config: &Config| {
        let agreement = accept_response([value.as_bytes()], config).unwrap().unwrap();
        (agreement.server, agreement.client)
    };
    for (value, server, client) in [
        ("permessage-deflate", direction(true, 15), direction(true, 15)),
        (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            direction(false, 15),
            direction(false, 15),
        ),
        (
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=8",
            direction(true, 9),
            direction(true, 8),
        ),
    ] {
        assert_eq!(accept(value, &OPEN), (server, client), "{value}");
    }
    // A client may do with less than it is granted.
    let small = Config {
        client_no_context_takeover: true,
        client_max_window_bits: 10,
        ..OPEN
    };
    let value = "permessage-deflate; client_max_window_bits=12";
    assert_eq!(accept(value, &small), (direction(true, 15), direction(false, 10)));
}

#[test]
fn section_5_1_a_client_must_fail_on_a_response_that_answers_no_offer() {
    let demanding = Config {
        server_no_context_takeover: true,
        server_max_window_bits: 10,
        ..OPEN
    };
    let good = "permessage-deflate; server_no_context_takeover; server_max_window_bits=10";
    assert!(accept_response([good.as_bytes()], &demanding).is_ok());
    for value in [
        "permessage-deflate",
        "permessage-deflate; server_no_context_takeover",
        "permessage-deflate; server_max_window_bits=10",
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=11",
    ] {
        assert!(
            accept_response([value.as_bytes()], &demanding).is_err(),
            "{value}"
        );
    }
    for value in [
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate, permessage-deflate",
        "permessage-deflate, foo",
        "foo",
        "permessage-deflate;",
    ] {
        assert!(accept_response([value.as_bytes()], &OPEN).is_err(), "{value}");
    }
    assert_eq!(accept_response([&b""[..]], &OPEN), Ok(None));
    assert_eq!(accept_response(std::iter::empty(), &OPEN), Ok(None));
}

/// Whatever both sides wish, the client accepts what the server answers, and both mean the same.
#[test]
fn section_7_1_both_roles_agree() {
    let configs = || {
        [(false, false), (false, true), (true, false), (true, true)]
            .into_iter()
            .flat_map(|takeover| [8, 9, 15].map(|server| (takeover, server)))
            .flat_map(|(takeover, server)| [8, 9, 15].map(|client| (takeover, server, client)))
            .map(|((server_forgets, client_forgets), server, client)| Config {
                server_no_context_takeover: server_forgets,
                client_no_context_takeover: client_forgets,
                server_max_window_bits: server,
                client_max_window_bits: client,
                ..OPEN
            })
    };
    for (client, server) in configs().flat_map(|client| configs().map(move |server| (client, server))) {
        let agreed = agree(&offer(&client), &server).unwrap();
        let confirmed = accept_response([agreed.response().as_bytes()], &client);
        let confirmed = confirmed.unwrap().unwrap();
        assert_eq!(confirmed.client, agreed.client, "{client:?} {server:?}");
        assert_eq!(confirmed.server.context_takeover, agreed.server.context_takeover);
        assert!(agreed.server.window_bits <= confirmed.server.window_bits);
        assert!(
            agreed.server.window_bits <= client.server_max_window_bits.min(server.server_max_window_bits)
        );
    }
}

#[test]
fn values_out_of_range_are_found_and_do_no_harm() {
    assert_eq!(OPEN.check(), Ok(()));
    assert_eq!(Config::default().check(), Ok(()));
    let wild = |value| Config {
        server_max_window_bits: value,
        client_max_window_bits: value,
        level: value,
        memory_level: value,
        ..OPEN
    };
    for (config, name, text) in [
        (
            Config {
                server_max_window_bits: 7,
                ..OPEN
            },
            "server_max_window_bits",
            "server_max_window_bits is 7, not from 8 to 15",
        ),
        (
            Config {
                client_max_window_bits: 16,
                ..OPEN
            },
            "client_max_window_bits",
            "client_max_window_bits is 16, not from 8 to 15",
        ),
        (
            Config { level: 0, ..OPEN },
            "level",
            "level is 0, not from 1 to 9",
        ),
        (
            Config {
                memory_level: 10,
                ..OPEN
            },
            "memory_level",
            "memory_level is 10, not from 1 to 9",
        ),
    ] {
        let bad = config.check().unwrap_err();
        assert_eq!((bad.name, bad.to_string().as_str()), (name, text));
    }
    assert_eq!(
        offer(&wild(0)),
        "permessage-deflate; server_max_window_bits=8; client_max_window_bits=8"
    );
    assert_eq!(offer(&wild(255)), offer(&OPEN));
    let agreement = agree("permessage-deflate; client_max_window_bits", &wild(255)).unwrap();
    assert_eq!(
        (agreement.server, agreement.client),
        (direction(true, 15), direction(true, 15))
    );
}

#[test]
fn section_5_1_the_handshake_carries_offer_and_response() {
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    let config = Config::default();
    let request = Request {
        target: "/",
        host: "a",
        key: KEY,
        subprotocols: &[],
        deflate: Some(&config),
        headers: &[],
    };
    let mut out = Vec::new();
    request.write(&mut out).unwrap();
    let head = String::from_utf8(out).unwrap();
    let line = format!("\r\nSec-WebSocket-Extensions: {}\r\n", offer(&config));
    assert!(head.contains(&line), "{head}");

    let agreement = agree(&offer(&config), &config).unwrap();
    let mut out = Vec::new();
    write_accept_with_deflate(&mut out, KEY, None, Some(&agreement), &[("X-A", "b")]).unwrap();
    let Ok(Response::Accepted { headers, .. }) = request.parse_response(&out) else {
        unreachable!("{}", out.escape_ascii());
    };
    let values = headers
        .iter()
        .filter(|(name, _)| name == "sec-websocket-extensions");
    let values = values.map(|(_, value)| value.as_slice());
    assert_eq!(accept_response(values, &config), Ok(Some(agreement)));

    let bare = Request {
        deflate: None,
        ..request
    };
    assert_eq!(bare.parse_response(&out), Err(HandshakeError::Extension));
    let head = String::from_utf8(out).unwrap();
    let twice = head.replace("X-A: b", "Sec-WebSocket-Extensions: permessage-deflate");
    assert_eq!(
        request.parse_response(twice.as_bytes()),
        Err(HandshakeError::Extension)
    );
    let declined: String = head
        .lines()
        .filter(|line| !line.contains("Extensions"))
        .fold(String::new(), |head, line| head + line + "\r\n");
    assert!(matches!(
        request.parse_response(declined.as_bytes()),
        Ok(Response::Accepted { .. })
    ));
}
