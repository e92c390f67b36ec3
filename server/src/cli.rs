//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use voltaxe_orchestrator::authority::Role;
use voltaxe_protocol::EndpointId;

use crate::config::Settings;

/// Voltaxe Sentinel's server: the console for operators and the gateway for agents.
#[derive(Debug, Parser)]
#[command(name = "voltaxe-server", version, max_term_width = 100)]
pub struct Args {
    #[command(flatten)]
    pub settings: Settings,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server until SIGTERM or Ctrl-C.
    Serve,
    /// What an administrator can do without the page. Works beside a running server and without one.
    #[command(subcommand)]
    Admin(Admin),
}

#[derive(Debug, Subcommand)]
pub enum Admin {
    /// Print a one-time link that makes the first administrator; every earlier link stops working.
    SetupLink,
    /// Print a string that lets hosts enrol within the hour. Give it to `voltaxe-sentinel enroll` on standard input.
    EnrolmentToken {
        /// Shown with the hosts that use it.
        #[arg(long, default_value = "")]
        label: String,
        /// How many hosts may enrol with it, 1 to 1000.
        #[arg(long, default_value_t = 1)]
        uses: i32,
    },
    /// List the endpoints, their connection and their isolation as last reported.
    ListEndpoints {
        /// One JSON array instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Let an endpoint in that waits because its machine or name is enrolled with another key; that other is revoked.
    ApproveEndpoint { id: EndpointId },
    /// Make an operator.
    CreateOperator {
        #[arg(long)]
        username: String,
        /// viewer, responder or admin.
        #[arg(long)]
        role: Role,
        /// A file whose first line is the password; `-` reads standard input.
        #[arg(long, value_name = "FILE")]
        password_file: PathBuf,
    },
    /// Set an operator's password and end their sessions.
    ResetPassword {
        #[arg(long)]
        username: String,
        /// A file whose first line is the password; `-` reads standard input.
        #[arg(long, value_name = "FILE")]
        password_file: PathBuf,
    },
    /// How fast commands go out: by kind, or `*` for all kinds together.
    #[command(subcommand)]
    RateLimit(RateLimit),
    /// Print a ticket that ends a host's isolation at that host's own console, for when this server does not reach it. Whoever has
    /// it can do that; the audit log keeps the reason.
    ReleaseTicket {
        /// The name of the isolated endpoint.
        #[arg(long, value_name = "NAME")]
        host: String,
        /// Why, 3 to 500 characters.
        #[arg(long)]
        reason: String,
    },
    /// Bring the database's schema up to date and stop.
    Migrate,
}

#[derive(Debug, Subcommand)]
pub enum RateLimit {
    /// Set a limit; it is in force within 5 s. Commands beyond it wait their turn.
    Set {
        /// A command's kind, such as network_isolate or collect_forensics; or * for all together.
        #[arg(long)]
        kind: String,
        #[arg(long)]
        per_minute: f64,
        /// How many may go out at once after a quiet time.
        #[arg(long)]
        burst: i32,
    },
    /// Lift a limit.
    Remove {
        #[arg(long)]
        kind: String,
    },
    /// Show the limits and how many commands could go out now.
    List,
}
