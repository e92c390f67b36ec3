//! The command line of `ctl`. The API token is never a part of it: processes can see each other's arguments.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::output::Output;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The console's address, as in <https://voltaxe.example.com>.
    #[arg(long, env = "VOLTAXE_SERVER", value_name = "URL", global = true)]
    pub(super) server: Option<Url>,
    /// A file whose first line is an API token; `-` reads standard input. An administrator makes one on the page /tokens, or by
    /// `voltaxe-server admin api-token`.
    #[arg(long, env = "VOLTAXE_TOKEN_FILE", value_name = "FILE", global = true)]
    pub(super) token_file: Option<PathBuf>,
    /// The certificates to trust for TLS, PEM, instead of the system's.
    #[arg(long, env = "VOLTAXE_CA_FILE", value_name = "FILE", global = true)]
    pub(super) ca_file: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    pub(super) output: Output,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Cut a host off from everything but this server.
    Isolate {
        host: String,
        /// The isolation ends by itself after this long, as in 30m, 1h, 2d: a minute to 90 days.
        #[arg(long, value_name = "DURATION", value_parser = seconds)]
        auto_restore: Option<u32>,
        /// Names can be looked up still.
        #[arg(long)]
        allow_dns: bool,
        /// Told to whoever is signed in on the host.
        #[arg(long, value_name = "MESSAGE")]
        notify: Option<String>,
        #[command(flatten)]
        order: Order,
    },
    /// End a host's isolation.
    Release {
        host: String,
        #[command(flatten)]
        order: Order,
    },
    /// Have a host's agent look after itself and report: changes nothing.
    Check {
        host: String,
        #[command(flatten)]
        order: Order,
    },
    /// End processes on a host.
    Kill {
        host: String,
        #[command(flatten)]
        target: Target,
        /// Seconds between TERM and KILL, at most 60; 0 kills at once.
        #[arg(long, default_value_t = 5, value_name = "SECONDS")]
        grace: u8,
        #[command(flatten)]
        order: Order,
    },
    /// Collect evidence on a host.
    Collect {
        host: String,
        #[arg(long, value_enum, default_value_t = Profile::Quick)]
        profile: Profile,
        #[command(flatten)]
        order: Order,
    },
    /// The endpoints, and what each reported last.
    List,
    /// The newest commands.
    Commands {
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: u16,
    },
    /// One command.
    #[command(name = "command")]
    Show {
        id: i64,
        #[command(flatten)]
        wait: Wait,
    },
    /// Take a command back.
    Cancel { id: i64 },
    /// One order to many hosts.
    #[command(subcommand)]
    Batch(Batch),
}

#[derive(Debug, Subcommand)]
pub(super) enum Batch {
    /// Isolate them all, or, when one name is unknown, none.
    Isolate(BatchOrder),
    /// End their isolation.
    Release(BatchOrder),
    /// Have their agents report.
    Check(BatchOrder),
    /// Collect evidence on them.
    Collect {
        #[arg(long, value_enum, default_value_t = Profile::Quick)]
        profile: Profile,
        #[command(flatten)]
        order: BatchOrder,
    },
    /// The newest batches.
    List {
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: u16,
    },
    /// One batch, and how far it is.
    Show {
        id: Uuid,
        #[command(flatten)]
        wait: Wait,
    },
    /// Take the rest of a batch back.
    Cancel { id: Uuid },
    /// Release what a batch isolated.
    Undo {
        id: Uuid,
        /// Why, 3 to 500 characters.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct BatchOrder {
    #[arg(required = true, value_name = "HOST")]
    pub(super) hosts: Vec<String>,
    #[command(flatten)]
    pub(super) order: Order,
}

#[derive(Debug, Args)]
pub(super) struct Order {
    /// Why, 3 to 500 characters; the audit log keeps it.
    #[arg(long)]
    pub(super) reason: String,
    #[command(flatten)]
    pub(super) wait: Wait,
    /// Repeated with the same one within a day, it is the same order; made up when not given.
    #[arg(long, value_name = "UUID")]
    pub(super) idempotency_key: Option<Uuid>,
}

#[derive(Debug, Args)]
pub(super) struct Wait {
    /// Wait for the end, and exit by it.
    #[arg(long)]
    pub(super) wait: bool,
    /// How long to wait at most, as in 30s, 5m, 1h.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration, requires = "wait")]
    pub(super) timeout: Duration,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Target {
    /// All processes of this name, as the kernel keeps it: at most 15 bytes.
    #[arg(long)]
    name: Option<String>,
    /// All processes that run this file.
    #[arg(long, value_name = "PATH")]
    executable: Option<String>,
    /// All processes that run a file with this digest.
    #[arg(long, value_name = "DIGEST")]
    sha256: Option<String>,
}

impl Target {
    pub(super) fn as_json(&self) -> Value {
        match (&self.name, &self.executable, &self.sha256) {
            (Some(name), ..) => json!({ "name": name }),
            (_, Some(path), _) => json!({ "executable": path }),
            (.., digest) => json!({ "sha256": digest }),
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Profile {
    Quick,
    Standard,
    Full,
}

impl Profile {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Standard => "standard",
            Self::Full => "full",
        }
    }
}

fn seconds(text: &str) -> Result<u32, String> {
    let wrong = || "must be a whole number and s, m, h or d, as in 30s, 5m, 1h, 2d".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err(wrong()),
    };
    number.parse::<u32>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(wrong)
}

fn duration(text: &str) -> Result<Duration, String> {
    seconds(text).map(|seconds| Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!((seconds("90s"), seconds("1h"), seconds("2d")), (Ok(90), Ok(3600), Ok(172_800)));
        for wrong in ["", "1", "h", "-1h", "1.5h", "1w", "é", "99999999d"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
