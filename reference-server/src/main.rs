//! `pinhole-server`: introduces peers to each other and relays for those who cannot connect.
//!
//! The protocol is [`pinhole_proto::server::Server`], the sockets are [`pinhole_driver::Driver`]; this program
//! is what an operator sees of them:
//!
//! | file | what |
//! |---|---|
//! | `options.rs` | the command line |
//! | `state.rs` | what outlives a start: key file, boot number |
//! | `listening.rs` | whether the ports came up, and what to say when not |
//! | `report.rs` | standard output: the URL, and with `--json` every event |
//! | `serve.rs` | from start to stop |
//! | `shard.rs` | one engine on its thread |
//! | `carrier.rs` | what goes from one engine to another, and who is registered where |
//!
//! # What is not here
//!
//! Several servers that share their registrations: [`carrier`] carries between the engines of one process only.
#![forbid(unsafe_code)]

mod carrier;
mod listening;
mod options;
mod report;
mod serve;
mod shard;
mod state;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let options = options::Options::parse();
    let addresses = options.addresses().unwrap_or_else(|error| error.exit());
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(options.log_level()));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    let served = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(serve::serve(&options, addresses)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
