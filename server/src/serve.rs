//! `voltaxe-server serve`: starts everything in order, and ends it in order.

use std::{
    future::Future,
    io::{IsTerminal as _, Write as _},
    net::{SocketAddr, TcpListener},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use axum::{Extension, Router};
use axum_server::{Handle, accept::NoDelayAcceptor, tls_rustls::RustlsConfig};
use leptos::config::LeptosOptions;
use secrecy::ExposeSecret as _;
use tokio::{
    net::TcpSocket,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use voltaxe_orchestrator::{
    Strike, StrikeConfig, StrikeError, delivery::DeliveryConfig, health::Deployment, operators::Operators,
    strike::Retention,
};
use voltaxe_protocol::Keypair;
use voltaxe_store::{Store, embedded::EmbeddedPostgres};

use crate::{
    clock,
    config::{Config, LogFormat, Tls},
    evidence_store,
    gateway::{call, probe::ArrivedAt, signed::Nonces},
    routes, signing_key,
    state::{AppState, Places, Shared},
    web::install::Installer,
};

const DATABASE_WITHIN: Duration = Duration::from_secs(60);
const DRAIN_WITHIN: Duration = Duration::from_secs(10);
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_secs(5);
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Most commands are over before they would be noted as begun.
const STARTED_EVERY: Duration = Duration::from_millis(250);
const EVIDENCE_EVERY: Duration = Duration::from_millis(500);
const LIMITS_EVERY: Duration = Duration::from_millis(200);
const SCHEDULES_EVERY: Duration = Duration::from_secs(1);
const TELL_EVERY: Duration = Duration::from_millis(50);
const FLUSH_EVERY: Duration = Duration::from_secs(15);
const MEASURE_EVERY: Duration = Duration::from_secs(15);
const SAMPLE_EVERY: Duration = Duration::from_secs(60);
const MAINTAIN_EVERY: Duration = Duration::from_secs(3600);
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub async fn run(config: Config) -> anyhow::Result<()> {
    let nonces = Nonces::since(clock::now().timestamp());
    start_log(config.log_format);
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Taken first: a port in use ends the start before anything else is touched.
    let console = config.listen.iter().map(bind).collect::<anyhow::Result<Vec<_>>>()?;
    let gateway = config.agent_listen.iter().map(bind).collect::<anyhow::Result<Vec<_>>>()?;
    let metrics = config.metrics_listen.as_ref().map(bind).transpose()?;
    let tls = match &config.tls {
        Some(tls) => Some(load_tls(tls).await?),
        None => None,
    };
    let key = signing_key::load_or_create(&config.state_dir)?;
    let database = Database::open(&config).await?;
    let outcome =
        run_on(&config, database.store.clone(), key, nonces, Listeners { console, gateway, metrics, tls })
            .await;
    database.close().await;
    outcome?;
    tracing::info!("stopped");
    Ok(())
}

/// Bound before anything else is touched.
struct Listeners {
    console: Vec<TcpListener>,
    gateway: Vec<TcpListener>,
    metrics: Option<TcpListener>,
    /// For all but the metrics.
    tls: Option<RustlsConfig>,
}

/// From an open database to the end of the last request.
async fn run_on(
    config: &Config,
    store: Store,
    key: Keypair,
    nonces: Nonces,
    Listeners { console, gateway, metrics, tls }: Listeners,
) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    let caller = if config.direct { Some(call::caller()?) } else { None };
    let evidence = Some(evidence_store::evidence_config(&config.evidence)?);
    let strike_config = StrikeConfig { evidence, ..strike_config(config) };
    let strike = Strike::new(store.clone(), key, strike_config, caller, clock::now());
    let state = AppState::from(Shared {
        operators: Operators::with(store, !config.behind_proxy),
        leptos: leptos_options(config),
        nonces,
        places: Places::default(),
        installer: Installer::new(config.packages_dir.clone(), &config.agent_url),
        behind_proxy: config.behind_proxy,
        shutdown: shutdown.clone(),
        strike: strike.clone(),
    });
    strike.maintain(retention(config), clock::now()).await.context("cannot prepare the database's tables")?;

    let mut servers = JoinSet::new();
    let handle = Handle::new();
    let everything = routes::everything(&state);
    for listener in console {
        let router = arriving(everything.clone(), &listener, config);
        servers.spawn(serve(listener, router, tls.clone(), handle.clone())?);
    }
    let gateway_only = routes::gateway(&state);
    for listener in gateway {
        let router = arriving(gateway_only.clone(), &listener, config);
        servers.spawn(serve(listener, router, tls.clone(), handle.clone())?);
    }
    if let Some(listener) = metrics {
        servers.spawn(serve(listener, routes::metrics(&state), None, handle.clone())?);
    }
    let mut upkeep = JoinSet::new();
    keep_up(&mut upkeep, &strike, retention(config));
    announce(config, &state.operators).await?;

    let why = tokio::select! {
        why = ended_by_signal() => why?,
        ended = servers.join_next() => bail!("a listener ended by itself: {ended:?}"),
    };
    tracing::info!("{why}: shutting down");
    shutdown.cancel();
    handle.graceful_shutdown(Some(DRAIN_WITHIN));
    while servers.join_next().await.is_some() {}
    upkeep.shutdown().await;
    if let Err(error) = strike.delivery().flush_started().await {
        tracing::warn!(%error, "what has begun could not be written: {error}");
    }
    if let Err(error) = strike.flush_seen().await {
        tracing::warn!(%error, "the last-seen times could not be written: {error}");
    }
    Ok(())
}

/// Tells the handlers where a request arrived, if that is certain: a listener on all addresses does not say, and behind a proxy
/// it is the proxy's business.
fn arriving(router: Router, listener: &TcpListener, config: &Config) -> Router {
    match listener.local_addr() {
        Ok(address) if !address.ip().is_unspecified() && !config.behind_proxy => {
            router.layer(Extension(ArrivedAt(address)))
        }
        _ => router,
    }
}

/// The store, and the Postgres under it when that is our own.
pub(crate) struct Database {
    pub(crate) store: Store,
    embedded: Option<EmbeddedPostgres>,
}

impl Database {
    /// Waits for the database, refuses one that would lose commits, and brings its schema up to date.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        let (url, embedded) = match &config.database_url {
            Some(url) => (url.expose_secret().to_owned(), None),
            None => {
                let directory = config.state_dir.join("postgres");
                let embedded = EmbeddedPostgres::start_or_join(&directory)
                    .await
                    .context("the embedded PostgreSQL could not be started")?;
                (embedded.url().to_owned(), Some(embedded))
            }
        };
        let store = Store::connect_lazy(&url).context("DATABASE_URL is not a valid postgres:// address")?;
        let database = Self { store, embedded };
        if let Err(error) = database.prepare().await {
            database.close().await;
            return Err(error);
        }
        Ok(database)
    }

    async fn prepare(&self) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + DATABASE_WITHIN;
        while let Err(error) = self.store.check_durability().await {
            if !error.is_unavailable() {
                return Err(error).context("this database cannot be used");
            }
            if tokio::time::Instant::now() > deadline {
                return Err(error)
                    .context("the database did not answer within 60 s; check DATABASE_URL and the database");
            }
            tracing::info!("waiting for the database");
            tokio::time::sleep(RETRY_AFTER).await;
        }
        self.store.migrate().await.context("the database's schema could not be brought up to date")
    }

    pub(crate) async fn close(self) {
        self.store.close().await;
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}

