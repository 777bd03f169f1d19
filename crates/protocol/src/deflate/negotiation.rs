//! Agreeing on parameters in the opening handshake (RFC 7692 sections 5 and 7.1).
//!
//! The module owns what an offer, a response and their parameters mean. It must not know HTTP.

use std::fmt;

use super::config::{Config, MAX_WINDOW_BITS, MIN_WINDOW_BITS};
use super::NAME;
use crate::config::Role;
use crate::extension::{parse_extensions, Extension, Parameter};

/// What is agreed for the messages of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Direction {
    /// Whether a message may refer to those before it.
    pub context_takeover: bool,
    /// Base-2 logarithm of the sender's LZ77 window, 8 to 15.
    pub window_bits: u8,
}

/// What both sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Agreement {
    /// The server's messages.
    pub server: Direction,
    /// The client's messages.
    pub client: Direction,
    /// Whether the response names the windows: only a client that understands a parameter is sent it.
    names_server_window: bool,
    names_client_window: bool,
}

impl Agreement {
    /// What an endpoint of the role reads by.
    #[must_use]
    pub fn reading(&self, role: Role) -> Direction {
        match role {
            Role::Server => self.client,
            Role::Client => self.server,
        }
    }

    /// What an endpoint of the role writes by.
    #[must_use]
    pub fn writing(&self, role: Role) -> Direction {
        match role {
            Role::Server => self.server,
            Role::Client => self.client,
        }
    }

    /// The server's value of Sec-WebSocket-Extensions.
    #[must_use]
    pub fn response(&self) -> String {
        let mut value = NAME.to_owned();
        if !self.server.context_takeover {
            value.push_str("; server_no_context_takeover");
        }
        if !self.client.context_takeover {
            value.push_str("; client_no_context_takeover");
        }
        if self.names_server_window {
            value.push_str(&format!("; server_max_window_bits={}", self.server.window_bits));
        }
        if self.names_client_window {
            value.push_str(&format!("; client_max_window_bits={}", self.client.window_bits));
        }
        value
    }
}

/// Choose the first offer that can be accepted, as a server; None if there is none.
///
/// Takes the values of all Sec-WebSocket-Extensions fields. An offer is declined for a parameter that is
/// unknown, repeated or has a value it may not have (section 7.1). What the client did not ask for is answered
/// only where section 7.1 lets a server do so: both `no_context_takeover`.
pub fn negotiate<'v>(offers: impl IntoIterator<Item = &'v [u8]>, config: &Config) -> Option<Agreement> {
    let (extensions, config) = (collect(offers)?, config.within_ranges());
    let mut offers = extensions.iter().filter(|extension| extension.name == NAME);
    offers.find_map(|extension| {
        let offer = Parameters::read(&extension.parameters, Side::Offer)?;
        Some(offer.accept(&config))
    })
}

/// The client's value of Sec-WebSocket-Extensions.
#[must_use]
pub fn offer(config: &Config) -> String {
    let config = config.within_ranges();
    let mut value = NAME.to_owned();
    if config.server_no_context_takeover {
        value.push_str("; server_no_context_takeover");
    }
    if config.client_no_context_takeover {
        value.push_str("; client_no_context_takeover");
    }
    if config.server_max_window_bits < MAX_WINDOW_BITS {
        value.push_str(&format!(
            "; server_max_window_bits={}",
            config.server_max_window_bits
        ));
    }
    value.push_str("; client_max_window_bits");
    if config.client_max_window_bits < MAX_WINDOW_BITS {
        value.push_str(&format!("={}", config.client_max_window_bits));
    }
    value
}

/// Read the server's answer to [`offer`] with the same config; None if it chose no extension.
///
/// # Errors
/// The answer is none to the offer; section 5.1 has the client fail the connection.
pub fn accept_response<'v>(
    values: impl IntoIterator<Item = &'v [u8]>,
    config: &Config,
) -> Result<Option<Agreement>, BadAnswer> {
    let extensions = collect(values).ok_or(BadAnswer)?;
    let extension = match extensions.as_slice() {
        [] => return Ok(None),
        [extension] if extension.name == NAME => extension,
        _ => return Err(BadAnswer),
    };
    let answer = Parameters::read(&extension.parameters, Side::Response).ok_or(BadAnswer)?;
    answer.confirm(&config.within_ranges()).map(Some)
}

