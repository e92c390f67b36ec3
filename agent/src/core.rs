//! The agent's decisions, free of sockets, clocks and files: inputs come as `handle_*` calls, what to do comes out of
//! [`Core::poll_effect`], and when to wake it out of [`Core::poll_timeout`].

mod cancel;
mod direct;
mod effect;
mod execute;
mod intake;
mod jitter;
mod ledger;
mod lifeline;
mod link;
mod order;
mod outbox;
mod queue;
mod report;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use chrono::TimeDelta;
use tracing::{info, warn};
use voltaxe_protocol::{
    AgentFrame, CommandId, Envelope, IsolationObservation, OfferedCommand, PollResponse, ServerFrame,
    Telemetry,
};

pub use direct::{DirectVerdict, Ticket};
pub use effect::{
    ActionOutcome, Channel, Effect, Now, Post, PostKey, RequestFailure, StreamLoss, WakeReason,
};
pub use lifeline::LIFTED_AFTER;
pub use link::Polling;
pub use order::Trust;
pub(crate) use order::{Opened, Refusal, acceptable, open as open_order};

use crate::journal::{BatchId, Record, Usage};
use jitter::Jitter;
use ledger::{Entry, Ledger, Phase};
use lifeline::Lifeline;
use link::{Link, Stream};
use outbox::Outbox;
use queue::Lane;

/// What the configuration says.
#[derive(Clone, Debug)]
pub struct Settings {
    pub stream_enabled: bool,
    /// `None` when polling is off.
    pub polling: Option<Polling>,
    pub telemetry_interval: Duration,
}

/// What survived the last run.
#[derive(Debug, Default)]
pub struct Recovered {
    pub records: Vec<Record>,
    /// The newest isolate or restore in force, from the isolation's own state file.
    pub last_applied: Option<CommandId>,
}

/// Ids of finished commands are looked through for forgetting this often.
const FORGET_INTERVAL: Duration = Duration::from_secs(3600);
/// A server may not ask for telemetry more often than the first nor less often than the second, in seconds.
const TELEMETRY_LIMITS_SECONDS: (u32, u32) = (1, 300);
/// A smaller journal is not worth rewriting.
const COMPACT_BYTES: u64 = 1024 * 1024;

#[derive(Debug)]
pub struct Core {
    trust: Trust,
    ledger: Ledger,
    outbox: Outbox,
    link: Link,
    lifeline: Lifeline,
    jitter: Jitter,
    busy: BTreeMap<Lane, CommandId>,
    /// Appends that are not answered yet.
    commits: BTreeMap<BatchId, Batch>,
    next_batch: BatchId,
    usage: Usage,
    compaction: Compaction,
    /// Orders older than this isolate or restore are superseded.
    last_applied: Option<CommandId>,
    /// For the pre-image of a start.
    last_observation: Option<IsolationObservation>,
    telemetry: TelemetryTimer,
    next_forget: Duration,
    /// Envelopes on the direct channel that were not for us, since the last warning.
    turned_away: u32,
    next_turned_away_warning: Duration,
    effects: VecDeque<Effect>,
}

