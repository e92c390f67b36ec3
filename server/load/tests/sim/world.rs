//! Everything around the two real halves: hosts, lines, the server's process, the database, the operator, and time.

mod faults;
mod hosts;
mod lines;
mod operating;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use voltaxe_load::invariants::{History, Queued, Row, Verdict};
use voltaxe_orchestrator::events::Change;
use voltaxe_protocol::{AgentFrame, DirectOffer, Keypair};
use voltaxe_store::model::CommandRecord;

use crate::{
    happening::{Happening, Mended, Tell},
    host::{EPOCH, Host},
    model::{
        Habits, ModelQueue,
        tables::{Endpoint, Tables},
    },
    operator::Order,
    plan::{HostPlan, Plan, Sabotage},
    server::{Clock, KEY, Server},
    trace::{Detail, Trace},
};

/// After everything has healed, the longest that may still be waited for: commands that were handed out expire an hour
/// late, and a refused report rests for ten minutes.
const COMES_TO_REST_WITHIN: Duration = Duration::from_secs(3 * 3600);

pub struct World {
    plan: Plan,
    random: fastrand::Rng,
    clock: Clock,
    queue: ModelQueue,
    hosts: Vec<Host>,
    server: Option<Server>,
    /// The server's ends of the streams: what hosts say goes in here.
    sockets: BTreeMap<(usize, u64), mpsc::UnboundedSender<AgentFrame>>,
    streams: u64,
    /// Streams that carry nothing any more, whether or not their ends know.
    broken: BTreeSet<(usize, u64)>,
    last_arrivals: BTreeMap<(usize, u64, bool), Instant>,
    orders: Vec<Order>,
    unanswered_orders: usize,
    offers: Vec<DirectOffer>,
    history: History,
    trace: Trace,
    times: BinaryHeap<Reverse<(Instant, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    next_number: u64,
    tell: Tell,
    told: mpsc::UnboundedReceiver<Happening>,
}

/// What came of a run.
pub struct Ran {
    pub verdict: Verdict,
    pub crashes: Crashes,
    pub trace: Trace,
    pub offers: usize,
    pub simulated: Duration,
    /// From the last fault to rest.
    pub rests_after: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Crashes {
    pub servers: u64,
    pub databases: u64,
    pub hosts: u64,
}

impl World {
    pub fn new(seed: u64, detail: Detail, sabotage: Option<Sabotage>) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let plan = Plan { sabotage, ..Plan::draw(&mut random) };
        let clock = Clock::start();
        let server_key = Keypair::from_seed(&KEY).public();
        let mut tables = Tables::default();
        let hosts: Vec<Host> = (0..plan.hosts)
            .map(|index| {
                let plan = HostPlan::draw(&mut random);
                let mut host = Host::new(index, plan, server_key.clone(), Instant::now());
                let endpoint =
                    Endpoint { hostname: format!("host-{index}"), epoch: EPOCH, key: host.key.public() };
                tables.add_endpoint(host.id.clone(), endpoint);
                host.disk.sabotage = sabotage;
                host
            })
            .collect();
        if let Some((kind, per_minute, burst)) = plan.limit {
            tables.set_rate_limit(kind, per_minute, burst, clock.now());
        }
        let habits = Habits { half_takes: Duration::from_millis(2), slow_one_of: 50 };
        let queue = ModelQueue::new(tables, habits, random.fork());
        let (tell, told) = mpsc::unbounded_channel();
        let mut trace = Trace::new(detail);
        trace.note(Duration::ZERO, format_args!("seed {seed}: {plan:?}"));
        Self {
            orders: (0..plan.orders).map(|_| Order::draw(&mut random, &plan)).collect(),
            unanswered_orders: plan.orders,
            plan,
            random,
            clock,
            queue,
            hosts,
            server: None,
            sockets: BTreeMap::new(),
            streams: 0,
            broken: BTreeSet::new(),
            last_arrivals: BTreeMap::new(),
            offers: Vec::new(),
            history: History::default(),
            trace,
            times: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            next_number: 0,
            tell,
            told,
        }
    }

    /// From the first start to rest.
    pub async fn live(mut self) -> Ran {
        self.begin();
        let mut crashes = Crashes::default();
        let deadline = self.clock.elapsed() + self.plan.trouble_lasts + COMES_TO_REST_WITHIN;
        while !self.is_at_rest() && self.clock.elapsed() < deadline {
            let next = self.times.peek().map(|Reverse((at, _))| *at);
            let happening = tokio::select! {
                biased;
                Some(happening) = self.told.recv() => Some(happening),
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => self.take_due(),
            };
            if let Some(happening) = happening {
                self.happens(happening, &mut crashes);
            }
            self.hear_events();
        }
        self.end(crashes)
    }

    fn begin(&mut self) {
        self.happens(Happening::Mended(Mended::Server), &mut Crashes::default());
        for host in 0..self.hosts.len() {
            self.after_up_to(Duration::from_secs(3), Happening::Mended(Mended::Host(host)));
        }
        self.plan_orders();
        self.plan_faults();
    }