/// A server's choice of extensions that does not answer what was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadAnswer;

impl fmt::Display for BadAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server's Sec-WebSocket-Extensions does not answer the offer")
    }
}

impl std::error::Error for BadAnswer {}

/// All extensions of all fields; None if one is malformed.
fn collect<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Option<Vec<Extension<'v>>> {
    let mut extensions = Vec::new();
    for value in values {
        extensions.append(&mut parse_extensions(value).ok()?);
    }
    Some(extensions)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Offer,
    Response,
}

/// The parameters of an offer or a response, each at most once and with a value that it may have.
#[derive(Debug, Default)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: Option<u8>,
}

impl Parameters {
    fn read(parameters: &[Parameter<'_>], side: Side) -> Option<Self> {
        let mut read = Self::default();
        for parameter in parameters {
            let is_new = match (parameter.name, parameter.value.as_deref()) {
                ("server_no_context_takeover", None) => {
                    !std::mem::replace(&mut read.server_no_context_takeover, true)
                }
                ("client_no_context_takeover", None) => {
                    !std::mem::replace(&mut read.client_no_context_takeover, true)
                }
                ("server_max_window_bits", Some(value)) => {
                    read.server_max_window_bits.replace(window_bits(value)?).is_none()
                }
                ("client_max_window_bits", Some(value)) => {
                    read.client_max_window_bits.replace(window_bits(value)?).is_none()
                }
                // "I can be told": only an offer may leave the value out (section 7.1.2.2).
                ("client_max_window_bits", None) if side == Side::Offer => {
                    read.client_max_window_bits.replace(MAX_WINDOW_BITS).is_none()
                }
                _ => return None,
            };
            if !is_new {
                return None;
            }
        }
        Some(read)
    }

    /// Answer an offer as the config wishes.
    fn accept(&self, config: &Config) -> Agreement {
        let at_most = |own: u8| move |offered: u8| offered.min(own);
        let server_bits = self
            .server_max_window_bits
            .map(at_most(config.server_max_window_bits));
        // A client that does not know the parameter cannot be told (section 7.1.2.2).
        let client_bits = self
            .client_max_window_bits
            .map(at_most(config.client_max_window_bits));
        Agreement {
            server: Direction {
                context_takeover: !self.server_no_context_takeover && !config.server_no_context_takeover,
                window_bits: server_bits.unwrap_or(config.server_max_window_bits),
            },
            client: Direction {
                context_takeover: !self.client_no_context_takeover && !config.client_no_context_takeover,
                window_bits: client_bits.unwrap_or(MAX_WINDOW_BITS),
            },
            names_server_window: server_bits.is_some(),
            names_client_window: client_bits.is_some_and(|bits| bits < MAX_WINDOW_BITS),
        }
    }

    /// Check a response against what the config had offered.
    fn confirm(&self, config: &Config) -> Result<Agreement, BadAnswer> {
        let server_bits = self.server_max_window_bits.unwrap_or(MAX_WINDOW_BITS);
        let client_bits = self.client_max_window_bits.unwrap_or(MAX_WINDOW_BITS);
        let refused_takeover = config.server_no_context_takeover && !self.server_no_context_takeover;
        if refused_takeover || server_bits > config.server_max_window_bits {
            return Err(BadAnswer);
        }
        let takeover = !self.client_no_context_takeover && !config.client_no_context_takeover;
        Ok(Agreement {
            server: Direction {
                context_takeover: !self.server_no_context_takeover,
                window_bits: server_bits,
            },
            client: Direction {
                context_takeover: takeover,
                window_bits: client_bits.min(config.client_max_window_bits),
            },
            names_server_window: self.server_max_window_bits.is_some(),
            names_client_window: self.client_max_window_bits.is_some(),
        })
    }
}

/// A decimal integer from 8 to 15 without leading zeros (section 7.1.2).
fn window_bits(value: &str) -> Option<u8> {
    let is_decimal = value.bytes().all(|byte| byte.is_ascii_digit()) && !value.starts_with('0');
    let bits = value.parse().ok().filter(|_| is_decimal)?;
    (MIN_WINDOW_BITS..=MAX_WINDOW_BITS)
        .contains(&bits)
        .then_some(bits)
}
