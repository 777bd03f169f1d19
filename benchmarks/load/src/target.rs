//! Where the load goes: a `ws://` URL, resolved, with extra header fields.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use mio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};

/// Connections held from one loopback address before the next one is used; below the usual 28,232 ephemeral ports.
const CONNECTIONS_PER_SOURCE: usize = 20_000;

/// A server to load.
#[derive(Debug, Clone)]
pub struct Target {
    /// The URL as given.
    pub url: String,
    /// Value of the `Host` header field.
    pub host: String,
    /// Request target: path and query.
    pub resource: String,
    /// Header fields to send besides those of the handshake.
    pub headers: Vec<String>,
    /// Whether to offer permessage-deflate.
    pub compressed: bool,
    address: SocketAddr,
}

impl Target {
    /// Parses `ws://host[:port][/path][?query]`, or the same with `http://`, and resolves its host.
    ///
    /// # Errors
    ///
    /// When the URL has another scheme, the host does not resolve, or a header field is malformed.
    pub fn resolve(url: &str, headers: &[String]) -> io::Result<Self> {
        let rest = url
            .strip_prefix("ws://")
            .or_else(|| url.strip_prefix("http://"))
            .ok_or_else(|| invalid(format!("not a ws:// or http:// URL: {url}")))?;
        let split = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, resource) = rest.split_at(split);
        let slash = if resource.starts_with('/') { "" } else { "/" };
        let address = with_port(host).to_socket_addrs()?.next();
        Ok(Self {
            url: url.to_owned(),
            host: host.to_owned(),
            resource: format!("{slash}{resource}"),
            headers: headers
                .iter()
                .map(|line| check_header(line))
                .collect::<io::Result<_>>()?,
            compressed: false,
            address: address.ok_or_else(|| invalid(format!("no address for {host}")))?,
        })
    }

    /// Starts to connect without waiting. The `place` among the connections held picks the source address.
    ///
    /// # Errors
    ///
    /// When the socket cannot be made or the connection is refused at once.
    pub fn connect(&self, place: usize) -> io::Result<TcpStream> {
        let socket = Socket::new(
            Domain::for_address(self.address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_tcp_nodelay(true)?;
        if let Some(source) = self.source(place) {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        match socket.connect(&self.address.into()) {
            Err(error) if !is_in_progress(&error) => Err(error),
            _ => Ok(TcpStream::from_std(socket.into())),
        }
    }

    /// The address to connect from, where the system's own choice would run out of ephemeral ports.
    fn source(&self, place: usize) -> Option<IpAddr> {
        let block = place / CONNECTIONS_PER_SOURCE % 250;
        match (self.address.ip(), u8::try_from(block)) {
            (IpAddr::V4(address), Ok(block @ 1..)) if address.is_loopback() => {
                Some(Ipv4Addr::new(127, 0, 0, 1 + block).into())
            }
            _ => None,
        }
    }
}

fn with_port(host: &str) -> String {
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port {
        host.to_owned()
    } else {
        format!("{host}:80")
    }
}

fn check_header(line: &str) -> io::Result<String> {
    match line.split_once(':') {
        Some((name, _)) if !name.is_empty() && !line.contains(['\r', '\n']) => Ok(line.to_owned()),
        _ => Err(invalid(format!("not a header field, \"Name: value\": {line:?}"))),
    }
}

fn is_in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn urls_are_split() {
        let target = Target::resolve("ws://127.0.0.1:8000/ws/echo?token=a", &[]).unwrap();
        assert_eq!(target.host, "127.0.0.1:8000");
        assert_eq!(target.resource, "/ws/echo?token=a");
        assert_eq!(
            Target::resolve("ws://127.0.0.1?a=1", &[]).unwrap().resource,
            "/?a=1"
        );
        assert_eq!(Target::resolve("ws://127.0.0.1", &[]).unwrap().address.port(), 80);
        assert_eq!(Target::resolve("http://127.0.0.1/a", &[]).unwrap().resource, "/a");
        assert!(Target::resolve("wss://127.0.0.1", &[]).is_err());
        assert!(Target::resolve("ws://127.0.0.1", &["nonsense".to_owned()]).is_err());
    }

    #[test]
    fn sources_change_before_ports_run_out() {
        let target = Target::resolve("ws://127.0.0.1:8000/", &[]).unwrap();
        assert_eq!(target.source(CONNECTIONS_PER_SOURCE - 1), None);
        assert_eq!(
            target.source(CONNECTIONS_PER_SOURCE),
            Some(Ipv4Addr::new(127, 0, 0, 2).into())
        );
    }
}