    fn happens(&mut self, happening: Happening, crashes: &mut Crashes) {
        match happening {
            Happening::Host { host, boot, what } => self.host_hears(host, boot, what),
            Happening::FrameArrives { host, number, frame } => self.frame_arrives(host, number, frame),
            Happening::RequestArrives { host, boot, request, key } => {
                self.request_arrives(host, boot, request, key);
            }
            Happening::AnswerLeaves { host, boot, answer, key } => {
                self.answer_leaves(host, boot, answer, key)
            }
            Happening::FrameLeaves { host, number, frame } => self.frame_leaves(host, number, frame),
            Happening::FrameReaches { host, number, frame } => self.frame_reaches(host, number, frame),
            Happening::ServerCloses { host, number } => self.server_closes(host, number),
            Happening::ServerLoses { host, number } => {
                self.sockets.remove(&(host, number));
            }
            Happening::CallLeaves { host, offer, reply } => self.call_leaves(host, offer, reply),
            Happening::CallReaches { host, offer, reply } => self.call_reaches(host, &offer, reply),
            Happening::Fault(fault) => self.strike(fault, crashes),
            Happening::Mended(mended) => self.mend(mended),
            Happening::Order(order) => self.give_order(order),
            Happening::Ordered { order, outcome } => self.order_answered(order, outcome),
            Happening::Batch => self.give_batch(),
            Happening::Batched { outcome } => self.batch_answered(outcome),
            Happening::Cancels(id) => self.cancel(id),
            Happening::Cancelled { outcome } => self.cancel_answered(outcome),
        }
    }

    /// What the server tells everybody who watches.
    fn hear_events(&mut self) {
        while let Some(event) = self.server.as_mut().and_then(|server| server.events.try_recv().ok()) {
            if let Change::Command(record) = event.change {
                self.note(format_args!("told: command {} is {}", record.id, record.status));
                self.saw(&record);
            }
        }
    }

    fn saw(&mut self, record: &CommandRecord) {
        self.history.queued(queued(record));
        self.history.seen(record.id, row(record));
    }

    fn is_at_rest(&self) -> bool {
        self.is_healing()
            && self.unanswered_orders == 0
            && self.queue.look(|tables| tables.open().next().is_none())
            && self.hosts.iter().all(|host| {
                host.disk.is_idle()
                    && host
                        .core
                        .as_ref()
                        .is_some_and(|core| core.unreported_results() == 0 && !core.is_executing())
            })
    }

    fn end(self, crashes: Crashes) -> Ran {
        let Self { plan, queue, mut history, trace, offers, clock, hosts, .. } = self;
        let records: BTreeMap<_, _> =
            queue.look(|tables| tables.commands().map(|record| (record.id, record.clone())).collect());
        for record in records.values() {
            history.queued(queued(record));
        }
        for host in &hosts {
            if let Some(last) = last_carried_out(host, records.values())
                && host.is_isolated() != (last.command == "network_isolate")
            {
                history.does_not_hold(last.id);
            }
        }
        let verdict = history.close(|id| records.get(&id).map(row));
        let simulated = clock.elapsed();
        let rests_after = simulated.saturating_sub(plan.trouble_lasts);
        Ran { verdict, crashes, trace, offers: offers.len(), simulated, rests_after }
    }

    fn take_due(&mut self) -> Option<Happening> {
        let Reverse((_, number)) = self.times.pop()?;
        self.happenings.remove(&number)
    }

    fn at(&mut self, at: Instant, happening: Happening) {
        let number = self.next_number;
        self.next_number += 1;
        self.times.push(Reverse((at, number)));
        self.happenings.insert(number, happening);
    }

    fn after(&mut self, delay: Duration, happening: Happening) {
        self.at(Instant::now() + delay, happening);
    }

    fn after_up_to(&mut self, longest: Duration, happening: Happening) {
        let delay = self.random_up_to(longest);
        self.after(delay, happening);
    }

    fn random_up_to(&mut self, longest: Duration) -> Duration {
        Duration::from_micros(self.random.u64(..=u64::try_from(longest.as_micros()).unwrap_or(u64::MAX)))
    }

    fn note(&mut self, what: std::fmt::Arguments<'_>) {
        self.trace.note(self.clock.elapsed(), what);
    }
}

/// The newest isolate or restore that was carried out. `None` when a newer one may have been carried out in part.
fn last_carried_out<'a>(
    host: &Host,
    records: impl Iterator<Item = &'a CommandRecord>,
) -> Option<&'a CommandRecord> {
    let mut last = None;
    for record in records.filter(|record| record.endpoint_id == host.id && record.priority == 10) {
        let success = record.result.as_ref().and_then(|result| result.get("success")?.as_bool());
        let refused = record.result.as_ref().and_then(|result| result.get("data")?.get("refused")?.as_str());
        match (success, refused) {
            (Some(true), _) => last = Some(record),
            (Some(false), Some(word)) if word != "poison" => {}
            (None, _) if record.attempt == 0 => {}
            _ => last = None,
        }
    }
    last
}

fn queued(record: &CommandRecord) -> Queued {
    Queued {
        id: record.id,
        endpoint: record.endpoint_id.clone(),
        epoch: record.epoch,
        kind: record.command.clone(),
        not_before: record.not_before,
        expires_at: record.expires_at,
    }
}

fn row(record: &CommandRecord) -> Row<'_> {
    Row { state: record.status, result: record.result.as_ref() }
}