/// What goes on when an append is on disk.
#[derive(Debug, Default)]
struct Batch {
    waiting: Vec<Waiting>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Waiting {
    Order(CommandId),
    Start(CommandId),
    End(CommandId),
    Direct { ticket: Ticket, id: CommandId, attempt: i32 },
}

impl Batch {
    fn is_about(&self, id: CommandId) -> bool {
        self.waiting.iter().any(|waiting| waiting.is_about(id))
    }
}

#[derive(Debug)]
struct Compaction {
    threshold_bytes: u64,
    /// The next commit shows what the last rewriting brought.
    is_measured_next: bool,
}

#[derive(Debug)]
struct TelemetryTimer {
    interval: Duration,
    next: Duration,
    collecting: bool,
    /// Something changed while one was being collected.
    again: bool,
    posting: bool,
}

impl Core {
    /// `seed` spreads the timers of a fleet.
    #[must_use]
    pub fn new(now: Now, seed: u64, trust: Trust, settings: &Settings, recovered: Recovered) -> Self {
        let ledger = Ledger::recover(recovered.records);
        let mut outbox = Outbox::default();
        ledger.unreported_items().for_each(|item| outbox.owe(item));
        ledger.unfinished().for_each(|(id, _)| outbox.owe(outbox::Item::Receipt(id)));
        let mut core = Self {
            trust,
            outbox,
            lifeline: Lifeline::default(),
            link: Link::new(now, settings.stream_enabled, settings.polling),
            jitter: Jitter::new(seed),
            busy: BTreeMap::new(),
            commits: BTreeMap::new(),
            next_batch: 0,
            usage: Usage::default(),
            compaction: Compaction { threshold_bytes: COMPACT_BYTES, is_measured_next: false },
            last_applied: recovered.last_applied.max(ledger.last_applied()),
            ledger,
            last_observation: None,
            telemetry: TelemetryTimer {
                interval: settings.telemetry_interval,
                next: now.uptime + if settings.stream_enabled { link::FIRST_POLL } else { Duration::ZERO },
                collecting: false,
                again: false,
                posting: false,
            },
            next_forget: now.uptime,
            turned_away: 0,
            next_turned_away_warning: Duration::ZERO,
            effects: VecDeque::new(),
        };
        core.fail_poisonous(now);
        core.start_what_can(now);
        core
    }

    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When `handle_timeout` is wanted, in uptime, and for what.
    #[must_use]
    pub fn poll_timeout(&self, now: Now) -> Option<(Duration, WakeReason)> {
        let not_before = self.ledger.next_not_before().map(|at| {
            let wait = (at - now.wall).max(TimeDelta::zero()).to_std().unwrap_or_default();
            // A wall clock may be set: never sleep long on its word.
            now.uptime + wait.min(Duration::from_secs(60))
        });
        [
            self.link.stream_due().map(|at| (at, WakeReason::StreamReconnect)),
            self.link.poll_due().map(|at| (at, WakeReason::Poll)),
            (!self.telemetry.collecting).then_some((self.telemetry.next, WakeReason::Telemetry)),
            self.next_report().map(|at| (at, WakeReason::ReportAgain)),
            not_before.map(|at| (at, WakeReason::NotBefore)),
            self.lifeline_due().map(|at| (at, WakeReason::Lifeline)),
            Some((self.next_forget, WakeReason::Forget)),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(at, _)| *at)
    }

    pub fn handle_timeout(&mut self, now: Now) {
        if self.link.stream_due().is_some_and(|at| at <= now.uptime) {
            self.link.stream = Stream::Connecting;
            self.effects.push_back(Effect::ConnectStream);
        }
        if self.link.poll_due().is_some_and(|at| at <= now.uptime) {
            info!("[COMMAND POLL] Polling for commands...");
            self.link.poll_started(now);
            self.effects.push_back(Effect::Poll);
        }
        if !self.telemetry.collecting && self.telemetry.next <= now.uptime {
            self.collect_telemetry(now);
        }
        if self.next_forget <= now.uptime {
            self.ledger.forget_old(now.wall);
            self.next_forget = now.uptime + FORGET_INTERVAL;
        }
        self.keep_lifeline(now);
        self.start_what_can(now);
        self.report(now);
    }

    /// The handshake is done. Everything the server may have missed is told again.
    pub fn handle_stream_live(&mut self, now: Now, telemetry_interval_seconds: u32) {
        info!("[COMMAND STREAM] Connected: commands arrive by the stream, polling rests");
        self.link.stream_live();
        let (least, most) = TELEMETRY_LIMITS_SECONDS;
        self.telemetry.interval =
            Duration::from_secs(u64::from(telemetry_interval_seconds.clamp(least, most)));
        self.report_everything(now);
        self.telemetry_soon(now);
    }

    pub fn handle_stream_lost(&mut self, now: Now, loss: &StreamLoss) {
        let wait = self.link.stream_lost(now, loss, &mut self.jitter);
        let seconds = wait.as_secs_f32();
        match loss {
            StreamLoss::Refused { .. } => warn!(
                "[COMMAND STREAM] {loss}. The key is kept; next try in {seconds:.0} s. An administrator can approve or \
                 re-enrol this endpoint in the console."
            ),
            StreamLoss::Unreachable(_) | StreamLoss::Closed(_) => {
                warn!("[COMMAND STREAM] {loss}. Next try in {seconds:.1} s");
            }
        }
        self.outbox.stream_lost();
        self.report(now);
    }

