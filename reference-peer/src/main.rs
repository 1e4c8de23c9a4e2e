//! `pinhole-peer`: the command line on the library `pinhole_peer`.
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    cli::run().await
}
