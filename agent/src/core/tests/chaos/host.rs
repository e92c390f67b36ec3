//! A core with a disk, an executor and connections, all of which are slow, unreliable, and die.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{super::invariants::Witness, server::Message, *};

/// A frame or request is lost this often, of 256.
const LOSS: u8 = 40;
const DUPLICATE: u8 = 25;

pub(super) struct Host {
    pub(super) now: Now,
    pub(super) witness: Witness,
    pub(super) crashes: u64,
    core: Core,
    random: fastrand::Rng,
    disk: Disk,
    is_live: bool,
    /// Grows with each crash: what was under way for an earlier life is void.
    life: u64,
    events: BinaryHeap<Reverse<(Duration, u64)>>,
    happenings: BTreeMap<u64, (u64, Happening)>,
    next_happening: u64,
    executing: BTreeMap<i64, bool>,
    effects: BTreeMap<i64, u64>,
}

#[derive(Default)]
struct Disk {
    durable: Vec<Record>,
    /// Confirmed or not, a crash may lose it.
    unsynced: Vec<Record>,
    appends: VecDeque<(BatchId, Vec<Record>, Urgency)>,
}

enum Happening {
    Commit,
    /// The action does its work, then is over.
    Effect(i64),
    Done(i64),
    Arrives(Message),
    PollAnswered(Option<PollResponse>),
    Posted(PostKey, Result<(), RequestFailure>),
    StreamOpens,
    StreamBreaks,
    ServerSpeaks,
    Crash,
}

impl Host {
    pub(super) fn new(random: fastrand::Rng) -> Self {
        let now = Now { wall: start_of_time(), uptime: Duration::ZERO };
        let mut host = Self {
            now,
            witness: Witness::default(),
            crashes: 0,
            core: Core::new(now, 7, trust(), &settings(), Recovered::default()),
            random,
            disk: Disk::default(),
            is_live: false,
            life: 0,
            events: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            next_happening: 0,
            executing: BTreeMap::new(),
            effects: BTreeMap::new(),
        };
        host.after(0..1, Happening::ServerSpeaks);
        host.after(100..8000, Happening::Crash);
        host
    }

    pub(super) fn effects_of(&self, id: i64) -> u64 {
        self.effects.get(&id).copied().unwrap_or(0)
    }

    pub(super) fn is_at_rest(&self) -> bool {
        self.core.ledger.all_reported() && self.disk.appends.is_empty() && self.executing.is_empty()
    }

    /// Whatever is next: an event or a timer of the core.
    pub(super) fn step(&mut self, server: &mut Server) {
        let timer = self.core.poll_timeout(self.now).map(|(at, _)| at.max(self.now.uptime));
        let event = self.events.peek().map(|Reverse((at, _))| *at);
        match (timer, event) {
            (Some(timer), Some(event)) if timer < event => {
                self.pass_time(timer);
                self.core.handle_timeout(self.now);
            }
            (_, Some(event)) => {
                self.pass_time(event);
                let Some(Reverse((_, number))) = self.events.pop() else { return };
                let (life, happening) = self.happenings.remove(&number).unwrap();
                if life == self.life {
                    self.happen(happening, server);
                }
            }
            (Some(timer), None) => {
                self.pass_time(timer);
                self.core.handle_timeout(self.now);
            }
            (None, None) => panic!("nothing will ever happen again"),
        }
        self.perform(server);
    }

