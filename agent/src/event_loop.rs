//! The only place where the agent waits: it feeds the core with what happens and does what the core says.

mod perform;
mod upload;

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{Notify, mpsc, oneshot},
    task::spawn_blocking,
    time::{Instant, sleep_until},
};
use voltaxe_protocol::{AgentFrame, CommandId, PollResponse, ProbeAnswer, Telemetry};

use crate::{
    clock::Clock,
    core::{Core, DirectVerdict, Now, PostKey, Recovered, RequestFailure, Settings, Ticket},
    executor::{Done, Executor, Purpose, Task},
    identity::Identity,
    journal::{BatchId, Journal, JournalError, Usage},
    service_manager::ServiceManager,
    state_dir::StateDir,
    transport::{
        DirectRequest, HttpClient, ServerAddress, Stream, StreamEvent, TlsSettings, adopt_direct,
        serve_direct,
    },
};

const CONTACT_FILE: &str = "contact.json";
/// The contact file is for `status` only and written no more often than this.
const CONTACT_INTERVAL: Duration = Duration::from_secs(15);
/// At shutdown a running command gets this long to come to its end; the journal resolves it otherwise.
const FINISH_WITHIN: Duration = Duration::from_secs(5);

/// What the loop works with.
pub struct Agent {
    pub clock: Clock,
    pub identity: Arc<Identity>,
    pub settings: Settings,
    pub state: StateDir,
    pub address: Arc<ServerAddress>,
    pub tls: TlsSettings,
    pub http: HttpClient,
    pub executor: Executor,
    /// The directory of bundles that wait for their upload.
    pub evidence: PathBuf,
    /// Where the server may post commands to.
    pub direct: Option<TcpListener>,
}

/// Something that happened, from any task or thread.
pub enum Event {
    Committed(BatchId, Result<Usage, JournalError>),
    Done(Done),
    Probed(String, Result<ProbeAnswer, RequestFailure>),
    /// What the name service says of the server.
    LookedUp(Vec<SocketAddr>),
    /// The server has this command's bundle.
    Uploaded(CommandId),
    Collected(Box<Telemetry>),
    Stream(StreamEvent),
    Polled(Result<PollResponse, RequestFailure>),
    Posted(PostKey, Result<(), RequestFailure>),
    Direct(DirectRequest),
}

/// `contact.json`: when the server was last heard.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Contact {
    pub at: DateTime<Utc>,
    /// `stream`, `poll` or `probe`.
    pub channel: String,
}

impl Contact {
    #[must_use]
    pub fn read(state: &StateDir) -> Option<Self> {
        state.read_json(CONTACT_FILE).ok().flatten()
    }
}

struct EventLoop<'a> {
    agent: Agent,
    core: Core,
    journal: &'a Journal,
    events: mpsc::UnboundedSender<Event>,
    stream: Option<Stream>,
    /// Woken when there may be something to upload.
    uploads: Arc<Notify>,
    direct_port: Option<u16>,
    /// Who waits for a verdict on the direct channel.
    tickets: BTreeMap<Ticket, oneshot::Sender<DirectVerdict>>,
    next_ticket: Ticket,
    started_at: DateTime<Utc>,
    contact_written: Option<(Duration, &'static str)>,
}

/// Runs until SIGTERM or SIGINT. Isolation is left as it is.
///
/// # Errors
/// When the signals cannot be caught; nothing else ends the agent.
pub async fn run(
    mut agent: Agent,
    recovered: Recovered,
    journal: &Journal,
    events: mpsc::UnboundedSender<Event>,
    mut happened: mpsc::UnboundedReceiver<Event>,
) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let now = agent.clock.now();
    let core = Core::new(now, seed(), agent.identity.trust(), &agent.settings, recovered);
    let direct_port = agent.direct.take().map(|listener| listen(listener, &agent, &events)).transpose()?;
    let mut this = EventLoop {
        uploads: upload::start(&agent, &events),
        agent,
        core,
        journal,
        events,
        stream: None,
        direct_port: direct_port.map(|address| address.port()),
        tickets: BTreeMap::new(),
        next_ticket: 0,
        started_at: now.wall,
        contact_written: None,
    };
    let manager = ServiceManager::from_environment();
    manager.ready();
    let mut next_sign = Instant::now();
    let mut stop_at: Option<Instant> = None;
    loop {
        this.perform_effects();
        if stop_at.is_some_and(|at| at <= Instant::now() || !this.core.is_executing()) {
            return Ok(());
        }
        let wake = this.wake_at(stop_at);
        tokio::select! {
            biased;
            () = received(&mut terminate, &mut interrupt), if stop_at.is_none() => {
                tracing::info!("Stopping: finishing journal writes, isolation stays as it is");
                manager.stopping();
                stop_at = Some(Instant::now() + FINISH_WITHIN);
            }
            event = happened.recv() => if let Some(event) = event { this.handle(event) },
            () = sleep_until(next_sign), if manager.sign_every().is_some() => {
                manager.alive();
                next_sign += manager.sign_every().unwrap_or(Duration::MAX);
            }
            () = sleep_until(wake) => this.core.handle_timeout(this.agent.clock.now()),
        }
    }
}

/// Takes offers of the server from now on.
fn listen(
    listener: TcpListener,
    agent: &Agent,
    events: &mpsc::UnboundedSender<Event>,
) -> std::io::Result<SocketAddr> {
    let address = listener.local_addr()?;
    let events = events.clone();
    tokio::spawn(serve_direct(adopt_direct(listener)?, Arc::clone(&agent.identity), move |request| {
        let _ = events.send(Event::Direct(request));
    }));
    Ok(address)
}

