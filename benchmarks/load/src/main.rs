//! `bolt-load`: load a WebSocket server from one thread, check every answer, and say how busy the generator was.

#![forbid(unsafe_code)]

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use bolt_load::messages::Shape;
use bolt_load::process::raise_file_limit;
use bolt_load::report::print;
use bolt_load::scenarios::{connect, echo, fanout, idle};
use bolt_load::target::Target;
use clap::{Args, Parser, Subcommand};

/// Load a WebSocket server and check every answer. Exits with 1 when anything failed.
#[derive(Parser)]
#[command(version)]
struct Command {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// Keep messages in flight on each connection; the server sends each back, with a prefix in front.
    Echo(EchoArguments),
    /// Send a message on one connection; the server sends it to all, then comes the next.
    Fanout(FanoutArguments),
    /// Open many connections, hold them, and measure the server's memory.
    Idle(IdleArguments),
    /// Open, echo once and close, over and over.
    Connect(ConnectArguments),
}

#[derive(Args)]
struct Common {
    /// ws://host:port/path
    url: String,
    /// Header field to send with the opening handshake, "Name: value"; may be repeated
    #[arg(long = "header", value_name = "FIELD")]
    headers: Vec<String>,
    /// Process of the server, to measure its CPU time and memory with those of its children
    #[arg(long)]
    pid: Option<u32>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct EchoArguments {
    #[command(flatten)]
    common: Common,
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Messages in flight on each connection
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    in_flight: u32,
    /// Bytes in a message
    #[arg(long, default_value_t = 32)]
    size: usize,
    /// Seconds that count
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    seconds: f64,
    /// Seconds before them that do not
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    warmup: f64,
    /// What the server puts in front of its answer
    #[arg(long, default_value = "")]
    prefix: String,
    /// Send binary messages instead of text
    #[arg(long)]
    binary: bool,
}

#[derive(Args)]
struct FanoutArguments {
    #[command(flatten)]
    common: Common,
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Bytes in a message
    #[arg(long, default_value_t = 32)]
    size: usize,
    /// Seconds that count
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    seconds: f64,
    /// Seconds before them that do not
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    warmup: f64,
    /// What the server puts in front of the message
    #[arg(long, default_value = "")]
    prefix: String,
}

#[derive(Args)]
struct IdleArguments {
    #[command(flatten)]
    common: Common,
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Seconds to hold the connections
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    seconds: f64,
}

#[derive(Args)]
struct ConnectArguments {
    #[command(flatten)]
    common: Common,
    /// Connections at a time
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: u32,
    /// Bytes in the message
    #[arg(long, default_value_t = 32)]
    size: usize,
    /// Seconds that count
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    seconds: f64,
    /// Seconds before them that do not
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    warmup: f64,
    /// What the server puts in front of its answer
    #[arg(long, default_value = "")]
    prefix: String,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=86_400.0).contains(&value) => Ok(value),
        _ => Err("not a number of seconds from 0 to 86,400".to_owned()),
    }
}

impl Common {
    fn target(&self) -> io::Result<Target> {
        Target::resolve(&self.url, &self.headers)
    }
}

fn run_echo(arguments: &EchoArguments) -> io::Result<u64> {
    let report = echo::run(&echo::Options {
        target: arguments.common.target()?,
        connections: arguments.connections as usize,
        shape: Shape {
            size: arguments.size,
            prefix: arguments.prefix.clone().into_bytes(),
            binary: arguments.binary,
            in_flight: arguments.in_flight as usize,
        },
        duration: Duration::from_secs_f64(arguments.seconds),
        warmup: Duration::from_secs_f64(arguments.warmup),
        pid: arguments.common.pid,
    })?;
    print(&report, arguments.common.json)?;
    Ok(report.errors())
}

fn run_fanout(arguments: &FanoutArguments) -> io::Result<u64> {
    let report = fanout::run(&fanout::Options {
        target: arguments.common.target()?,
        connections: arguments.connections as usize,
        shape: single(arguments.size, &arguments.prefix),
        duration: Duration::from_secs_f64(arguments.seconds),
        warmup: Duration::from_secs_f64(arguments.warmup),
        pid: arguments.common.pid,
    })?;
    print(&report, arguments.common.json)?;
    Ok(report.errors())
}

fn run_idle(arguments: &IdleArguments) -> io::Result<u64> {
    let report = idle::run(&idle::Options {
        target: arguments.common.target()?,
        connections: arguments.connections as usize,
        duration: Duration::from_secs_f64(arguments.seconds),
        pid: arguments.common.pid,
    })?;
    print(&report, arguments.common.json)?;
    Ok(report.errors())
}

fn run_connect(arguments: &ConnectArguments) -> io::Result<u64> {
    let report = connect::run(&connect::Options {
        target: arguments.common.target()?,
        concurrency: arguments.concurrency as usize,
        shape: single(arguments.size, &arguments.prefix),
        duration: Duration::from_secs_f64(arguments.seconds),
        warmup: Duration::from_secs_f64(arguments.warmup),
        pid: arguments.common.pid,
    })?;
    print(&report, arguments.common.json)?;
    Ok(report.errors())
}

fn single(size: usize, prefix: &str) -> Shape {
    Shape {
        size,
        prefix: prefix.as_bytes().to_vec(),
        binary: false,
        in_flight: 1,
    }
}

fn run(command: &Command) -> io::Result<u64> {
    raise_file_limit()?;
    match &command.scenario {
        Scenario::Echo(arguments) => run_echo(arguments),
        Scenario::Fanout(arguments) => run_fanout(arguments),
        Scenario::Idle(arguments) => run_idle(arguments),
        Scenario::Connect(arguments) => run_connect(arguments),
    }
}

fn main() -> ExitCode {
    match run(&Command::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
