//! The command line: one struct for each scenario, and how it becomes the scenario's options.

use std::io;
use std::time::Duration;

use bolt_load::messages::{Content, Shape};
use bolt_load::scenarios::{connect, echo, fanout, http, idle, rate};
use bolt_load::target::Target;
use clap::Args;

/// What every scenario takes.
#[derive(Args)]
pub(crate) struct Common {
    /// ws://host:port/path, or http:// for a page
    url: String,
    /// Header field to send with the opening handshake, "Name: value"; may be repeated
    #[arg(long = "header", value_name = "FIELD")]
    headers: Vec<String>,
    /// Process of the server, to measure its CPU time and memory with those of its children
    #[arg(long)]
    pid: Option<u32>,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
struct Window {
    /// Seconds that count
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    seconds: f64,
    /// Seconds before them that do not
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    warmup: f64,
}

#[derive(Args)]
struct Exchange {
    /// Bytes in a message
    #[arg(long, default_value_t = 32)]
    size: usize,
    /// What the server puts in front of its answer
    #[arg(long, default_value = "")]
    prefix: String,
    /// What messages hold
    #[arg(long, value_enum, default_value_t = Content::Text)]
    content: Content,
    /// Offer permessage-deflate, and send compressed messages
    #[arg(long)]
    compress: bool,
}

/// Arguments of `echo`.
#[derive(Args)]
pub(crate) struct Echo {
    #[command(flatten)]
    pub(crate) common: Common,
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Messages in flight on each connection
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    in_flight: u32,
    #[command(flatten)]
    exchange: Exchange,
    #[command(flatten)]
    window: Window,
}

/// Arguments of `rate`.
#[derive(Args)]
pub(crate) struct Rate {
    #[command(flatten)]
    pub(crate) common: Common,
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Messages a second, on all connections together
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    #[command(flatten)]
    exchange: Exchange,
    #[command(flatten)]
    window: Window,
}

/// Arguments of `fanout`.
#[derive(Args)]
pub(crate) struct Fanout {
    #[command(flatten)]
    pub(crate) common: Common,
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    #[command(flatten)]
    exchange: Exchange,
    #[command(flatten)]
    window: Window,
}

/// Arguments of `idle`.
#[derive(Args)]
pub(crate) struct Idle {
    #[command(flatten)]
    pub(crate) common: Common,
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Seconds to hold the connections
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    seconds: f64,
}

/// Arguments of `connect`.
#[derive(Args)]
pub(crate) struct Connect {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Connections at a time
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: u32,
    #[command(flatten)]
    exchange: Exchange,
    #[command(flatten)]
    window: Window,
}

/// Arguments of `http`.
#[derive(Args)]
pub(crate) struct Http {
    #[command(flatten)]
    pub(crate) common: Common,
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    #[command(flatten)]
    window: Window,
}

impl Common {
    fn target(&self, exchange: Option<&Exchange>) -> io::Result<Target> {
        let mut target = Target::resolve(&self.url, &self.headers)?;
        target.compressed = exchange.is_some_and(|exchange| exchange.compress);
        Ok(target)
    }
}

impl Window {
    fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    fn warmup(&self) -> Duration {
        Duration::from_secs_f64(self.warmup)
    }
}

impl Exchange {
    fn shape(&self, in_flight: u32) -> Shape {
        Shape {
            size: self.size,
            prefix: self.prefix.clone().into_bytes(),
            content: self.content,
            compressed: self.compress,
            in_flight: in_flight as usize,
        }
    }
}

impl Echo {
    pub(crate) fn options(&self) -> io::Result<echo::Options> {
        Ok(echo::Options {
            target: self.common.target(Some(&self.exchange))?,
            connections: self.connections as usize,
            shape: self.exchange.shape(self.in_flight),
            duration: self.window.duration(),
            warmup: self.window.warmup(),
            pid: self.common.pid,
        })
    }
}

impl Rate {
    pub(crate) fn options(&self) -> io::Result<rate::Options> {
        Ok(rate::Options {
            target: self.common.target(Some(&self.exchange))?,
            connections: self.connections as usize,
            rate: f64::from(self.rate),
            shape: self.exchange.shape(1),
            duration: self.window.duration(),
            warmup: self.window.warmup(),
            pid: self.common.pid,
        })
    }
}

impl Fanout {
    pub(crate) fn options(&self) -> io::Result<fanout::Options> {
        Ok(fanout::Options {
            target: self.common.target(Some(&self.exchange))?,
            connections: self.connections as usize,
            shape: self.exchange.shape(1),
            duration: self.window.duration(),
            warmup: self.window.warmup(),
            pid: self.common.pid,
        })
    }
}

impl Idle {
    pub(crate) fn options(&self) -> io::Result<idle::Options> {
        Ok(idle::Options {
            target: self.common.target(None)?,
            connections: self.connections as usize,
            duration: Duration::from_secs_f64(self.seconds),
            pid: self.common.pid,
        })
    }
}

impl Connect {
    pub(crate) fn options(&self) -> io::Result<connect::Options> {
        Ok(connect::Options {
            target: self.common.target(Some(&self.exchange))?,
            concurrency: self.concurrency as usize,
            shape: self.exchange.shape(1),
            duration: self.window.duration(),
            warmup: self.window.warmup(),
            pid: self.common.pid,
        })
    }
}

impl Http {
    pub(crate) fn options(&self) -> io::Result<http::Options> {
        Ok(http::Options {
            target: self.common.target(None)?,
            connections: self.connections as usize,
            duration: self.window.duration(),
            warmup: self.window.warmup(),
            pid: self.common.pid,
        })
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=86_400.0).contains(&value) => Ok(value),
        _ => Err("not a number of seconds from 0 to 86,400".to_owned()),
    }
}
