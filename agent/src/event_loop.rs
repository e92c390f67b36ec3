//! The only place where the agent waits: it feeds the core with what happens and does what the core says.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot},
    task::spawn_blocking,
    time::{Instant, sleep_until},
};
use voltaxe_protocol::{
    AgentFacts, Command, CommandId, IsolationObservation, ObservedIsolation, PollResponse, Telemetry,
};

use crate::{
    action::{Control, agent_check},
    clock::{self, Clock},
    core::{
        ActionOutcome, Core, DirectVerdict, Effect, PostKey, Recovered, RequestFailure, Settings, Ticket,
        Trust,
    },
    identity::Identity,
    isolation::Isolation,
    journal::{BatchId, Journal, JournalError, Usage},
    state_dir::StateDir,
    telemetry,
    transport::{
        DirectRequest, HttpClient, ServerAddress, Stream, StreamEvent, TlsSettings, adopt_direct,
        open_stream, serve_direct,
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
    /// Where the server may post commands to.
    pub direct: Option<TcpListener>,
}

/// Something that happened, from any task or thread.
pub enum Event {
    Committed(BatchId, Result<Usage, JournalError>),
    ActionDone(CommandId, ActionOutcome),
    Observed(IsolationObservation),
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
    /// `stream` or `poll`.
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
    isolation: &'a Isolation,
    events: mpsc::UnboundedSender<Event>,
    stream: Option<Stream>,
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
    isolation: &Isolation,
    events: mpsc::UnboundedSender<Event>,
    mut happened: mpsc::UnboundedReceiver<Event>,
) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let now = agent.clock.now();
    let trust = Trust {
        endpoint_id: agent.identity.grant.endpoint_id.clone(),
        epoch: agent.identity.grant.epoch,
        server_key: agent.identity.server_key.clone(),
    };
    let core = Core::new(now, seed(), trust, &agent.settings, recovered);
    let direct_port = agent.direct.take().map(|listener| listen(listener, &agent, &events)).transpose()?;
    let mut this = EventLoop {
        agent,
        core,
        journal,
        isolation,
        events,
        stream: None,
        direct_port: direct_port.map(|address| address.port()),
        tickets: BTreeMap::new(),
        next_ticket: 0,
        started_at: now.wall,
        contact_written: None,
    };
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
                stop_at = Some(Instant::now() + FINISH_WITHIN);
            }
            event = happened.recv() => if let Some(event) = event { this.handle(event) },
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
            Event::ActionDone(id, outcome) => self.core.handle_action_done(now, id, outcome),
            Event::Observed(observation) => self.collect(observation),
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

    fn perform_effects(&mut self) {
        while let Some(effect) = self.core.poll_effect() {
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        let events = self.events.clone();
        match effect {
            Effect::Append { batch, records, urgency } => self.journal.append(batch, &records, urgency),
            Effect::Compact { records } => self.journal.replace(&records),
            Effect::Run { id, action: Command::NetworkIsolate(_) } => self.control(id, Control::Isolate),
            Effect::Run { id, action: Command::NetworkRestore(_) } => self.control(id, Control::Restore),
            Effect::Run { id, action: Command::AgentCheck(_) } => self.check(id),
            Effect::Run { id, action } => {
                let message = format!("This agent does not carry out {} yet; update it.", action.kind());
                let outcome = ActionOutcome { success: false, message, data: None };
                let _ = events.send(Event::ActionDone(id, outcome));
            }
            Effect::Send(frame) => {
                if let Some(stream) = &self.stream {
                    stream.send(frame);
                }
            }
            Effect::CollectTelemetry => self.isolation.observe(move |observation| {
                let _ = events.send(Event::Observed(observation));
            }),
            Effect::ConnectStream => {
                let Agent { address, tls, identity, .. } = &self.agent;
                tokio::spawn(open_stream(
                    Arc::clone(address),
                    tls.clone(),
                    Arc::clone(identity),
                    move |event| {
                        let _ = events.send(Event::Stream(event));
                    },
                ));
            }
            Effect::Poll => {
                let (http, identity) = (self.agent.http.clone(), Arc::clone(&self.agent.identity));
                let wait = self.agent.settings.polling.map_or(Duration::ZERO, |polling| polling.wait);
                tokio::spawn(async move {
                    let _ = events.send(Event::Polled(http.poll(&identity, wait).await));
                });
            }
            Effect::AnswerDirect { ticket, verdict } => {
                if let Some(waiting) = self.tickets.remove(&ticket) {
                    // Who does not wait any longer asks again.
                    let _ = waiting.send(verdict);
                }
            }
            Effect::Post(post) => {
                let (http, identity) = (self.agent.http.clone(), Arc::clone(&self.agent.identity));
                tokio::spawn(async move {
                    let _ = events.send(Event::Posted(post.key(), http.post(&identity, &post).await));
                });
            }
        }
    }

    fn control(&self, id: CommandId, action: Control) {
        let (events, servers) = (self.events.clone(), self.agent.address.known());
        self.isolation.execute(id, action, servers, move |outcome| {
            let _ = events.send(Event::ActionDone(id, outcome));
        });
    }

    /// Takes the isolation thread for one look only, so that an isolate hardly waits.
    fn check(&self, id: CommandId) {
        let events = self.events.clone();
        let (unreported, usage) = (self.core.unreported_results(), self.core.journal_usage());
        self.isolation.observe(move |observation| {
            #[cfg(debug_assertions)]
            crate::fault::pass("before-effect");
            let outcome = agent_check::outcome(observation, unreported, usage);
            #[cfg(debug_assertions)]
            crate::fault::pass("after-effect");
            let _ = events.send(Event::ActionDone(id, outcome));
        });
    }

    fn collect(&mut self, observation: IsolationObservation) {
        let cut_off = matches!(observation.state, ObservedIsolation::Isolated | ObservedIsolation::Partial);
        self.agent.address.set_isolated(cut_off);
        let hostname = self.agent.identity.grant.hostname.clone();
        let agent = AgentFacts {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            unreported_results: self.core.unreported_results(),
            direct_port: self.direct_port,
        };
        let events = self.events.clone();
        spawn_blocking(move || {
            let telemetry = telemetry::collect(&hostname, agent, observation, clock::wall());
            let _ = events.send(Event::Collected(Box::new(telemetry)));
        });
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
