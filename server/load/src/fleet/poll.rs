//! An agent that has no stream: it polls, and reports by requests of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use voltaxe_protocol::{
    AgentFrame, CommandId, CommandReceipt, CommandResult, NotKnown, PollResponse, Telemetry,
};

use super::{Counters, Shared, Step, signed_poll, signed_request};
use crate::{
    agent::{Offered, SimAgent},
    clock,
    faults::Line,
    http::{Answer, Connection},
    seed,
};

pub(super) async fn poll(
    agent: &Arc<SimAgent>,
    shared: &Arc<Shared>,
    stop: &CancellationToken,
    every: Duration,
    wait_seconds: u64,
) {
    let mut random = seed::generator(shared.seed, "poll", agent.identity.index);
    let mut line = Line::new(shared.habits.inbound, random.fork());
    let mut answers = Line::new(shared.habits.outbound, random.fork());
    loop {
        // The first pause too, so that a fleet does not poll in step; a long poll asks again at once.
        let pause = if wait_seconds > 0 { Duration::from_millis(20) } else { every };
        tokio::select! {
            () = tokio::time::sleep(pause.mul_f64(0.5 + random.f64())) => {}
            () = agent.wake.notified() => {}
            () = stop.cancelled() => return,
        }
        let mut turn = Turn { agent, shared, line: &mut line, answers: &mut answers };
        let polled = tokio::select! {
            polled = turn.run(wait_seconds) => polled,
            () = stop.cancelled() => return,
        };
        if polled.is_err() {
            Counters::add(&shared.counters.join_failures);
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(1).mul_f64(random.f64())) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

/// One poll and all that follows from it.
struct Turn<'a> {
    agent: &'a SimAgent,
    shared: &'a Shared,
    line: &'a mut Line<(i32, voltaxe_protocol::Envelope)>,
    answers: &'a mut Line<AgentFrame>,
}

impl Turn<'_> {
    async fn run(&mut self, wait_seconds: u64) -> anyhow::Result<()> {
        let mut connection =
            Connection::open(&self.shared.target, self.shared.target.source_of(self.agent.identity.index))
                .await?;
        let wait = if wait_seconds > 0 { format!("&wait={wait_seconds}") } else { String::new() };
        let path = format!("/command/poll?host={}{wait}", self.agent.identity.hostname);
        let agent = self.agent;
        let request = signed_poll(&self.shared.target, &agent.identity, agent.poll_key(), &path);
        let answer = connection.exchange(&request).await?;
        Counters::add(&self.shared.counters.polls);
        let due = match answer.status {
            200 => serde_json::from_slice(&answer.body).context("the answer to a poll is not understood")?,
            204 => PollResponse::default(),
            status => bail!("a poll was answered with {status}: {}", answer.text()),
        };
        self.answer(&mut connection, due).await
    }

    async fn answer(&mut self, connection: &mut Connection, due: PollResponse) -> anyhow::Result<()> {
        let now = Instant::now();
        let mut offers: Vec<_> = std::iter::from_fn(|| self.line.due(now)).collect();
        for offer in due.commands {
            offers.extend(self.line.pass((offer.attempt, offer.envelope), now));
        }
        for (attempt, envelope) in offers {
            if let Some(receipt) = self.take(attempt, &envelope) {
                self.say(connection, receipt).await?;
            }
        }
        for envelope in &due.cancellations {
            self.agent.cancelled(envelope);
        }
        for id in due.queries {
            let answer = self.agent.answer(id);
            self.say(connection, answer).await?;
        }
        for (id, _) in self.agent.waiting() {
            if self.agent.execute(id, clock::now()).is_some() {
                Counters::add(&self.shared.counters.effects);
                self.shared.watch.command(self.agent.identity.index, id, Step::Executed, Instant::now());
            }
        }
        for result in self.agent.unreported() {
            self.say(connection, AgentFrame::Result(result)).await?;
        }
        if self.shared.habits.telemetry {
            let telemetry = self.agent.telemetry(clock::now());
            self.say(connection, AgentFrame::Telemetry(Box::new(telemetry))).await?;
        }
        Ok(())
    }

    fn take(&self, attempt: i32, envelope: &voltaxe_protocol::Envelope) -> Option<AgentFrame> {
        let counters = &self.shared.counters;
        Counters::add(&counters.offers);
        match self.agent.offered(attempt, envelope, clock::now()) {
            Offered::Accepted { receipt, id, is_new } => {
                if !is_new {
                    Counters::add(&counters.repeats);
                }
                self.shared.watch.command(self.agent.identity.index, id, Step::Offered, Instant::now());
                Some(receipt)
            }
            Offered::Known { receipt, .. } => {
                Counters::add(&counters.repeats);
                Some(receipt)
            }
            Offered::Rejected(_) => {
                Counters::add(&counters.rejected);
                None
            }
        }
    }

    /// As a request of its own, over a line that may lose it.
    async fn say(&mut self, connection: &mut Connection, frame: AgentFrame) -> anyhow::Result<()> {
        for frame in self.answers.pass(frame, Instant::now()) {
            match frame {
                AgentFrame::Receipt { command_id, attempt } => {
                    self.post(connection, "/command/receipt", &CommandReceipt { command_id, attempt })
                        .await?;
                    Counters::add(&self.shared.counters.receipts);
                    let at = Instant::now();
                    self.shared.watch.command(self.agent.identity.index, command_id, Step::Receipted, at);
                }
                AgentFrame::Result(result) => self.report(connection, &result).await?,
                AgentFrame::NotKnown { command_id } => {
                    self.post(connection, "/command/not-known", &NotKnown { command_id }).await?;
                }
                AgentFrame::Telemetry(telemetry) => self.tell(connection, &telemetry).await?,
                AgentFrame::Hello { .. }
                | AgentFrame::Started { .. }
                | AgentFrame::Progress { .. }
                | AgentFrame::Rejected { .. }
                | AgentFrame::Unknown => {}
            }
        }
        Ok(())
    }

    async fn report(&self, connection: &mut Connection, result: &CommandResult) -> anyhow::Result<()> {
        self.post(connection, "/command/result", result).await?;
        let id: CommandId = result.command_id;
        if self.agent.recorded(id) {
            Counters::add(&self.shared.counters.recorded);
            self.shared.watch.command(self.agent.identity.index, id, Step::Recorded, Instant::now());
        }
        Ok(())
    }

    async fn tell(&self, connection: &mut Connection, telemetry: &Telemetry) -> anyhow::Result<()> {
        self.post(connection, "/telemetry", telemetry).await?;
        Counters::add(&self.shared.counters.telemetry);
        Ok(())
    }

    async fn post(
        &self,
        connection: &mut Connection,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<Answer> {
        let body = serde_json::to_vec(body)?;
        let request = signed_request(&self.shared.target, &self.agent.identity, "POST", path, &body);
        let answer = connection.exchange(&request).await?;
        match answer.status {
            200..300 => Ok(answer),
            status => bail!("{path} was answered with {status}: {}", answer.text()),
        }
    }
}
