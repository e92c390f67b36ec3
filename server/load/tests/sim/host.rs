//! A host: the real core of the agent with a simulated disk and a simulated kernel under it.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio::{sync::oneshot, time::Instant};
use voltaxe_load::invariants::{History, Life};
use voltaxe_protocol::{
    AgentFacts, Command, CommandId, DirectAnswer, EndpointId, Envelope, Epoch, HostFacts,
    IsolationObservation, IsolationOutcome, Keypair, LoadAverage, Memory, ObservedIsolation, PayloadType,
    PublicKey, Telemetry,
};
use voltaxe_sentinel::{
    core::{ActionOutcome, Core, DirectVerdict, Now, Recovered, Settings, Ticket, Trust},
    journal::Record,
};

use crate::{disk::Disk, plan::HostPlan};

pub const EPOCH: Epoch = Epoch(1);
pub const DIRECT_PORT: u16 = 8082;

pub type DirectReply = oneshot::Sender<Result<DirectAnswer, String>>;

pub struct Host {
    pub id: EndpointId,
    pub key: Keypair,
    pub plan: HostPlan,
    /// `None` while it is down.
    pub core: Option<Core>,
    pub boot: u64,
    pub disk: Disk,
    /// A turn of the disk is under way.
    pub disk_turns: bool,
    pub is_cut_off: bool,
    /// The stream that the agent believes to be open.
    pub stream: Option<u64>,
    /// The wake-up that is set.
    pub wake_at: Option<Instant>,
    trust: Trust,
    booted_at: Instant,
    kernel: Kernel,
    /// When the core decided to start them.
    starts: BTreeMap<CommandId, DateTime<Utc>>,
    running: BTreeMap<CommandId, Command>,
    tickets: BTreeMap<Ticket, DirectReply>,
    next_ticket: Ticket,
}

/// What outlives the agent's process.
#[derive(Default)]
struct Kernel {
    generation: Option<CommandId>,
    last_applied: Option<CommandId>,
}

impl Host {
    pub fn new(index: usize, plan: HostPlan, server_key: PublicKey, now: Instant) -> Self {
        let key = Keypair::from_seed(&[100 + u8::try_from(index).unwrap(); 32]);
        let id = EndpointId::of_key(&key.public());
        let trust = Trust { endpoint_id: id.clone(), epoch: EPOCH, server_key };
        Self {
            id,
            key,
            plan,
            core: None,
            boot: 0,
            disk: Disk::default(),
            disk_turns: false,
            is_cut_off: false,
            stream: None,
            wake_at: None,
            trust,
            booted_at: now,
            kernel: Kernel::default(),
            starts: BTreeMap::new(),
            running: BTreeMap::new(),
            tickets: BTreeMap::new(),
            next_ticket: 0,
        }
    }

    pub fn is_isolated(&self) -> bool {
        self.kernel.generation.is_some()
    }