    fn happen(&mut self, happening: Happening, server: &mut Server) {
        let now = self.now;
        match happening {
            Happening::Commit => {
                let Some((batch, records, urgency)) = self.disk.appends.pop_front() else { return };
                self.disk.unsynced.extend(records);
                if urgency != Urgency::Lazy {
                    self.sync();
                }
                let used = (self.disk.durable.len() + self.disk.unsynced.len()) as u64 * 400;
                let usage = Usage { used_bytes: 10 * used, limit_bytes: 64 * 1024 * 1024 };
                self.core.handle_committed(now, batch, Ok(usage));
            }
            Happening::Effect(id) => {
                self.take_effect(id);
                self.after(0..100, Happening::Done(id));
            }
            Happening::Done(id) => {
                self.executing.remove(&id);
                self.witness.ends(id);
                let outcome = ActionOutcome { success: true, message: format!("did {id}"), data: None };
                self.core.handle_action_done(now, CommandId(id), outcome);
            }
            Happening::Arrives(Message::Frame(frame)) if self.is_live => self.core.handle_frame(now, frame),
            Happening::Arrives(Message::Frame(_)) => {}
            Happening::Arrives(Message::Direct(offer)) => self.core.handle_direct_offer(now, 1, &offer),
            Happening::PollAnswered(Some(answer)) => self.core.handle_poll_answer(now, answer),
            Happening::PollAnswered(None) => {
                self.core.handle_poll_failed(now, &RequestFailure::Unavailable("test".to_owned()));
            }
            Happening::Posted(key, outcome) => self.core.handle_posted(now, key, outcome),
            Happening::StreamOpens => {
                self.is_live = true;
                self.core.handle_stream_live(now, 15);
                self.after(100..30_000, Happening::StreamBreaks);
            }
            Happening::StreamBreaks => {
                self.is_live = false;
                self.core.handle_stream_lost(now, &StreamLoss::Closed("test".to_owned()));
            }
            Happening::ServerSpeaks => {
                if let Some(message) = server.speak(now.uptime, &mut self.random) {
                    self.transmit(message);
                }
                self.after(0..60, Happening::ServerSpeaks);
            }
            Happening::Crash => self.crash(),
        }
    }

    fn perform(&mut self, server: &mut Server) {
        while let Some(effect) = self.core.poll_effect() {
            match effect {
                Effect::Append { batch, records, urgency } => {
                    self.disk.appends.push_back((batch, records, urgency));
                    self.after(1..5, Happening::Commit);
                }
                Effect::Compact { records } => {
                    assert!(self.disk.appends.is_empty(), "an append is overtaken");
                    self.witness.is_on_disk(&self.disk.unsynced);
                    self.disk.unsynced.clear();
                    self.disk.durable = records;
                }
                Effect::Run { id, action, .. } => {
                    self.witness.runs(id.0, &action);
                    self.executing.insert(id.0, false);
                    self.after(0..100, Happening::Effect(id.0));
                }
                Effect::Send(frame) => {
                    assert!(self.is_live, "a frame without a stream: {frame:?}");
                    if let AgentFrame::Result(result) = &frame {
                        self.witness.tells(result);
                    }
                    if !self.is_lost() {
                        self.deliver(frame, server);
                    }
                }
                Effect::Post(post) => {
                    if let Post::Result(result) = &post {
                        self.witness.tells(result);
                    }
                    let key = post.key();
                    let outcome = self.request(post, server);
                    self.after(1..400, Happening::Posted(key, outcome));
                }
                Effect::Poll => {
                    let answer =
                        (!self.is_lost()).then(|| server.answer_poll(self.now.uptime, &mut self.random));
                    let answer = answer.filter(|_| !self.is_lost());
                    self.after(1..400, Happening::PollAnswered(answer));
                }
                Effect::AnswerDirect { verdict: DirectVerdict::Receipt(claims), .. } => {
                    let id = claims.command_id;
                    assert!(self.has_on_disk(id), "command {id} is receipted before it is on disk");
                    if !self.is_lost() {
                        server.hears_receipt(id.0);
                    }
                }
                Effect::AnswerDirect { verdict, .. } => panic!("{verdict:?}"),
                Effect::ConnectStream => self.after(10..3000, Happening::StreamOpens),
                Effect::CollectTelemetry
                | Effect::Interrupt { .. }
                | Effect::Probe { .. }
                | Effect::Challenge
                | Effect::Confirm { .. }
                | Effect::RollBack { .. }
                | Effect::Search => {}
            }
        }
    }

    /// Over the stream; results are acknowledged.
    fn deliver(&mut self, frame: AgentFrame, server: &mut Server) {
        match frame {
            AgentFrame::Receipt { command_id, .. } => server.hears_receipt(command_id.0),
            AgentFrame::NotKnown { command_id } => server.hears_not_known(command_id.0),
            AgentFrame::Result(result) => {
                let command_id = result.command_id;
                server.hears_result(result);
                self.transmit(Message::Frame(ServerFrame::ResultRecorded { command_id }));
            }
            AgentFrame::Started { .. } => {}
            other => panic!("unexpected: {other:?}"),
        }
    }

