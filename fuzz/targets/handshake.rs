//! The beginning of a connection: any bytes, as they arrive, get one answer; what is accepted can be answered.
#![no_main]

use django_bolt_fuzz::{ask_as_it_arrives, Choices};
use django_bolt_protocol::deflate::{negotiate, Config};
use django_bolt_protocol::handshake::{write_accept_with_deflate, write_refusal};
use django_bolt_protocol::{header_fields, header_values, parse_head, parse_response, Head, Response};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices::new(data);
    let max_head_size = choices.one_of(&[16_384, 1000, 100, 1, 0]);
    let step = usize::from(choices.byte() % 8) + 1;
    let bytes = choices.rest();
    let head = ask_as_it_arrives(
        bytes,
        step,
        |head| *head == Head::Incomplete,
        |bytes| parse_head(bytes, max_head_size),
    );
    let mut answer = Vec::new();
    match head {
        Head::Incomplete => assert!(bytes.len() < max_head_size),
        Head::Http(request) => {
            assert!(request.len <= bytes.len().min(max_head_size));
            assert!(!request.method.is_empty() && !request.target.is_empty());
        }
        Head::Refused(refusal) => {
            assert!((400..=431).contains(&refusal.status));
            write_refusal(&mut answer, &refusal);
            assert!(matches!(
                parse_response(&answer, "", &[]),
                Ok(Response::Rejected { status, .. }) if status == refusal.status
            ));
        }
        Head::WebSocket(upgrade) => {
            assert!(upgrade.len <= bytes.len().min(max_head_size));
            assert!(upgrade.target.starts_with('/') && upgrade.target.is_ascii());
            let fields = header_fields(&bytes[..upgrade.len]);
            let of_name = |wanted: &str| -> Vec<&[u8]> {
                let of_name = fields.iter().filter(|(name, _)| name == wanted);
                of_name.map(|(_, value)| *value).collect()
            };
            assert_eq!(of_name("host").len(), 1);
            for (name, _) in &fields {
                assert_eq!(of_name(name), header_values(&bytes[..upgrade.len], name));
            }
            let agreement = negotiate(of_name("sec-websocket-extensions"), &Config::default());
            assert!(
                write_accept_with_deflate(&mut answer, upgrade.key, None, agreement.as_ref(), &[]).is_ok()
            );
            assert!(answer.ends_with(b"\r\n\r\n"));
        }
    }
});