pub(crate) fn strike_config(config: &Config) -> StrikeConfig {
    StrikeConfig {
        agent_url: config.agent_origin(),
        telemetry_interval_seconds: config.telemetry_interval_seconds,
        announce: config.announce.clone(),
        deployment: Deployment {
            version: env!("CARGO_PKG_VERSION"),
            history_days: config.history_days,
            samples_days: config.telemetry_days,
            embedded_postgres: config.database_url.is_none(),
            state_dir: Some(config.state_dir.clone()),
        },
        delivery: DeliveryConfig { strategy: config.queue_strategy, ..DeliveryConfig::default() },
        ..StrikeConfig::default()
    }
}

fn retention(config: &Config) -> Retention {
    Retention { history_days: config.history_days, samples_days: config.telemetry_days }
}

fn leptos_options(config: &Config) -> LeptosOptions {
    // Written beside the binary by the build when the files' names carry hashes.
    let hash_file = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("hash.txt")));
    LeptosOptions::builder()
        .output_name("voltaxe")
        .site_root(config.site_root.to_string_lossy().as_ref())
        .site_pkg_dir("pkg")
        .hash_files(hash_file.is_some_and(|file| file.is_file()))
        .build()
}

fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call, as in tests that start several servers, changes nothing.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

/// Connections that wait to be accepted: a fleet comes back at once after a restart.
const BACKLOG: u32 = 4096;

