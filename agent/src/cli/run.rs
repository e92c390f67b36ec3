use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use anyhow::Context as _;
use tokio::sync::mpsc;

use super::{Places, end_with_any_thread, install_tls_provider, start_log};
use crate::{
    clock::Clock,
    core::{Polling, Recovered, Settings},
    event_loop::{self, Agent, Event},
    executor::{Client, Engine, Executor, Setup, Sink},
    identity::Identity,
    isolation::Applied,
    journal::Journal,
    state_dir::StateDir,
    transport::{HttpClient, ServerAddress, TlsSettings},
};

pub(super) fn run(places: &Places) -> anyhow::Result<()> {
    let clock = Clock::start();
    let config = places.load()?;
    start_log(config.log_level);
    end_with_any_thread();
    install_tls_provider();
    let url = config.server_url()?.clone();
    let state = StateDir::open(&config.state_dir)?;
    let _lock = state.lock()?;
    let identity = Arc::new(Identity::load(&state)?);
    if identity.grant.server_url != url.to_string() {
        tracing::warn!(
            "this host was enrolled at {}, agent.conf says {url}; only a server with the same key is obeyed",
            identity.grant.server_url
        );
    }
    if config.executor_socket.is_none() && !rustix::process::geteuid().is_root() {
        tracing::warn!(
            "not running as root: isolating this host will fail; run the agent as root, or an executor beside it"
        );
    }
    let tls = TlsSettings::load(&config)?;
    let address = Arc::new(ServerAddress::new(url.clone(), state.clone()));
    let http = HttpClient::new(Arc::clone(&address), &tls)
        .context("HTTPS cannot be set up; install the package ca-certificates or set ca_file in [server]")?;

    let (events, happened) = mpsc::unbounded_channel();
    let committed = events.clone();
    let (journal, records, damage) = Journal::open(&state, move |batch, outcome| {
        let _ = committed.send(Event::Committed(batch, outcome));
    })
    .with_context(|| format!("the journal in {} cannot be opened", state.root().display()))?;
    if damage.torn_bytes > 0 {
        tracing::info!(torn_bytes = damage.torn_bytes, "cut an unfinished record off the journal's end");
    }
    if damage.is_truncated {
        tracing::error!(
            "the journal's file is shorter than it was left: records at its end may be missing; check the disk"
        );
    }
    for path in &damage.quarantined {
        tracing::error!(path = %path.display(), "the journal was damaged; the bad part is set aside, the rest is kept");
    }
    if damage.not_understood > 0 {
        tracing::warn!(
            records = damage.not_understood,
            "the journal has records of a newer agent; they are skipped"
        );
    }

    // An executor's is its own; the journal has what this process needs.
    let applied =
        if config.executor_socket.is_some() { None } else { Applied::read(&state).unwrap_or_default() };
    let recovered = Recovered { records, last_applied: applied.as_ref().map(|applied| applied.generation) };
    address.set_isolated(applied.as_ref().is_some_and(|applied| applied.rules.is_some()));
    let direct = config.direct_listen.and_then(listen_directly);
    let direct_port = direct.as_ref().map(TcpListener::local_addr).transpose()?.map(|address| address.port());
    let evidence = config.acting_state_dir().join("evidence");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = events.clone();
    let sink: Sink = Arc::new(move |what| {
        let _ = done.send(Event::Done(what));
    });
    let executor = match &config.executor_socket {
        Some(socket) => {
            let _inside = runtime.enter();
            Executor::Remote(Client::start(socket.clone(), sink))
        }
        None => {
            let setup = Setup {
                trust: identity.trust(),
                hostname: identity.grant.hostname.clone(),
                state: state.clone(),
                evidence: evidence.clone(),
                direct_port,
                may_search: config.may_rediscover,
                shared_with: None,
            };
            Executor::Local(Engine::start(setup, sink)?)
        }
    };
    let settings = Settings {
        stream_enabled: config.stream_enabled,
        polling: config
            .polling_enabled
            .then_some(Polling { interval: config.polling_interval, wait: config.polling_wait }),
        telemetry_interval: config.telemetry_interval,
    };
    if !config.stream_enabled && !config.polling_enabled {
        tracing::warn!(
            "neither [stream] nor [polling] is enabled: nothing that waits at the server gets here"
        );
    }
    tracing::info!(
        endpoint = %identity.grant.endpoint_id,
        hostname = identity.grant.hostname,
        "Voltaxe Sentinel {} works for {url}",
        env!("CARGO_PKG_VERSION")
    );
    let agent = Agent { clock, identity, settings, state, address, tls, http, executor, evidence, direct };
    runtime.block_on(event_loop::run(agent, recovered, &journal, events, happened))?;
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    drop(journal);
    tracing::info!("Stopped");
    Ok(())
}

/// The other channels work without it, so a port that is taken does not keep the agent from starting.
fn listen_directly(address: SocketAddr) -> Option<TcpListener> {
    match TcpListener::bind(address) {
        Ok(listener) => {
            tracing::info!("[COMMAND DIRECT] Listening on {address}");
            Some(listener)
        }
        Err(error) => {
            tracing::error!(
                "[COMMAND DIRECT] Cannot listen on {address} ({error}): this channel is off. Free the port or set \
                 another `listen` in [direct]"
            );
            None
        }
    }
}