/// The first of either signal.
async fn received(terminate: &mut Signal, interrupt: &mut Signal) {
    let (terminate, interrupt) = (pin!(terminate.recv()), pin!(interrupt.recv()));
    futures::future::select(terminate, interrupt).await;
}

impl EventLoop<'_> {
    fn wake_at(&self, stop_at: Option<Instant>) -> Instant {
        let wanted = self.core.poll_timeout(self.agent.clock.now()).map(|(uptime, reason)| {
            tracing::trace!(?uptime, ?reason, "next wake-up");
            Instant::from_std(self.agent.clock.instant_at(uptime))
        });
        let far = Instant::now() + Duration::from_secs(3600);
        wanted.into_iter().chain(stop_at).min().unwrap_or(far)
    }

    fn handle(&mut self, event: Event) {
        let now = self.agent.clock.now();
        match event {
            Event::Committed(batch, outcome) => self.core.handle_committed(now, batch, outcome),
            Event::Done(done) => self.hear(now, done),
            Event::Probed(nonce, outcome) => {
                if outcome.is_ok() {
                    self.note_contact("probe");
                }
                self.core.handle_probed(now, &nonce, outcome);
            }
            Event::LookedUp(servers) => {
                self.agent.address.learn(&servers);
                self.agent.executor.submit(Task::TryServers { servers });
            }
            Event::Uploaded(id) => self.agent.executor.submit(Task::Discard { id }),
            Event::Collected(telemetry) => {
                self.core.handle_telemetry(now, *telemetry);
                // A live stream hears pongs, which do not come up to here.
                if self.stream.is_some() {
                    self.note_contact("stream");
                }
            }
            Event::Stream(StreamEvent::Live { stream, telemetry_interval_seconds }) => {
                self.stream = Some(stream);
                self.note_contact("stream");
                self.uploads.notify_one();
                self.core.handle_stream_live(now, telemetry_interval_seconds);
            }
            Event::Stream(StreamEvent::Frame(frame)) => {
                self.core.handle_frame(now, frame);
                self.note_contact("stream");
            }
            Event::Stream(StreamEvent::Lost(loss)) => {
                self.stream = None;
                self.core.handle_stream_lost(now, &loss);
            }
            Event::Polled(Ok(answer)) => {
                self.core.handle_poll_answer(now, answer);
                self.note_contact("poll");
            }
            Event::Polled(Err(failure)) => self.core.handle_poll_failed(now, &failure),
            Event::Posted(key, outcome) => {
                if outcome.is_ok() {
                    self.note_contact("poll");
                }
                self.core.handle_posted(now, key, outcome);
            }
            Event::Direct(DirectRequest { offer, verdict }) => {
                self.next_ticket += 1;
                self.tickets.insert(self.next_ticket, verdict);
                self.core.handle_direct_offer(now, self.next_ticket, &offer);
            }
        }
    }

    /// What the executor says.
    fn hear(&mut self, now: Now, done: Done) {
        match done {
            Done::Outcome { id, outcome } => {
                self.core.handle_action_done(now, id, outcome);
                self.uploads.notify_one();
            }
            Done::Provisional { id, nonce } => {
                // There is no name service any more.
                self.agent.address.set_isolated(true);
                self.core.handle_provisional(now, id, nonce);
            }
            Done::Progress { id, step, done_steps, total_steps, bytes } => {
                if let Some(stream) = &self.stream {
                    stream.send(AgentFrame::Progress {
                        command_id: id,
                        step,
                        done_steps,
                        total_steps,
                        bytes,
                    });
                }
            }
            Done::Challenge { nonce } => self.core.handle_challenge(now, nonce),
            Done::Refreshed => self.core.handle_refreshed(now),
            Done::NotConfirmed { nonce, why } => self.core.handle_not_confirmed(now, &nonce, why),
            Done::Observed { purpose: Purpose::Telemetry, observation } => self.collect(observation),
            Done::Observed { purpose: Purpose::Check(id), observation } => self.check(now, id, observation),
            Done::Changed => self.core.handle_isolation_changed(now),
            Done::DnsOpened { refused: None } => self.look_up(),
            Done::ServersTried { refused: None } => self.core.handle_searched(now),
            Done::DnsOpened { refused: Some(why) } | Done::ServersTried { refused: Some(why) } => {
                tracing::info!("The search for the server ends: {why}");
            }
            Done::Reconnected => self.core.handle_executor_back(now),
            Done::Hello { .. } | Done::Noted | Done::Unknown => {}
        }
    }

    fn note_contact(&mut self, channel: &'static str) {
        let now = self.agent.clock.now();
        if self.contact_written.is_some_and(|(at, by)| by == channel && now.uptime < at + CONTACT_INTERVAL) {
            return;
        }
        self.contact_written = Some((now.uptime, channel));
        let state = self.agent.state.clone();
        let contact = Contact { at: now.wall, channel: channel.to_owned() };
        spawn_blocking(move || {
            if let Err(error) = state.write_json(CONTACT_FILE, &contact) {
                tracing::debug!(%error, "the time of the last contact cannot be stored");
            }
        });
    }
}

/// For spreading timers only.
fn seed() -> u64 {
    let mut bytes = [0; 8];
    // Without randomness all agents keep the same time, which is a nuisance and no more.
    let _ = getrandom::fill(&mut bytes);
    u64::from_ne_bytes(bytes)
}