    /// A frame that came after the welcome.
    pub fn handle_frame(&mut self, now: Now, frame: ServerFrame) {
        match frame {
            ServerFrame::Command { attempt, envelope } => {
                info!("[COMMAND STREAM] Received 1 command(s)");
                self.take_orders(now, Channel::Stream, &[(attempt, envelope)]);
            }
            ServerFrame::Cancel { envelope } => self.take_cancellation(now, Channel::Stream, &envelope),
            ServerFrame::Query { command_id } => self.answer_queries(now, &[command_id]),
            ServerFrame::ResultRecorded { command_id } => {
                self.result_is_recorded(now, command_id, Channel::Stream);
                self.report(now);
            }
            // A challenge, welcome or refusal belongs to the handshake; an unknown frame to a newer server.
            ServerFrame::Challenge { .. }
            | ServerFrame::Welcome { .. }
            | ServerFrame::Refused { .. }
            | ServerFrame::Unknown => {}
        }
    }

    pub fn handle_poll_answer(&mut self, now: Now, answer: PollResponse) {
        let PollResponse { commands, cancellations, queries } = answer;
        let is_empty = commands.is_empty() && cancellations.is_empty() && queries.is_empty();
        self.link.poll_ended(now, is_empty, &mut self.jitter);
        self.link.http_answered();
        // First: a command in the same answer that is to be cancelled then never starts.
        for envelope in &cancellations {
            self.take_cancellation(now, Channel::Poll, envelope);
        }
        if !commands.is_empty() {
            info!("[COMMAND POLL] Received {} command(s)", commands.len());
            let orders: Vec<(i32, Envelope)> = commands
                .into_iter()
                .map(|OfferedCommand { attempt, envelope, .. }| (attempt, envelope))
                .collect();
            self.take_orders(now, Channel::Poll, &orders);
        }
        self.answer_queries(now, &queries);
    }

    pub fn handle_poll_failed(&mut self, now: Now, failure: &RequestFailure) {
        self.link.poll_ended(now, true, &mut self.jitter);
        self.note_http_failure(now, "COMMAND POLL", failure);
    }

    /// A collected telemetry; `observed` in it becomes the next start's pre-image.
    pub fn handle_telemetry(&mut self, now: Now, telemetry: Telemetry) {
        self.telemetry.collecting = false;
        self.telemetry.next = now.uptime + self.telemetry.interval;
        self.note_isolation(now, &telemetry.isolation);
        self.last_observation = Some(telemetry.isolation.clone());
        if self.link.is_live() {
            self.effects.push_back(Effect::Send(AgentFrame::Telemetry(Box::new(telemetry))));
        } else if !self.telemetry.posting && self.link.held_until() <= now.uptime {
            self.telemetry.posting = true;
            self.effects.push_back(Effect::Post(Post::Telemetry(Box::new(telemetry))));
        }
        if std::mem::take(&mut self.telemetry.again) {
            self.collect_telemetry(now);
        }
    }

    /// Results that the server does not have yet.
    #[must_use]
    pub fn unreported_results(&self) -> u32 {
        u32::try_from(self.ledger.unreported()).unwrap_or(u32::MAX)
    }

    /// As of the last commit.
    #[must_use]
    pub fn journal_usage(&self) -> Usage {
        self.usage
    }

    /// Whether anything is between its journal record and its end.
    #[must_use]
    pub fn is_executing(&self) -> bool {
        !self.busy.is_empty()
    }

    fn collect_telemetry(&mut self, now: Now) {
        self.telemetry.collecting = true;
        self.telemetry.next = now.uptime + self.telemetry.interval;
        self.effects.push_back(Effect::CollectTelemetry);
    }

    fn telemetry_soon(&mut self, now: Now) {
        if self.telemetry.collecting {
            self.telemetry.again = true;
        } else {
            self.collect_telemetry(now);
        }
    }

    fn note_http_failure(&mut self, now: Now, tag: &str, failure: &RequestFailure) {
        let wait = self.link.http_failed(now, failure, &mut self.jitter);
        let seconds = wait.as_secs_f32();
        match failure {
            RequestFailure::Refused { .. } => warn!(
                "[{tag}] {failure}. The key is kept; next try in {seconds:.0} s. An administrator can approve or re-enrol this \
                 endpoint in the console."
            ),
            RequestFailure::Unavailable(_) | RequestFailure::Failed(_) => {
                warn!("[{tag}] {failure}. Next try in {seconds:.1} s");
            }
            RequestFailure::CommandNotFound | RequestFailure::NotAccepted(_) => warn!("[{tag}] {failure}"),
        }
    }
}

#[cfg(test)]
mod tests;
