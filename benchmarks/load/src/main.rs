//! `bolt-load`: load a WebSocket server from one thread, check every answer, and say how busy the generator was.

#![forbid(unsafe_code)]

mod arguments;

use std::io;
use std::process::ExitCode;

use bolt_load::process::raise_file_limit;
use bolt_load::report::print;
use bolt_load::scenarios::{connect, echo, fanout, http, idle, rate};
use clap::{Parser, Subcommand};
use serde::Serialize;

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
    Echo(arguments::Echo),
    /// Send messages at a fixed rate and time each from the moment it was due.
    Rate(arguments::Rate),
    /// Send a message on one connection; the server sends it to all, then comes the next.
    Fanout(arguments::Fanout),
    /// Open many connections, hold them, and measure the server's memory.
    Idle(arguments::Idle),
    /// Open, echo once and close, over and over.
    Connect(arguments::Connect),
    /// Get a page over HTTP, over and over.
    Http(arguments::Http),
}

/// Prints a report; returns the number of its failures.
fn show(report: &impl Serialize, errors: u64, as_json: bool) -> io::Result<u64> {
    print(report, as_json)?;
    Ok(errors)
}

fn run(command: &Command) -> io::Result<u64> {
    raise_file_limit()?;
    match &command.scenario {
        Scenario::Echo(arguments) => {
            let report = echo::run(&arguments.options()?)?;
            show(&report, report.errors(), arguments.common.json)
        }
        Scenario::Rate(arguments) => {
            let report = rate::run(&arguments.options()?)?;
            show(&report, report.errors(), arguments.common.json)
        }
        Scenario::Fanout(arguments) => {
            let report = fanout::run(&arguments.options()?)?;
            show(&report, report.errors(), arguments.common.json)
        }
        Scenario::Idle(arguments) => {
            let report = idle::run(&arguments.options()?)?;
            show(&report, report.errors(), arguments.common.json)
        }
        Scenario::Connect(arguments) => {
            let report = connect::run(&arguments.options()?)?;
            show(&report, report.errors(), arguments.common.json)
        }
        Scenario::Http(arguments) => {
            let report = http::run(&arguments.options()?)?;
            show(&report, report.errors(), arguments.common.json)
        }
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