    /// The request may be lost, and so may its answer.
    fn request(&mut self, post: Post, server: &mut Server) -> Result<(), RequestFailure> {
        let lost = || RequestFailure::Unavailable("test".to_owned());
        if self.is_lost() {
            return Err(lost());
        }
        if self.random.u8(..) < 5 {
            return Err(RequestFailure::Failed("test".to_owned()));
        }
        match post {
            Post::Receipt(receipt) => server.hears_receipt(receipt.command_id.0),
            Post::NotKnown(not_known) => server.hears_not_known(not_known.command_id.0),
            Post::Result(result) => server.hears_result(result),
            Post::Telemetry(_) => {}
        }
        if self.is_lost() { Err(lost()) } else { Ok(()) }
    }

    /// To the host: late, out of order, lost or twice.
    fn transmit(&mut self, message: Message) {
        if !self.is_lost() {
            self.after(1..800, Happening::Arrives(message.clone()));
        }
        if self.random.u8(..) < DUPLICATE {
            self.after(1..20_000, Happening::Arrives(message));
        }
    }

    /// Everything that was not synced may be gone; part of it may be there nevertheless.
    fn crash(&mut self) {
        self.after(100..8000, Happening::Crash);
        if self.would_make_poison() {
            return;
        }
        self.crashes += 1;
        let under_way = self.disk.appends.drain(..).flat_map(|(_, records, _)| records);
        let mut at_risk: Vec<Record> = self.disk.unsynced.drain(..).chain(under_way).collect();
        at_risk.truncate(self.random.usize(..=at_risk.len()));
        self.witness.is_on_disk(&at_risk);
        self.disk.durable.extend(at_risk);
        self.witness.crash();
        self.executing.clear();
        self.is_live = false;
        self.life += 1;
        let recovered = Recovered { records: self.disk.durable.clone(), last_applied: None };
        let seed = self.random.u64(..);
        self.core = Core::new(self.now, seed, trust(), &settings(), recovered);
        self.after(0..1, Happening::ServerSpeaks);
        self.after(100..8000, Happening::Crash);
    }

    /// Whether a command has begun twice and not ended: what becomes of it is another test's subject.
    fn would_make_poison(&self) -> bool {
        let under_way = self.disk.appends.iter().flat_map(|(_, records, _)| records);
        let mut starts = self.witness.starts_without_result();
        for record in self.disk.unsynced.iter().chain(under_way) {
            if let Record::Started { id, .. } = record {
                *starts.entry(id.0).or_default() += 1;
            }
        }
        starts.values().any(|starts| *starts > 1)
    }

    /// Doing it again is harmless, as with the real ones: the kernel shows that it is done.
    fn take_effect(&mut self, id: i64) {
        if self.witness.runs_of(id) == 1 || !self.effects.contains_key(&id) {
            *self.effects.entry(id).or_default() += 1;
        }
    }

    fn sync(&mut self) {
        let records = std::mem::take(&mut self.disk.unsynced);
        self.witness.is_on_disk(&records);
        self.disk.durable.extend(records);
    }

    fn has_on_disk(&self, id: CommandId) -> bool {
        let in_journal = || self.disk.durable.iter().any(|record| record.command_id() == id);
        self.core.ledger.get(id).is_some_and(|entry| entry.is_on_disk) && in_journal()
    }

    fn is_lost(&mut self) -> bool {
        self.random.u8(..) < LOSS
    }

    fn after(&mut self, milliseconds: std::ops::Range<u64>, happening: Happening) {
        let at = self.now.uptime + Duration::from_millis(self.random.u64(milliseconds));
        let number = self.next_happening;
        self.next_happening += 1;
        self.events.push(Reverse((at, number)));
        self.happenings.insert(number, (self.life, happening));
    }

    fn pass_time(&mut self, to: Duration) {
        self.now.wall += to - self.now.uptime;
        self.now.uptime = to;
    }
}
