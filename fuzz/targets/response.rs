//! A server's answer as a client reads it: any bytes, as they arrive, get one answer.
#![no_main]

use django_bolt_fuzz::{ask_as_it_arrives, Choices};
use django_bolt_protocol::deflate::Config;
use django_bolt_protocol::{Request, Response};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices::new(data);
    let config = Config::default();
    let request = Request {
        target: "/",
        host: "localhost",
        key: "dGhlIHNhbXBsZSBub25jZQ==",
        subprotocols: choices.one_of(&[&[], &["chat"], &["chat", "superchat"]]),
        deflate: choices.one_of(&[None, Some(&config)]),
        headers: &[],
    };
    let step = usize::from(choices.byte() % 8) + 1;
    let bytes = choices.rest();
    let is_incomplete = |answer: &Result<Response, _>| matches!(answer, Ok(Response::Incomplete));
    let answer = ask_as_it_arrives(bytes, step, is_incomplete, |bytes| request.parse_response(bytes));
    if let Ok(Response::Accepted { subprotocol, len, .. }) = answer {
        assert!(len <= bytes.len());
        assert!(subprotocol.is_none_or(|chosen| request.subprotocols.contains(&chosen.as_str())));
    }
});
