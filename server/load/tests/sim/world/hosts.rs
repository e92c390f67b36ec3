//! What hosts hear, and what they then do.

use voltaxe_protocol::AgentFrame;
use voltaxe_sentinel::{
    core::{Core, Effect, Now, PostKey},
    journal::Record,
};

use super::*;
use crate::{
    happening::ToHost,
    server::{Answer, Request},
};

const DISK_TAKES: Duration = Duration::from_millis(4);
const SLOW_DISK_TAKES: Duration = Duration::from_millis(800);
const CONNECTING_TAKES: Duration = Duration::from_millis(500);
const COLLECTING_TAKES: Duration = Duration::from_millis(20);

impl World {
    pub(super) fn host_hears(&mut self, host: usize, boot: u64, what: ToHost) {
        if self.hosts[host].boot != boot || self.hosts[host].core.is_none() {
            return;
        }
        let now = self.host_now(host);
        match what {
            ToHost::Disk => self.disk_turns(host, now),
            ToHost::Wakes => {
                let is_due = self.hosts[host].wake_at.is_some_and(|at| at <= Instant::now());
                if is_due {
                    self.hosts[host].wake_at = None;
                    self.with_core(host, |core| core.handle_timeout(now));
                }
            }
            ToHost::Takes(id) => self.hosts[host].takes(id, &mut self.history),
            ToHost::Done { id, success } => {
                let outcome = self.hosts[host].ends(id, success, self.clock.now(), &mut self.history);
                self.note(format_args!("host {host} ends {id}: {success}"));
                if let Some(outcome) = outcome {
                    self.with_core(host, |core| core.handle_action_done(now, id, outcome));
                }
            }
            ToHost::Connects => self.connects(host),
            ToHost::StreamEnds(number) => self.stream_ends(host, number),
            ToHost::Answered { answer, key } => self.answered(host, now, answer, key),
            ToHost::Collected => {
                let telemetry = self.hosts[host].telemetry(self.clock.now());
                self.with_core(host, |core| core.handle_telemetry(now, telemetry));
            }
        }
    }

    pub(super) fn with_core(&mut self, host: usize, tell: impl FnOnce(&mut Core)) {
        if let Some(core) = &mut self.hosts[host].core {
            tell(core);
            self.perform(host);
        }
    }

    pub(super) fn host_now(&self, host: usize) -> Now {
        self.hosts[host].now(Instant::now(), self.clock.now())
    }

    /// Does what the core wants done, then sets its alarm.
    pub(super) fn perform(&mut self, host: usize) {
        while let Some(effect) = self.hosts[host].core.as_mut().and_then(Core::poll_effect) {
            self.perform_one(host, effect);
        }
        let now = self.host_now(host);
        let this = &mut self.hosts[host];
        let Some((uptime, _)) = this.core.as_ref().and_then(|core| core.poll_timeout(now)) else { return };
        let at = this.instant_of(uptime).max(Instant::now());
        if this.wake_at.is_none_or(|set| at < set) {
            this.wake_at = Some(at);
            let boot = this.boot;
            self.at(at, Happening::Host { host, boot, what: ToHost::Wakes });
        }
    }

    pub(super) fn are_on_disk(&mut self, records: &[Record]) {
        for record in records {
            let id = record.command_id();
            match record {
                Record::Received { .. } | Record::Started { .. } | Record::Reported { .. } => {
                    self.history.on_disk(id);
                }
                Record::Finished { .. } | Record::Known { .. } => self.history.end_on_disk(id),
            }
        }
    }

