#![recursion_limit = "256"]

use std::process::ExitCode;

use clap::Parser as _;
use voltaxe_server::{admin, cli, config::Config, serve};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = cli::Args::parse();
    // Rendering a page can block on itself with fewer than four workers.
    let workers = std::thread::available_parallelism().map_or(4, |cores| cores.get().max(4));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    let outcome = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let config = Config::load(&args.settings)?;
        runtime.block_on(async {
            match args.command {
                cli::Command::Serve => serve::run(config).await,
                cli::Command::Admin(command) => admin::run(config, command).await,
            }
        })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
