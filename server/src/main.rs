#![recursion_limit = "256"]

use std::process::ExitCode;

use clap::Parser as _;
use voltaxe_server::{admin, cli, config::Config, ctl, serve};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = cli::Args::parse();
    let command = match args.command {
        cli::Command::Ctl(arguments) => return ctl::run(*arguments),
        cli::Command::Serve => None,
        cli::Command::Admin(command) => Some(command),
    };
    // Rendering a page can block on itself with fewer than four workers.
    let workers = std::thread::available_parallelism().map_or(4, |cores| cores.get().max(4));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    let outcome = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let config = Config::load(&args.settings)?;
        runtime.block_on(async {
            match command {
                None => serve::run(config).await,
                Some(command) => admin::run(config, command).await,
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
