//! The isolation's thread: alone with the kernel's rules, it carries orders out, waits for the server's signature, and looks
//! every few seconds whether the rules still are what they should be, whoever else is alive.

mod search;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use voltaxe_protocol::{Command, CommandId, Envelope, ObservedIsolation, PayloadType, ProbeClaims};

use super::{Done, Setup, Sink, Task, wall};
use crate::{
    action::{self, network_isolate::Isolated},
    clock,
    core::{ActionOutcome, Trust},
    isolation::{Applied, IsolationError, Kernel, Watch},
};

const WATCH_EVERY: Duration = Duration::from_secs(5);
/// The server's addresses in the rules, at most.
const MAX_SERVERS: usize = 16;

pub(super) enum Duty {
    Run { id: CommandId, action: Command, servers: Vec<SocketAddr>, only_if_known: bool },
    Task(Task),
    Ping(Box<dyn FnOnce() + Send>),
}

pub(super) struct Warden {
    kernel: Kernel,
    trust: Trust,
    sink: Sink,
    may_search: bool,
    /// What the server is to sign next, and for which command if its rules are provisional.
    question: Option<Question>,
    /// Not signed, and open for a moment.
    tried: Vec<SocketAddr>,
    contact: Option<Instant>,
    searched: Option<Instant>,
    /// Once a search.
    may_try: bool,
}

struct Question {
    nonce: String,
    probation: Option<Probation>,
}

struct Probation {
    id: CommandId,
    servers: Vec<SocketAddr>,
    notice: Option<String>,
}

