//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use voltaxe_orchestrator::{api_tokens::DEFAULT_DAYS, authority::Role, evidence::custody::ServerKey};
use voltaxe_protocol::{EndpointId, KeyFingerprint, PublicKey};

use crate::{config::Settings, ctl};

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
    /// Give orders and look, by the API of a server anywhere. Exits with 0 done, 1 failed, 2 wrong usage, 3 expired or cancelled,
    /// 4 refused, 5 server not reached, 6 still waiting.
    Ctl(Box<ctl::Arguments>),
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
    /// Make an API token and print it, this once: `Authorization: Bearer vxt_..`. It acts by its role until it expires or is revoked
    /// on the page /tokens.
    ApiToken {
        /// In the audit log its actor is token:NAME. 2 to 48 lower-case letters, digits or . _ -; never given twice.
        #[arg(long)]
        name: String,
        /// viewer, responder or admin.
        #[arg(long)]
        role: Role,
        /// How long it holds, 1 to 365.
        #[arg(long, default_value_t = DEFAULT_DAYS)]
        days: u32,
    },
    /// How fast commands go out: by kind, or `*` for all kinds together.
    #[command(subcommand)]
    RateLimit(RateLimit),
    /// Check a downloaded bundle of evidence against its custody record: every file in it, what the agent signed, every entry of
    /// the record and the server's signature. Needs neither the server nor its database. Ends with 1 when anything is wrong.
    VerifyEvidence {
        /// As downloaded: evidence-HOST-ID.zip.
        bundle: PathBuf,
        /// The record from GET /api/evidence/ID/custody.
        #[arg(long, value_name = "FILE")]
        custody: PathBuf,
        /// The server's key, which alone may have signed the record: its fingerprint (43 characters, as in enrol strings), or
        /// the key in base64. Without it the record's own key is believed and its fingerprint is printed.
        #[arg(long, value_name = "KEY", value_parser = parse_server_key)]
        server_key: Option<ServerKey>,
    },
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

fn parse_server_key(text: &str) -> Result<ServerKey, String> {
    let text = text.trim();
    if let Ok(fingerprint) = KeyFingerprint::try_from(text.to_owned()) {
        return Ok(ServerKey::Fingerprint(fingerprint));
    }
    PublicKey::from_base64(text).map(|key| ServerKey::Key(Box::new(key))).map_err(|_| {
        "neither a fingerprint (43 base64url characters) nor a key (44 base64 characters)".to_owned()
    })
}
