use std::{io::Write as _, process::ExitCode};

use clap::{Parser, Subcommand};
use voltaxe_load::{bench, chaos, profile::Profile};

/// Load for a Voltaxe Sentinel server on this machine: a fleet of simulated agents that speak the real protocol with real
/// signatures.
///
/// `voltaxe-load bench` needs nothing: it starts a server of its own and prints every promised figure beside what was
/// measured. The other commands put load on a server that runs already, and only on a loopback address. Begin with
/// `voltaxe-server admin enrolment-token --uses 1000 | voltaxe-load populate --agents 1000`, then try `voltaxe-load idle`.
#[derive(Debug, Parser)]
#[command(name = "voltaxe-load", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Profile(Profile),
    /// Measure the promised figures, all or some, with a server of its own (about 15 minutes).
    Bench(bench::Arguments),
    /// Kill a server of its own, and its Postgres, again and again under load; nothing may be lost, doubled or stuck.
    Chaos(chaos::Arguments),
    /// The floor of the polls; the bench starts it.
    #[command(hide = true)]
    BareRoute(bench::BareArguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    bench::raise_open_files();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Profile(profile) => profile.run().await,
        Command::Bench(arguments) => bench::run(&arguments).await,
        Command::Chaos(arguments) => chaos::run(&arguments).await,
        Command::BareRoute(arguments) => bench::serve_bare(&arguments).await,
    }
}
