//! The isolation on the host's own command line: with the agent running or dead, and without a network.

use std::{
    fs::File,
    io::{self, Read as _},
    path::PathBuf,
};

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde::Serialize;
use voltaxe_protocol::{
    CommandId, IsolationObservation, IsolationPreviewOutcome, ObservedIsolation, PublicKey, ReleaseClaims,
    ReleaseTicket,
};

use super::Places;
use crate::{
    clock,
    config::Config,
    executor::Enrolled,
    identity,
    isolation::{Applied, Ended, EndedBy, Kernel, Terms, Watch},
    state_dir::StateDir,
    transport::ServerAddress,
};

/// Far longer than any ticket.
const MAX_TICKET_BYTES: u64 = 4096;
const WHERE_TICKETS_ARE: &str = "on the console open the endpoint and choose Release ticket, or on the server run: \
                                 voltaxe-server admin release-ticket --host NAME --reason WHY";

#[derive(Subcommand)]
pub(super) enum Action {
    /// Show what the kernel holds right now, how long, and what it leaves open.
    Status {
        /// As one JSON object, for programs.
        #[arg(long)]
        json: bool,
    },
    /// Show the rules that an isolate would make now, and what it would cut. Changes nothing.
    Preview {
        /// As one JSON object, for programs.
        #[arg(long)]
        json: bool,
    },
    /// Give this host its network back with a release ticket. Needs neither server nor network.
    ///
    /// A ticket is good for this host and this isolation alone. On the console open the endpoint and choose Release
    /// ticket, or run on the server: voltaxe-server admin release-ticket --host NAME --reason WHY. For example:
    ///
    ///   sudo voltaxe-sentinel isolation release --ticket VXR1-...
    #[command(verbatim_doc_comment)]
    Release(ReleaseArgs),
    /// Put the isolation of the state file in force again: for a unit that runs before the network is up.
    ///
    /// Ends with 0 when there is nothing to do.
    Reapply,
    /// Fail while this host is isolated: for packages, before they remove the agent.
    AssertReleased {
        /// Give the network back instead of failing.
        #[arg(long)]
        restore: bool,
    },
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct ReleaseArgs {
    /// The ticket; `-` reads it from standard input.
    #[arg(long, value_name = "TICKET")]
    ticket: Option<String>,
    /// The file with the ticket.
    #[arg(long, value_name = "PATH")]
    ticket_file: Option<PathBuf>,
}

pub(super) fn isolation(places: &Places, action: Action) -> anyhow::Result<()> {
    let config = match places.load_or_default() {
        // Nobody is there to mend the file when the host starts.
        Err(error) if matches!(action, Action::Reapply) => {
            eprintln!("voltaxe-sentinel: {error}; going on as if it were not there");
            places.without_file()?
        }
        loaded => loaded?,
    };
    need_root()?;
    match action {
        Action::Status { json } => status(&config, json),
        Action::Preview { json } => preview(&config, json),
        Action::Release(arguments) => release(&config, &arguments),
        Action::Reapply => reapply(&config),
        Action::AssertReleased { restore } => assert_released(&config, restore),
    }
}

fn need_root() -> anyhow::Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "only root may look at the kernel's rules and change them; run it with sudo"
    );
    Ok(())
}

/// Where `isolation.json` is.
fn state_of(config: &Config) -> StateDir {
    StateDir::look_at(config.acting_state_dir())
}

fn kernel(config: &Config) -> anyhow::Result<Kernel> {
    let state = state_of(config);
    let applied = Applied::read(&state).with_context(|| {
        format!("isolation.json in {} cannot be read; it is not used", state.root().display())
    });
    let applied = applied.unwrap_or_else(|error| {
        eprintln!("voltaxe-sentinel: {error:#}");
        None
    });
    let direct_port = config.direct_listen.map(|address| address.port());
    Ok(Kernel::new(state, applied).with_direct_port(direct_port))
}

/// What `isolation status --json` prints.
#[derive(Serialize)]
struct Status {
    isolation: IsolationObservation,
    /// Addresses and ports of the server that stay reachable.
    servers: Vec<String>,
    /// How the last isolation ended, if there is none in force.
    last_ended: Option<Ended>,
    /// Whether an agent works on the state directory right now.
    agent_running: bool,
}

fn status(config: &Config, json: bool) -> anyhow::Result<()> {
    let mut kernel = kernel(config)?;
    let isolation = kernel.observe(clock::wall());
    let rules = kernel.applied().and_then(|applied| applied.rules.as_ref());
    let status = Status {
        servers: rules.into_iter().flat_map(|rules| &rules.servers).map(ToString::to_string).collect(),
        last_ended: kernel
            .applied()
            .filter(|applied| applied.rules.is_none())
            .and_then(|applied| applied.ended),
        agent_running: StateDir::look_at(&config.state_dir).is_locked(),
        isolation,
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        print_status(&status, clock::wall());
    }
    Ok(())
}

