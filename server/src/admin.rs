//! `voltaxe-server admin`: what must work without the page. It uses the running server's database, or starts the
//! embedded one for as long as it needs it. Whoever may run it as this user is the administrator.

mod verify_evidence;

use std::{
    io::{BufRead as _, Read as _, Write as _},
    path::Path,
};

use anyhow::{Context as _, bail};
use secrecy::{ExposeSecret as _, SecretString};
use voltaxe_orchestrator::{
    Strike, api_tokens::ApiTokenRequest, operators::Operators, strike::check_rate_limit,
};
use voltaxe_protocol::ObservedIsolation;
use voltaxe_store::{
    Store,
    model::{self, EndpointRecord},
};

use crate::{
    cli::{Admin, RateLimit},
    clock,
    config::Config,
    serve::{Database, setup_link, strike_config},
    signing_key,
};

const LONGEST_PASSWORD_FILE: u64 = 4096;

pub async fn run(config: Config, command: Admin) -> anyhow::Result<()> {
    if let Admin::VerifyEvidence { bundle, custody, server_key } = &command {
        return verify_evidence::run(bundle, custody, server_key.as_ref());
    }
    let database = Database::open(&config).await?;
    let outcome = execute(&config, &database.store, command).await;
    database.close().await;
    outcome
}

async fn execute(config: &Config, store: &Store, command: Admin) -> anyhow::Result<()> {
    let now = clock::now();
    let operators = Operators::new(store.clone());
    match command {
        Admin::SetupLink => match operators.new_setup_token(now).await? {
            Some(token) => print(&setup_link(config, token.expose_secret())),
            None => {
                bail!("an administrator exists already; to get in, use `voltaxe-server admin reset-password`")
            }
        },
        Admin::EnrolmentToken { label, uses } => {
            let strike = strike(config, store)?;
            let (string, _) = strike.create_enrolment_token_at_console(label, uses, now).await?;
            print(&string.to_string())
        }
        Admin::ListEndpoints { json } => list(&store.endpoints().await?, json),
        Admin::ApproveEndpoint { id } => match store.approve_endpoint(&id, "console", None, now).await? {
            None => {
                bail!("{id} does not wait for approval; `voltaxe-server admin list-endpoints` shows who does")
            }
            Some(revoked) => {
                for old in revoked {
                    print(&format!("revoked {old}"))?;
                }
                print(&format!("approved {id}"))
            }
        },
        Admin::CreateOperator { username, role, password_file } => {
            let password = read_password(&password_file)?;
            operators.create_at_console(&username, role, password, now).await?;
            print(&format!("created {username}, {role}"))
        }
        Admin::ResetPassword { username, password_file } => {
            let password = read_password(&password_file)?;
            operators.reset_password_at_console(&username, password, now).await?;
            print(&format!("the password of {username} is set; their sessions have ended"))
        }
        Admin::ApiToken { name, role, days } => {
            let request = ApiTokenRequest { name, role, days };
            let (secret, _) = operators.api_tokens().create_at_console(request, now).await?;
            print(secret.expose_secret())
        }
        Admin::ReleaseTicket { host, reason } => {
            let issued = strike(config, store)?.release_ticket_at_console(&host, &reason, now).await?;
            print(&format!("as root on {}:\n\n  {}", issued.hostname, issued.command_line()))
        }
        Admin::RateLimit(limit) => rate_limit(store, limit).await,
        Admin::VerifyEvidence { bundle, custody, server_key } => {
            verify_evidence::run(&bundle, &custody, server_key.as_ref())
        }
        Admin::Migrate => print("the schema is up to date"),
    }
}

fn strike(config: &Config, store: &Store) -> anyhow::Result<Strike> {
    let key = signing_key::load_or_create(&config.state_dir)?;
    Ok(Strike::new(store.clone(), key, strike_config(config), None, clock::now()))
}

async fn rate_limit(store: &Store, command: RateLimit) -> anyhow::Result<()> {
    let now = clock::now();
    match command {
        RateLimit::Set { kind, per_minute, burst } => {
            check_rate_limit(&kind, per_minute, burst)?;
            store.set_rate_limit(&kind, per_minute, burst, "console", now).await?;
            print(&format!("{kind}: {per_minute} a minute, up to {burst} at once; in force within 5 s"))
        }
        RateLimit::Remove { kind } => {
            if !store.remove_rate_limit(&kind, "console", now).await? {
                bail!("there is no rate limit for {kind}; `voltaxe-server admin rate-limit list` shows them");
            }
            print(&format!("{kind} is not limited any more"))
        }
        RateLimit::List => {
            let limits = store.rate_limits(now).await?;
            if limits.is_empty() {
                return print("nothing is limited");
            }
            print(&format!("{:<20} {:>12} {:>8} {:>10}", "KIND", "PER MINUTE", "BURST", "AVAILABLE"))?;
            limits.iter().try_for_each(|limit| {
                let model::RateLimit { kind, per_minute, burst, tokens } = limit;
                print(&format!("{kind:<20} {per_minute:>12} {burst:>8} {tokens:>10.1}"))
            })
        }
    }
}

fn list(endpoints: &[EndpointRecord], json: bool) -> anyhow::Result<()> {
    if json {
        let rows: Vec<_> = endpoints
            .iter()
            .map(|endpoint| {
                serde_json::json!({
                    "id": endpoint.id,
                    "hostname": endpoint.hostname,
                    "status": endpoint.status.to_string(),
                    "isolation": endpoint.observed.as_ref().map(|o| o.isolation.state),
                    "last_seen_at": endpoint.last_seen_at,
                    "agent_version": endpoint.agent_version,
                    "os": endpoint.os,
                })
            })
            .collect();
        return print(&serde_json::to_string_pretty(&rows)?);
    }
    if endpoints.is_empty() {
        return print(
            "no endpoints yet; `voltaxe-server admin enrolment-token` prints a string that enrols one",
        );
    }
    print(&format!("{:<24} {:<18} {:<14} {:<24} ID", "HOST", "STATUS", "ISOLATION", "LAST SEEN (UTC)"))?;
    for endpoint in endpoints {
        let isolation = match endpoint.observed.as_ref().map(|o| o.isolation.state) {
            None => "not reported",
            Some(ObservedIsolation::Isolated) => "isolated",
            Some(ObservedIsolation::NotIsolated) => "not isolated",
            Some(ObservedIsolation::Partial) => "PARTIAL",
            Some(ObservedIsolation::Unknown) => "unknown",
        };
        let seen =
            endpoint.last_seen_at.map_or("never".to_owned(), |at| at.format("%Y-%m-%d %H:%M:%S").to_string());
        print(&format!(
            "{:<24} {:<18} {isolation:<14} {seen:<24} {}",
            endpoint.hostname,
            endpoint.status.to_string(),
            endpoint.id
        ))?;
    }
    Ok(())
}

/// A closed pipe ends the program in order instead of with a panic.
fn print(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").context("cannot write to standard output")
}

fn read_password(path: &Path) -> anyhow::Result<SecretString> {
    let mut line = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(LONGEST_PASSWORD_FILE).read_line(&mut line)
    } else {
        std::fs::File::open(path)
            .and_then(|file| std::io::BufReader::new(file.take(LONGEST_PASSWORD_FILE)).read_line(&mut line))
    };
    read.with_context(|| format!("cannot read the password from {}", path.display()))?;
    let password = line.trim_end_matches(['\n', '\r']);
    if password.is_empty() {
        bail!("{} holds no password in its first line", path.display());
    }
    Ok(SecretString::from(password))
}
