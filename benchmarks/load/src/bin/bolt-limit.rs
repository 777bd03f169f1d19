//! `bolt-limit`: a bare epoll server, the yardstick for all others.

#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::process::ExitCode;

use bolt_load::limit::Server;
use bolt_load::process::raise_file_limit;
use clap::Parser;

/// Echo WebSocket messages on any path, and broadcast them on /ws/broadcast, with as little work as possible.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Address and port to listen on
    address: SocketAddr,
    /// What to put in front of an echo
    #[arg(long, default_value = "")]
    prefix: String,
}

fn run(arguments: &Arguments) -> std::io::Result<()> {
    raise_file_limit()?;
    let mut server = Server::bind(arguments.address, &arguments.prefix)?;
    eprintln!("listening on {}", server.address()?);
    server.run()
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
