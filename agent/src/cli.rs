//! The command line: one binary for all roles.

mod completions;
mod enroll;
mod executor;
mod isolation;
mod man;
mod run;
mod status;

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::config::{self, Config, ConfigError};

/// Voltaxe Sentinel agent: carries out the signed commands of its server on this host, each exactly once.
///
/// First `enroll` this host with the string from the console, then `run` the agent as a service. `status` shows what
/// it is doing and whether this host is isolated right now.
#[derive(Parser)]
#[command(name = "voltaxe-sentinel", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    places: Places,
    #[command(subcommand)]
    role: Role,
}

#[derive(Args)]
struct Places {
    /// The configuration file.
    #[arg(long, short, global = true, value_name = "PATH", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
    /// The directory with key, journal and state, instead of the one in the configuration.
    #[arg(long, global = true, value_name = "PATH")]
    state_dir: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Role {
    /// Take commands from the server and carry them out, until SIGTERM.
    ///
    /// Needs root for isolating the host, or an `executor` that has it. A server that is away is waited for; isolation outlives the agent.
    Run,
    /// Act on this host for an agent that may not: the privileged half, behind a Unix socket.
    ///
    /// For a service beside `run`, when `executor_socket` in [agent] of agent.conf is set. It carries out what the server has
    /// signed and nothing else, speaks with no network, and needs CAP_NET_ADMIN, CAP_KILL, CAP_DAC_READ_SEARCH and
    /// CAP_SYS_PTRACE. `run` then needs no privilege at all.
    Executor(ExecutorArgs),
    /// Make a key for this host and have the server accept it.
    ///
    /// The enrol string holds a secret and is therefore never an argument. For example:
    ///
    ///   printf %s 'vxe1....' | sudo voltaxe-sentinel enroll --token-file -
    #[command(verbatim_doc_comment)]
    Enroll(EnrollArgs),
    /// Show enrolment, last contact, what the kernel says about isolation, and what is in the journal.
    Status {
        /// As one JSON object, for programs.
        #[arg(long)]
        json: bool,
    },
    /// Look at this host's isolation, and end it with a release ticket. Works without the agent and without a network.
    #[command(subcommand)]
    Isolation(isolation::Action),
    /// Print the completions of a shell, for example `voltaxe-sentinel completions bash`.
    #[command(hide = true)]
    Completions { shell: clap_complete::Shell },
    /// Write the man pages into a directory.
    #[command(hide = true)]
    Man {
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

#[derive(Args)]
struct ExecutorArgs {
    /// Only hand over what an agent of one process has left: the executor's copy of the enrolment, the isolation's state, and
    /// the state directory to the agent's user. Harmless when that is done already. For packages.
    #[arg(long)]
    adopt: bool,
}

#[derive(Args)]
struct EnrollArgs {
    /// The file with the enrol string from the console; `-` reads it from standard input.
    #[arg(long, value_name = "PATH")]
    token_file: PathBuf,
    /// Enrol again with a new key although this host is enrolled. An administrator has to approve it in the console.
    #[arg(long)]
    replace: bool,
}

/// Parses the arguments and does what they say.
pub fn main() -> ExitCode {
    let Cli { places, role } = Cli::parse();
    let done = match role {
        Role::Run => run::run(&places),
        Role::Executor(ExecutorArgs { adopt: true }) => executor::adopt_only(&places),
        Role::Executor(ExecutorArgs { adopt: false }) => executor::run(&places),
        Role::Enroll(arguments) => enroll::enroll(&places, &arguments),
        Role::Status { json } => status::status(&places, json),
        Role::Isolation(action) => isolation::isolation(&places, action),
        Role::Completions { shell } => completions::print(&mut Cli::command(), shell),
        Role::Man { directory } => man::write(Cli::command(), &directory),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("voltaxe-sentinel: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Places {
    fn load(&self) -> Result<Config, ConfigError> {
        self.with_state_dir(Config::load(&self.config, variable)?)
    }

    /// Like `load`; a missing file is an empty one.
    fn load_or_default(&self) -> Result<Config, ConfigError> {
        match Config::load(&self.config, variable) {
            Err(ConfigError::Missing { .. }) => self.with_state_dir(Config::parse("", variable)?),
            other => self.with_state_dir(other?),
        }
    }

    /// As the packages have it, for when the file cannot be used.
    fn without_file(&self) -> Result<Config, ConfigError> {
        let packaged = "[agent]\nexecutor_socket = /run/voltaxe-sentinel/executor.sock\n";
        self.with_state_dir(Config::parse(if self.state_dir.is_none() { packaged } else { "" }, |_| None)?)
    }

    fn with_state_dir(&self, mut config: Config) -> Result<Config, ConfigError> {
        if let Some(path) = &self.state_dir {
            config.state_dir = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        }
        Ok(config)
    }

    fn has_config(&self) -> bool {
        Path::new(&self.config).exists()
    }
}

/// A variable that is set to nothing counts as not set.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Plain lines on stderr; colours only for a person at a terminal.
fn start_log(level: tracing::Level) {
    let filter = EnvFilter::new(format!("warn,voltaxe_sentinel={level}"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}

/// A process that lost one of its threads would look alive and do nothing: the service manager is to start a new one, which
/// takes up the journal.
fn end_with_any_thread() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

/// One provider for every TLS user in the process.
fn install_tls_provider() {
    // Fails only when one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
