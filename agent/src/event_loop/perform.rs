//! Doing what the core says.

use std::{sync::Arc, time::Duration};

use tokio::task::spawn_blocking;
use voltaxe_protocol::{AgentFacts, Command, CommandId, IsolationObservation, ObservedIsolation};

use super::{Agent, Event, EventLoop};
use crate::{
    action::agent_check,
    clock,
    core::{Effect, Now},
    executor::{Purpose, Task},
    telemetry,
    transport::{open_stream, probe},
};

impl EventLoop<'_> {
    pub(super) fn perform_effects(&mut self) {
        while let Some(effect) = self.core.poll_effect() {
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        let events = self.events.clone();
        let executor = &self.agent.executor;
        match effect {
            Effect::Append { batch, records, urgency } => self.journal.append(batch, &records, urgency),
            Effect::Compact { records } => self.journal.replace(&records),
            // Changes nothing, and this process knows most of the answer.
            Effect::Run { id, action: Command::AgentCheck(_), .. } => {
                executor.submit(Task::Observe { purpose: Purpose::Check(id) });
            }
            Effect::Run { id, action, envelope } => {
                executor.run(id, action, envelope, self.agent.address.known());
            }
            Effect::Interrupt { envelope, .. } => executor.submit(Task::Interrupt { envelope }),
            Effect::Challenge => executor.submit(Task::Challenge),
            Effect::Confirm { nonce, answer, addresses } => {
                self.agent.address.learn(&addresses);
                executor.submit(Task::Confirm { nonce, answer });
            }
            Effect::RollBack { id, why } => executor.submit(Task::RollBack { id, why }),
            Effect::Search => executor.submit(Task::OpenDns),
            Effect::CollectTelemetry => executor.submit(Task::Observe { purpose: Purpose::Telemetry }),
            Effect::Probe { nonce } => {
                let (http, identity) = (self.agent.http.clone(), Arc::clone(&self.agent.identity));
                tokio::spawn(async move {
                    let outcome = probe(&http, &identity, &nonce).await;
                    let _ = events.send(Event::Probed(nonce, outcome));
                });
            }
            Effect::Send(frame) => {
                if let Some(stream) = &self.stream {
                    stream.send(frame);
                }
            }
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

    /// The isolation's thread was taken for one look only, so that an isolate hardly waits.
    pub(super) fn check(&mut self, now: Now, id: CommandId, observation: IsolationObservation) {
        #[cfg(debug_assertions)]
        crate::fault::pass("before-effect");
        let (unreported, usage) = (self.core.unreported_results(), self.core.journal_usage());
        let outcome = agent_check::outcome(observation, unreported, usage);
        #[cfg(debug_assertions)]
        crate::fault::pass("after-effect");
        self.core.handle_action_done(now, id, outcome);
    }

    pub(super) fn collect(&mut self, observation: IsolationObservation) {
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

    /// The isolated host may ask its resolvers for a moment.
    pub(super) fn look_up(&self) {
        let (address, events) = (Arc::clone(&self.agent.address), self.events.clone());
        tokio::spawn(async move {
            if let Some(servers) = address.look_up().await {
                let _ = events.send(Event::LookedUp(servers));
            }
        });
    }
}