fn bind(address: &SocketAddr) -> anyhow::Result<TcpListener> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(*address)?;
        socket.listen(BACKLOG)?.into_std()
    };
    listen().with_context(|| {
        format!("cannot listen on {address}; is it in use? Choose another with --listen or --agent-listen")
    })
}

async fn load_tls(tls: &Tls) -> anyhow::Result<RustlsConfig> {
    let config = RustlsConfig::from_pem_file(&tls.certificate, &tls.key).await.with_context(|| {
        format!("cannot use the certificate {} with the key {}", tls.certificate.display(), tls.key.display())
    })?;
    // HTTP/2 may split cookies and has no Host header; the session and origin checks are written for HTTP/1.1.
    let mut http1 = (*config.get_inner()).clone();
    http1.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(RustlsConfig::from_config(Arc::new(http1)))
}

fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<RustlsConfig>,
    handle: Handle<SocketAddr>,
) -> anyhow::Result<impl Future<Output = std::io::Result<()>> + Send + 'static> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    Ok(async move {
        match tls {
            None => {
                let mut server =
                    axum_server::from_tcp(listener)?.acceptor(NoDelayAcceptor::new()).handle(handle);
                server
                    .http_builder()
                    .http1()
                    .timer(hyper_util::rt::TokioTimer::new())
                    .header_read_timeout(HEADERS_WITHIN);
                server.serve(service).await
            }
            Some(tls) => {
                let mut server = axum_server::from_tcp_rustls(listener, tls)?
                    .map(|acceptor| acceptor.acceptor(NoDelayAcceptor::new()))
                    .handle(handle);
                server
                    .http_builder()
                    .http1()
                    .timer(hyper_util::rt::TokioTimer::new())
                    .header_read_timeout(HEADERS_WITHIN);
                server.serve(service).await
            }
        }
    })
}