    pub fn life(&self) -> Life<'_> {
        Life { endpoint: &self.id, epoch: EPOCH, boot: self.boot }
    }

    pub fn wall(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + TimeDelta::seconds(self.plan.skew_seconds)
    }

    pub fn now(&self, at: Instant, now: DateTime<Utc>) -> Now {
        Now { wall: self.wall(now), uptime: at - self.booted_at }
    }

    pub fn instant_of(&self, uptime: Duration) -> Instant {
        self.booted_at + uptime
    }

    /// A new process on what the disk kept.
    pub fn boots(&mut self, seed: u64, at: Instant, now: DateTime<Utc>) {
        let settings = Settings {
            stream_enabled: self.plan.stream,
            polling: self.plan.polling,
            telemetry_interval: Duration::from_secs(30),
        };
        self.boot += 1;
        self.booted_at = at;
        self.wake_at = None;
        let recovered = Recovered { records: self.disk.content(), last_applied: self.kernel.last_applied };
        let now = self.now(at, now);
        self.core = Some(Core::new(now, seed, self.trust.clone(), &settings, recovered));
    }

    /// The process is gone, and with it everything that it had in memory.
    pub fn dies(&mut self, random: &mut fastrand::Rng) {
        self.core = None;
        self.stream = None;
        self.disk_turns = false;
        self.running.clear();
        self.starts.clear();
        self.tickets.clear();
        self.disk.crash(random);
    }

    /// The times at which the core starts commands, from the records that say so.
    pub fn note_starts(&mut self, records: &[Record]) {
        for record in records {
            if let Record::Started { id, at, .. } = record {
                self.starts.insert(*id, *at);
            }
        }
    }

    pub fn runs(&mut self, id: CommandId, action: Command, now: DateTime<Utc>, history: &mut History) {
        let at = self.starts.get(&id).copied().unwrap_or_else(|| self.wall(now));
        history.effect_begins(self.life(), id, at);
        self.running.insert(id, action);
    }

    /// The kernel is as the command wants it.
    pub fn takes(&mut self, id: CommandId, history: &mut History) {
        match self.running.get(&id) {
            Some(Command::NetworkIsolate(_)) => self.kernel.generation = Some(id),
            Some(Command::NetworkRestore(_)) => self.kernel.generation = None,
            _ => return,
        }
        self.kernel.last_applied = Some(id);
        history.effect_takes(self.life(), id);
    }

    pub fn ends(
        &mut self,
        id: CommandId,
        success: bool,
        now: DateTime<Utc>,
        history: &mut History,
    ) -> Option<ActionOutcome> {
        let action = self.running.remove(&id)?;
        history.effect_ends(self.life(), id, success);
        let message = if success { format!("did {id}") } else { format!("tried {id}") };
        let is_check = matches!(action, Command::AgentCheck(_));
        let observation = self.observation(now);
        let outcome = IsolationOutcome {
            isolated: self.is_isolated(),
            timestamp: observation.observed_at,
            observation,
        };
        let data = (!is_check && success).then(|| json!(outcome));
        Some(ActionOutcome { success, message, data })
    }

    pub fn ticket(&mut self, reply: DirectReply) -> Ticket {
        self.next_ticket += 1;
        self.tickets.insert(self.next_ticket, reply);
        self.next_ticket
    }

    /// Who waits, and what for.
    pub fn answer(
        &mut self,
        ticket: Ticket,
        verdict: DirectVerdict,
    ) -> Option<(DirectReply, Result<DirectAnswer, String>)> {
        let reply = self.tickets.remove(&ticket)?;
        let answer = match verdict {
            DirectVerdict::Receipt(claims) => {
                Ok(DirectAnswer { receipt: Envelope::seal(PayloadType::Receipt, &claims, &self.key) })
            }
            DirectVerdict::NotForUs(why) | DirectVerdict::Unavailable(why) => Err(why),
        };
        Some((reply, answer))
    }

    pub fn observation(&self, now: DateTime<Utc>) -> IsolationObservation {
        IsolationObservation {
            state: match self.kernel.generation {
                Some(_) => ObservedIsolation::Isolated,
                None => ObservedIsolation::NotIsolated,
            },
            generation: self.kernel.generation,
            observed_at: self.wall(now),
            ..Default::default()
        }
    }

    pub fn telemetry(&self, now: DateTime<Utc>) -> Telemetry {
        let isolation = self.observation(now);
        Telemetry {
            hostname: "sim".to_owned(),
            isolated: self.is_isolated(),
            observed_at: isolation.observed_at,
            isolation,
            agent: AgentFacts {
                version: "0".to_owned(),
                started_at: self.wall(now),
                unreported_results: 0,
                direct_port: self.plan.direct.then_some(DIRECT_PORT),
            },
            host: HostFacts::default(),
            load: LoadAverage::default(),
            memory: Memory::default(),
            disks: Vec::new(),
            uptime_seconds: 0,
        }
    }
}