fn print_status(status: &Status, now: DateTime<Utc>) {
    let isolation = &status.isolation;
    let word = match isolation.state {
        ObservedIsolation::NotIsolated => "not isolated",
        ObservedIsolation::Isolated if isolation.is_provisional => "ISOLATED, provisionally",
        ObservedIsolation::Isolated => "ISOLATED",
        ObservedIsolation::Partial => "PARTLY ISOLATED",
        ObservedIsolation::Unknown => "unknown",
    };
    let by = isolation.generation.map(|id| format!(" by command {id}")).unwrap_or_default();
    println!("Isolation:  {word}{by}, read from the kernel now");
    if let Some(detail) = &isolation.detail {
        println!("            {detail}");
    }
    if isolation.state != ObservedIsolation::NotIsolated {
        println!("Server:     {}", or_none(&status.servers.join(", ")));
        match isolation.auto_restore_at {
            Some(at) => {
                println!("Ends:       {} (in {} s), by the kernel", time(at), (at - now).num_seconds())
            }
            None => println!("Ends:       not by itself"),
        }
        let exceptions: Vec<String> = isolation
            .exceptions
            .iter()
            .filter_map(|exception| serde_json::to_string(exception).ok())
            .collect();
        println!("Exceptions: {}", or_none(&exceptions.join("\n            ")));
        println!("DNS:        {}", if isolation.allows_dns { "to the host's resolvers" } else { "none" });
        if let Some(drift) = &isolation.drift {
            let done = if drift.put_back { "put back" } else { "NOT put back" };
            println!(
                "Drift:      {} times, last {}, {done}: {}",
                drift.count,
                time(drift.found_at),
                drift.found
            );
        }
        println!("To release: sudo voltaxe-sentinel isolation release --ticket TICKET");
        println!("            for a ticket, {WHERE_TICKETS_ARE}");
    } else if let Some(ended) = status.last_ended {
        println!("Last ended: {} ({}), that of command {}", time(ended.at), ended.by, ended.generation);
    }
    println!("Agent:      {}", if status.agent_running { "running" } else { "not running" });
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn preview(config: &Config, json: bool) -> anyhow::Result<()> {
    let url = config.server_url()?.clone();
    let servers = ServerAddress::new(url, StateDir::look_at(&config.state_dir)).known();
    let preview = kernel(config)?.preview(&servers, &Terms::default(), clock::wall());
    if json {
        println!("{}", serde_json::to_string_pretty(&preview)?);
    } else {
        print_preview(&preview);
    }
    Ok(())
}

fn print_preview(preview: &IsolationPreviewOutcome) {
    println!("{}", preview.ruleset);
    println!("Server:      {}", or_none(&preview.servers.join(", ")));
    println!("Connections: {} would be cut, {} kept", preview.connections_cut, preview.connections_kept);
    for session in &preview.sessions {
        println!("Login:       {} on {} from {} would be cut", session.user, session.terminal, session.from);
    }
    for warning in &preview.warnings {
        println!("Warning:     {}", warning.message);
    }
    println!("Nothing was changed.");
}

fn release(config: &Config, arguments: &ReleaseArgs) -> anyhow::Result<()> {
    let ticket: ReleaseTicket = read_ticket(arguments)?.parse()?;
    let enrolled = enrolled(config)?.context(
        "this host is not enrolled, so no ticket can be checked; as root you can still run: \
                  voltaxe-sentinel isolation assert-released --restore",
    )?;
    let mut kernel = kernel(config)?;
    let generations = generations(&mut kernel)?;
    if generations.is_empty() {
        println!("This host is not isolated; nothing to release.");
        return Ok(());
    }
    let server_key = PublicKey::from_base64(&enrolled.server_key).context("the enrolment is damaged")?;
    let generation = generations
        .iter()
        .find(|generation| ticket.is_for(&claims(&enrolled, **generation), &server_key))
        .with_context(|| {
            let by = generations.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
            format!(
                "the ticket is not for this isolation, and nothing was changed. This host is {} ({}, epoch {}), isolated by \
                 command {by}; get the ticket for exactly that: {WHERE_TICKETS_ARE}",
                enrolled.hostname, enrolled.endpoint_id, enrolled.epoch.0
            )
        })?;
    kernel.release(EndedBy::Ticket, clock::wall()).context("the host is still isolated")?;
    println!(
        "Released: the rules of command {generation} are gone, and this host's network is as it was before."
    );
    finish(config, &mut kernel)
}

/// In the kernel and in the state file; usually the same.
fn generations(kernel: &mut Kernel) -> anyhow::Result<Vec<CommandId>> {
    let in_kernel = kernel.generation_in_force()?;
    let rules = kernel.applied().and_then(|applied| applied.rules.as_ref());
    let earlier = rules.and_then(|rules| rules.earlier.as_deref());
    let in_state = rules.into_iter().chain(earlier).map(|rules| rules.generation);
    let mut all: Vec<CommandId> = in_kernel.into_iter().chain(in_state).collect();
    all.dedup();
    Ok(all)
}

/// As the executor has it: what the network process keeps may have been tampered with, and must not stand in a release's way.
fn enrolled(config: &Config) -> anyhow::Result<Option<Enrolled>> {
    if config.executor_socket.is_some() {
        match Enrolled::read(&state_of(config)) {
            Ok(Some(enrolled)) => return Ok(Some(enrolled)),
            Ok(None) => {}
            Err(error) => {
                eprintln!("voltaxe-sentinel: executor.json cannot be read ({error}); it is not used")
            }
        }
    }
    Ok(identity::read_grant(&StateDir::look_at(&config.state_dir))?.as_ref().map(Enrolled::from))
}

fn claims(enrolled: &Enrolled, generation: CommandId) -> ReleaseClaims {
    ReleaseClaims { endpoint_id: enrolled.endpoint_id.clone(), epoch: enrolled.epoch, generation }
}

fn read_ticket(arguments: &ReleaseArgs) -> anyhow::Result<String> {
    let mut text = String::new();
    match (&arguments.ticket, &arguments.ticket_file) {
        (Some(ticket), _) if ticket != "-" => text.clone_from(ticket),
        (_, Some(path)) => {
            let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
            file.take(MAX_TICKET_BYTES)
                .read_to_string(&mut text)
                .with_context(|| format!("{} cannot be read", path.display()))?;
        }
        _ => {
            io::stdin()
                .take(MAX_TICKET_BYTES)
                .read_to_string(&mut text)
                .context("the ticket cannot be read from standard input")?;
        }
    }
    Ok(text)
}

/// What the agent, running or not, makes of a release.
fn finish(config: &Config, kernel: &mut Kernel) -> anyhow::Result<()> {
    ensure!(
        kernel.is_saved(),
        "isolation.json in {} cannot be written, so an agent that runs, or the next start of the host, puts the rules back: \
         free space there or make it writable, then run this again; until then stop the agent with: systemctl stop \
         voltaxe-sentinel",
        state_of(config).root().display()
    );
    if StateDir::look_at(&config.state_dir).is_locked() {
        println!(
            "The agent is running: it tells the server, and isolates again only when a new order says so."
        );
    } else {
        println!("The agent is not running: it tells the server when it starts.");
    }
    Ok(())
}

fn reapply(config: &Config) -> anyhow::Result<()> {
    let state = state_of(config);
    Applied::read(&state).with_context(|| {
        format!(
            "isolation.json in {} cannot be read, so it is not known whether this host is to be isolated; look at it on the \
             console and isolate it again if it is",
            state.root().display()
        )
    })?;
    let mut kernel = kernel(config)?;
    match kernel.watch(clock::wall()) {
        Watch::Unchanged => println!("Nothing to do."),
        Watch::Reapplied { generation } => {
            println!("The isolation by command {generation} is in force again.")
        }
        Watch::PutBack(drift) => println!("The isolation is in force again; found: {}", drift.found),
        Watch::Extended { devices } => println!("The isolation covers new devices: {}", devices.join(", ")),
        Watch::Lifted { generation, by } | Watch::ReleasedElsewhere { generation, by } => {
            println!("The isolation by command {generation} ended {by}.");
        }
        Watch::FellBack { generation, to } => {
            println!(
                "The isolation by command {to} is in force again; that by command {generation} was not confirmed."
            );
        }
        Watch::NotPutBack(drift) => bail!("this host is to be isolated and is not: {}", drift.found),
    }
    kernel.save();
    Ok(())
}

fn assert_released(config: &Config, restore: bool) -> anyhow::Result<()> {
    let mut kernel = kernel(config)?;
    let generations = generations(&mut kernel)?;
    if generations.is_empty() {
        return Ok(());
    }
    let by = generations.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
    ensure!(
        restore,
        "this host is isolated by command {by}, and would stay so without an agent to end it. Restore it on the console, or \
         release it with a ticket, or give the network back now with: voltaxe-sentinel isolation assert-released --restore"
    );
    kernel.release(EndedBy::Removal, clock::wall()).context("the host is still isolated")?;
    println!("Released: the rules of command {by} are gone, and this host's network is as it was before.");
    finish(config, &mut kernel)
}