/// Everything that must happen without anybody asking.
fn keep_up(tasks: &mut JoinSet<()>, strike: &Strike, retention: Retention) {
    let telling = strike.clone();
    tasks.spawn(async move {
        loop {
            if let Err(error) = telling.tell_changes(clock::now).await {
                note("changes could not be told", &error);
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    });
    let hearing = strike.clone();
    tasks.spawn(async move {
        loop {
            if let Err(error) = hearing.hear_others(clock::now).await {
                note("other servers on this database cannot be heard", &error);
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    });
    let mut upkeep = |period, failure, work: fn(Strike, Retention) -> Work| {
        let strike = strike.clone();
        tasks.spawn(every(period, failure, strike.clone(), move || work(strike.clone(), retention)));
    };
    upkeep(LOOK_EVERY, "what ran out could not be ended", |strike, _| {
        Box::pin(async move { strike.look_after(clock::now()).await })
    });
    upkeep(SWEEP_EVERY, "the sweep failed", |strike, _| {
        Box::pin(async move { strike.sweep(clock::now()).await })
    });
    upkeep(SWEEP_EVERY, "silent agents could not be asked", |strike, _| {
        Box::pin(async move { strike.ask_about_silent(clock::now()).await })
    });
    upkeep(STARTED_EVERY, "what has begun could not be written", |strike, _| {
        Box::pin(async move { strike.delivery().flush_started().await })
    });
    upkeep(LIMITS_EVERY, "what waits for a rate limit could not be sent", |strike, _| {
        Box::pin(async move { strike.delivery().release_deferred(clock::now()).await })
    });
    upkeep(SCHEDULES_EVERY, "schedules could not be run", |strike, _| {
        Box::pin(async move { strike.run_schedules(clock::now()).await })
    });
    upkeep(TELL_EVERY, "other servers could not be told", |strike, _| {
        Box::pin(async move { strike.tell_others().await })
    });
    upkeep(FLUSH_EVERY, "last-seen times could not be written", |strike, _| {
        Box::pin(async move { strike.flush_seen().await })
    });
    upkeep(MEASURE_EVERY, "the queue could not be measured", |strike, _| {
        Box::pin(async move { strike.measure(clock::now()).await })
    });
    upkeep(SAMPLE_EVERY, "the server's health could not be kept", |strike, _| {
        Box::pin(async move { strike.keep_sample(clock::now()).await })
    });
    upkeep(EVIDENCE_EVERY, "how far evidence has come could not be written", |strike, _| {
        Box::pin(async move { strike.flush_evidence(clock::now()).await })
    });
    upkeep(MAINTAIN_EVERY, "evidence could not be looked after", |strike, _| {
        Box::pin(async move { strike.look_after_evidence(clock::now()).await })
    });
    upkeep(MAINTAIN_EVERY, "the maintenance failed", |strike, retention| {
        Box::pin(async move { strike.maintain(retention, clock::now()).await })
    });
}

type Work = Pin<Box<dyn Future<Output = Result<(), StrikeError>> + Send>>;

async fn every<F: Future<Output = Result<(), StrikeError>>>(
    period: Duration,
    failure: &'static str,
    strike: Strike,
    work: impl Fn() -> F,
) {
    let mut timer = tokio::time::interval(period);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    timer.tick().await;
    loop {
        timer.tick().await;
        if let Err(error) = work().await {
            strike.meters().upkeep_failed();
            note(failure, &error);
        }
    }
}

fn note(failure: &str, error: &StrikeError) {
    match std::error::Error::source(error) {
        Some(source) => tracing::warn!(%error, %source, "{failure}: {error}: {source}"),
        None => tracing::warn!(%error, "{failure}: {error}"),
    }
}

async fn announce(config: &Config, operators: &Operators) -> anyhow::Result<()> {
    let scheme = if config.tls.is_some() { "TLS" } else { "plain HTTP" };
    for address in &config.listen {
        let why = match (&config.tls, address.ip().is_loopback()) {
            (Some(_), _) => "",
            (None, true) => " (loopback only)",
            (None, false) => " (behind a proxy, as set)",
        };
        tracing::info!(%address, "console and gateway on {address}, {scheme}{why}");
    }
    for address in &config.agent_listen {
        tracing::info!(%address, "gateway for agents on {address}, {scheme}; commands and requests are signed either way");
        if config.tls.is_none() && !address.ip().is_loopback() {
            tracing::warn!(%address, "enrolment tokens can be read by whoever listens on the network of {address}; set tls-cert and tls-key, or enrol on a network you trust");
        }
    }
    if let Some(address) = &config.metrics_listen {
        tracing::info!(%address, "metrics on http://{address}/metrics, for anybody who reaches it");
    }
    tracing::info!(url = %config.public_url, "ready: {}", config.public_url);
    if operators.setup_is_open().await? {
        // The link is a secret: shown to a person at the console, never put into a log.
        if std::io::stdout().is_terminal() {
            if let Some(token) = operators.new_setup_token(clock::now()).await? {
                let link = setup_link(config, token.expose_secret());
                writeln!(std::io::stdout(), "\nNo administrator yet. Make one within 24 h:\n\n  {link}\n")?;
            }
        } else {
            tracing::info!(
                "no administrator yet: `voltaxe-server admin setup-link` prints a link that makes one"
            );
        }
    }
    Ok(())
}

/// The token stands in the fragment, which a browser keeps to itself.
pub(crate) fn setup_link(config: &Config, token: &str) -> String {
    format!("{}setup#token={token}", config.public_url)
}

async fn ended_by_signal() -> anyhow::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