/// Until every sender is gone.
pub(super) fn work(mut warden: Warden, duties: &mpsc::Receiver<Duty>, waiting: &AtomicUsize) {
    warden.watch();
    let mut watched = Instant::now();
    loop {
        let duty = if warden.should_be_isolated() {
            // However busy the thread is otherwise.
            match duties.recv_timeout(WATCH_EVERY.saturating_sub(watched.elapsed())) {
                Ok(duty) => Some(duty),
                Err(mpsc::RecvTimeoutError::Timeout) => None,
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        } else {
            match duties.recv() {
                Ok(duty) => Some(duty),
                Err(mpsc::RecvError) => return,
            }
        };
        if let Some(duty) = duty {
            warden.do_duty(duty);
            waiting.fetch_sub(1, Ordering::Relaxed);
        }
        if watched.elapsed() >= WATCH_EVERY && warden.should_be_isolated() {
            warden.watch();
            watched = Instant::now();
        }
    }
}

impl Warden {
    pub(super) fn new(setup: &Setup, sink: Sink) -> Self {
        let applied = Applied::read(&setup.state).unwrap_or_else(|error| {
            tracing::warn!(%error, "isolation.json cannot be read; the kernel is believed");
            None
        });
        Self {
            kernel: Kernel::new(setup.state.clone(), applied).with_direct_port(setup.direct_port),
            trust: setup.trust.clone(),
            sink,
            may_search: setup.may_search,
            question: None,
            tried: Vec::new(),
            contact: None,
            searched: None,
            may_try: false,
        }
    }

    fn do_duty(&mut self, duty: Duty) {
        match duty {
            Duty::Run { id, only_if_known: true, .. } if self.generation() != Some(id) => {
                let message =
                    "The command has expired; issue it again, or correct this host's clock.".to_owned();
                self.end(id, refused("expired", message));
            }
            Duty::Run { id, action, servers, .. } => self.run(id, action, &servers),
            Duty::Ping(answer) => answer(),
            Duty::Task(task) => self.perform(task),
        }
        // After the answer: the state file does not keep the result waiting.
        self.kernel.save();
    }

    fn perform(&mut self, task: Task) {
        match task {
            Task::Challenge => {
                let observed = self.kernel.observe(clock::wall());
                let is_isolated =
                    matches!(observed.state, ObservedIsolation::Isolated | ObservedIsolation::Partial);
                // A command on probation has its own question.
                let nonce = (is_isolated && !observed.is_provisional).then(|| self.ask(None)).flatten();
                self.say(Done::Challenge { nonce });
            }
            Task::Confirm { nonce, answer } => self.confirm(nonce, &answer),
            Task::RollBack { id, why } => self.roll_back(id, &why),
            Task::Observe { purpose } => {
                let observation = self.kernel.observe(clock::wall());
                self.say(Done::Observed { purpose, observation });
            }
            Task::OpenDns => {
                let refused = self.open_dns().err();
                self.say(Done::DnsOpened { refused });
            }
            Task::TryServers { servers } => {
                let refused = self.try_servers(&servers).err();
                self.say(Done::ServersTried { refused });
            }
            Task::Run { .. } | Task::Interrupt { .. } | Task::Discard { .. } => {}
        }
    }

    fn run(&mut self, id: CommandId, action: Command, servers: &[SocketAddr]) {
        if action.changes_isolation()
            && let Some(newer) = self.generation().filter(|newer| *newer > id)
        {
            let message =
                format!("Command {newer}, issued later, was carried out first; this one would undo it.");
            return self.end(id, refused("superseded", message));
        }
        #[cfg(debug_assertions)]
        crate::fault::pass("before-effect");
        let now = clock::wall;
        let outcome = match action {
            Command::NetworkIsolate(order) => {
                let servers = self.servers(servers);
                match action::network_isolate::apply(&mut self.kernel, id, &order, &servers, now) {
                    Isolated::Provisionally => {
                        #[cfg(debug_assertions)]
                        crate::fault::pass("after-effect");
                        let notice = order.notify_users;
                        let Some(nonce) = self.ask(Some(Probation { id, servers, notice })) else {
                            return self.roll_back(id, "the system gives no random bytes");
                        };
                        return self.say(Done::Provisional { id, nonce });
                    }
                    Isolated::Already(outcome) | Isolated::Not(outcome) => outcome,
                }
            }
            Command::NetworkRestore(_) => action::network_restore::run(&mut self.kernel, id, now),
            Command::IsolationChange(order) => {
                let servers = self.servers(servers);
                action::isolation_change::run(&mut self.kernel, id, &order, &servers, now)
            }
            Command::IsolationPreview(order) => {
                let servers = self.servers(servers);
                action::isolation_preview::run(&mut self.kernel, &order, &servers, now())
            }
            other => ActionOutcome {
                success: false,
                message: format!("This agent does not carry out {} here; update it.", other.kind()),
                data: None,
            },
        };
        #[cfg(debug_assertions)]
        crate::fault::pass("after-effect");
        self.end(id, outcome);
    }

    fn confirm(&mut self, nonce: String, answer: &Envelope) {
        let addresses = match self.verify(&nonce, answer) {
            Ok(addresses) => addresses,
            Err(why) => return self.say(Done::NotConfirmed { nonce, why }),
        };
        self.contact = Some(Instant::now());
        let tried = std::mem::take(&mut self.tried);
        let Some(Question { probation, .. }) = self.question.take() else { return };
        match probation {
            Some(Probation { id, servers, notice }) => {
                let servers = union(&[&addresses, &servers]);
                let outcome = action::network_isolate::confirm(&mut self.kernel, id, &servers, clock::wall);
                let is_isolated = outcome.success;
                self.end(id, outcome);
                if let Some(notice) = notice.filter(|_| is_isolated) {
                    wall::tell(&notice);
                }
            }
            None => {
                if let Err(error) = self.refresh(&addresses, &tried) {
                    tracing::warn!("The server's new addresses are not in the rules: {error}");
                }
                self.say(Done::Refreshed);
            }
        }
    }

    fn verify(&self, nonce: &str, answer: &Envelope) -> Result<Vec<SocketAddr>, String> {
        if self.question.as_ref().is_none_or(|question| question.nonce != nonce) {
            return Err("the executor did not ask this".to_owned());
        }
        let claims: ProbeClaims = answer
            .open(PayloadType::Probe, &self.trust.server_key)
            .map_err(|error| format!("somebody answers who is not the server of this host: {error}"))?;
        if claims.nonce != nonce || claims.endpoint_id != self.trust.endpoint_id {
            return Err("the server's answer is to another question".to_owned());
        }
        Ok(usable(&claims.addresses))
    }

    /// What the server signed comes first; what is in the rules stays as long as there is room.
    fn refresh(&mut self, signed: &[SocketAddr], tried: &[SocketAddr]) -> Result<(), IsolationError> {
        let Some((generation, present)) = self.in_force() else { return Ok(()) };
        let wanted = union(&[signed, tried, &present]);
        let is_new = wanted.iter().any(|server| !present.contains(server));
        if is_new {
            tracing::info!(?wanted, "The server has new addresses; they are in the rules now");
            self.kernel.confirm_contact(generation, &wanted, clock::wall())?;
        }
        Ok(())
    }

    fn roll_back(&mut self, id: CommandId, why: &str) {
        let probation = self
            .question
            .take_if(|question| question.probation.as_ref().is_some_and(|probation| probation.id == id));
        let observed = self.kernel.observe(clock::wall());
        let is_its_own = probation.is_some() || observed.generation == Some(id);
        if !is_its_own || observed.state != ObservedIsolation::NotIsolated && !observed.is_provisional {
            let message =
                format!("The rules are not those of command {id} on probation; nothing was changed.");
            return self.end(id, action::outcome(false, message, observed));
        }
        let why: String = why.chars().filter(|c| !c.is_control()).take(300).collect();
        let outcome = action::network_isolate::roll_back(&mut self.kernel, id, &why, clock::wall);
        self.end(id, outcome);
    }

    fn watch(&mut self) {
        let found = self.kernel.watch(clock::wall());
        match &found {
            Watch::Unchanged => return,
            Watch::PutBack(drift) => {
                tracing::warn!(
                    found = drift.found,
                    "Somebody changed the isolation's rules; they are put back"
                );
            }
            Watch::NotPutBack(drift) => {
                tracing::error!(found = drift.found, "The isolation is broken and could not be put back");
            }
            Watch::Reapplied { generation } => {
                tracing::info!(generation = generation.0, "The isolation is in force again after a restart");
            }
            Watch::Extended { devices } => tracing::info!(?devices, "The isolation covers new devices"),
            Watch::Lifted { generation, by } => {
                tracing::warn!(
                    generation = generation.0,
                    "The kernel has lifted the isolation: it ended {by}"
                );
            }
            Watch::FellBack { generation, to } => tracing::warn!(
                generation = to.0,
                "Nobody confirmed the rules of command {generation}; the earlier isolation is in force again"
            ),
            Watch::ReleasedElsewhere { generation, by } => {
                tracing::warn!(generation = generation.0, "The isolation ended {by}");
            }
        }
        self.kernel.save();
        self.say(Done::Changed);
    }

    /// Addresses that somebody else than the server names count only while there are no rules: an isolated host keeps the ones
    /// it has.
    fn servers(&self, named: &[SocketAddr]) -> Vec<SocketAddr> {
        match self.in_force() {
            Some((_, present)) if !present.is_empty() => present,
            _ => usable(named),
        }
    }

    fn ask(&mut self, probation: Option<Probation>) -> Option<String> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).ok()?;
        let nonce = URL_SAFE_NO_PAD.encode(bytes);
        self.question = Some(Question { nonce: nonce.clone(), probation });
        Some(nonce)
    }

    fn should_be_isolated(&self) -> bool {
        self.in_force().is_some()
    }

    fn generation(&self) -> Option<CommandId> {
        self.kernel.applied().map(|applied| applied.generation)
    }

    /// Newest order and servers of the rules that should hold.
    fn in_force(&self) -> Option<(CommandId, Vec<SocketAddr>)> {
        let applied = self.kernel.applied()?;
        applied.rules.as_ref().map(|rules| (rules.generation, rules.servers.clone()))
    }

    fn end(&self, id: CommandId, outcome: ActionOutcome) {
        self.say(Done::Outcome { id, outcome });
    }

    fn say(&self, done: Done) {
        Arc::clone(&self.sink)(done);
    }
}

/// Without what no server has, and not too many.
fn usable(servers: &[SocketAddr]) -> Vec<SocketAddr> {
    let is_usable = |server: &&SocketAddr| {
        let ip = server.ip();
        let is_broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
        server.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !is_broadcast
    };
    servers.iter().filter(is_usable).take(MAX_SERVERS).copied().collect()
}

/// In order, each once, at most [`MAX_SERVERS`].
fn union(parts: &[&[SocketAddr]]) -> Vec<SocketAddr> {
    let mut all: Vec<SocketAddr> = Vec::new();
    for server in parts.iter().copied().flatten() {
        if !all.contains(server) && all.len() < MAX_SERVERS {
            all.push(*server);
        }
    }
    all
}

pub(super) fn refused(word: &str, message: String) -> ActionOutcome {
    ActionOutcome { success: false, message, data: Some(serde_json::json!({ "refused": word })) }
}
