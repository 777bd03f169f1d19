//! Sec-WebSocket-Extensions: any bytes; both sides understand what they say to each other.
#![no_main]

use django_bolt_fuzz::Choices;
use django_bolt_protocol::deflate::{accept_response, negotiate, offer, Config};
use django_bolt_protocol::extension::parse_extensions;
use django_bolt_protocol::Role;
use libfuzzer_sys::fuzz_target;

fn config(choices: &mut Choices<'_>) -> Config {
    let flags = choices.byte();
    Config {
        server_no_context_takeover: flags & 1 != 0,
        client_no_context_takeover: flags & 2 != 0,
        server_max_window_bits: choices.byte() % 20,
        client_max_window_bits: choices.byte() % 20,
        ..Config::default()
    }
}

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices::new(data);
    let (server, client) = (config(&mut choices), config(&mut choices));
    let value = choices.rest();

    // Whatever is offered, the answer is within what was offered and what the server wishes.
    if let Some(agreement) = negotiate([value], &server) {
        let bits = [agreement.server.window_bits, agreement.client.window_bits];
        assert!(bits.iter().all(|bits| (8..=15).contains(bits)));
        assert!(!(server.server_no_context_takeover && agreement.server.context_takeover));
        assert!(agreement.server.window_bits <= server.server_max_window_bits.clamp(8, 15));
        assert!(parse_extensions(agreement.response().as_bytes()).is_ok());
    }
    // Whatever is answered, a client does not do more than it offered.
    if let Ok(Some(agreement)) = accept_response([value], &client) {
        assert!(agreement.server.window_bits <= client.server_max_window_bits.clamp(8, 15));
        assert!(!(client.server_no_context_takeover && agreement.server.context_takeover));
    }
    // Our client and our server always agree, and on the same.
    let offered = offer(&client);
    let agreed = negotiate([offered.as_bytes()], &server);
    let response = agreed
        .as_ref()
        .map(|agreement| agreement.response())
        .unwrap_or_default();
    let accepted = accept_response([response.as_bytes()], &client);
    let (Some(agreed), Ok(Some(accepted))) = (agreed, accepted) else {
        panic!("{offered:?} was answered with {response:?}");
    };
    // A sender may keep less in mind than the receiver is ready for, never more.
    for (sent, ready_for) in [
        (agreed.writing(Role::Server), accepted.reading(Role::Client)),
        (accepted.writing(Role::Client), agreed.reading(Role::Server)),
    ] {
        assert!(sent.window_bits <= ready_for.window_bits);
        assert!(ready_for.context_takeover || !sent.context_takeover);
    }
});