    fn perform_one(&mut self, host: usize, effect: Effect) {
        let boot = self.hosts[host].boot;
        match effect {
            Effect::Append { batch, records, urgency } => {
                self.hosts[host].note_starts(&records);
                self.hosts[host].disk.append(batch, records, urgency);
                self.wake_disk(host);
            }
            Effect::Compact { records } => {
                self.hosts[host].disk.replace(records);
                self.wake_disk(host);
            }
            Effect::Run { id, action, .. } => {
                self.note(format_args!("host {host} runs {id}, {}", action.kind()));
                match self.queue.look(|tables| tables.command(id)) {
                    Some(record) => self.history.queued(queued(&record)),
                    None => self.history.not_queued(id),
                }
                let now = self.clock.now();
                self.hosts[host].runs(id, action, now, &mut self.history);
                let (first, second) = {
                    let takes = self.hosts[host].plan.action_takes;
                    (self.random_up_to(takes), self.random_up_to(takes))
                };
                let success = self.random.u8(..20) > 0;
                if success {
                    self.after(first, Happening::Host { host, boot, what: ToHost::Takes(id) });
                }
                self.after(
                    first + second,
                    Happening::Host { host, boot, what: ToHost::Done { id, success } },
                );
            }
            // The simulated kernel is never on probation and its actions have no middle: the agent tests its lifeline itself.
            Effect::Interrupt { .. }
            | Effect::Probe { .. }
            | Effect::Challenge
            | Effect::Confirm { .. }
            | Effect::RollBack { .. }
            | Effect::Search => {}
            Effect::ConnectStream => {
                self.after_up_to(CONNECTING_TAKES, Happening::Host { host, boot, what: ToHost::Connects });
            }
            Effect::Send(frame) => {
                self.note(format_args!("host {host} says {}", short(&frame)));
                self.frame_goes(host, &frame);
            }
            Effect::Poll => {
                let wait = self.hosts[host].plan.polling.map_or(Duration::ZERO, |polling| polling.wait);
                self.request_goes(host, Request::Poll { wait }, None);
            }
            Effect::Post(post) => {
                let key = post.key();
                self.note(format_args!("host {host} posts {key:?}"));
                self.request_goes(host, Request::Post(post), Some(key));
            }
            Effect::AnswerDirect { ticket, verdict } => {
                self.note(format_args!("host {host} answers a call: {verdict:?}"));
                let is_lost = self.hosts[host].is_cut_off || self.is_lost();
                if let Some((reply, answer)) = self.hosts[host].answer(ticket, verdict)
                    && !is_lost
                {
                    // Whoever called may have given up.
                    let _ = reply.send(answer);
                }
            }
            Effect::CollectTelemetry => {
                self.after_up_to(COLLECTING_TAKES, Happening::Host { host, boot, what: ToHost::Collected });
            }
        }
    }

    fn wake_disk(&mut self, host: usize) {
        let boot = self.hosts[host].boot;
        if !std::mem::replace(&mut self.hosts[host].disk_turns, true) {
            let takes = if self.random.u8(..30) == 0 { SLOW_DISK_TAKES } else { DISK_TAKES };
            self.after_up_to(takes, Happening::Host { host, boot, what: ToHost::Disk });
        }
    }

    fn disk_turns(&mut self, host: usize, now: Now) {
        self.hosts[host].disk_turns = false;
        let turn = self.hosts[host].disk.turn();
        self.are_on_disk(&turn.synced);
        for (batch, outcome) in turn.answers {
            self.with_core(host, |core| core.handle_committed(now, batch, outcome));
        }
    }

    fn answered(&mut self, host: usize, now: Now, answer: Answer, key: Option<PostKey>) {
        self.with_core(host, |core| match (answer, key) {
            (Answer::Polled(answer), _) => core.handle_poll_answer(now, answer),
            (Answer::Failed(failure), None) => core.handle_poll_failed(now, &failure),
            (Answer::Failed(failure), Some(key)) => core.handle_posted(now, key, Err(failure)),
            (Answer::Done, Some(key)) => core.handle_posted(now, key, Ok(())),
            (Answer::Done, None) => unreachable!("a poll is answered by what it found"),
        });
    }
}

fn short(frame: &AgentFrame) -> String {
    match frame {
        AgentFrame::Telemetry(_) => "telemetry".to_owned(),
        AgentFrame::Result(result) => {
            format!("result of {}: {}, {:?}", result.command_id, result.success, result.refused())
        }
        other => format!("{other:?}"),
    }
}
