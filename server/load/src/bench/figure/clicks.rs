//! Orders one after the other, each followed to the agent's socket and to the operator's screen, by one clock.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tokio::{sync::mpsc, task::JoinHandle};
use voltaxe_protocol::CommandId;

use crate::{
    fleet::{Step, Watch},
    operator::{Events, Operator},
    report::Recorder,
};

const LONGEST_CLICK: Duration = Duration::from_secs(30);
/// Between a result and the next order, so that what the server writes behind is not waited for by the next.
const PAUSE: Duration = Duration::from_millis(5);
const WARM_UP: usize = 20;

/// Notes when offers arrive at agents.
pub(super) struct Arrivals(mpsc::UnboundedSender<(CommandId, Instant)>);

impl Watch for Arrivals {
    fn command(&self, _agent: usize, id: CommandId, step: Step, at: Instant) {
        if step == Step::Offered {
            // Nobody listens any more when the clicks are over.
            let _ = self.0.send((id, at));
        }
    }
}

pub(super) struct Clicker {
    operator: Operator,
    arrivals: mpsc::UnboundedReceiver<(CommandId, Instant)>,
    told: mpsc::UnboundedReceiver<(CommandId, Instant)>,
    reader: JoinHandle<()>,
}

/// Since the order was sent.
#[derive(Default)]
pub(super) struct Clicks {
    pub(super) answered: Recorder,
    pub(super) arrived: Recorder,
    pub(super) told: Recorder,
}

impl Clicks {
    pub(super) fn merge(&mut self, other: &Self) {
        self.answered.merge(&other.answered);
        self.arrived.merge(&other.arrived);
        self.told.merge(&other.told);
    }
}

/// For a fleet that is made with the first and an operator who uses the second.
pub(super) fn arrivals() -> (Arc<Arrivals>, mpsc::UnboundedReceiver<(CommandId, Instant)>) {
    let (send, receive) = mpsc::unbounded_channel();
    (Arc::new(Arrivals(send)), receive)
}

impl Clicker {
    pub(super) async fn new(
        operator: &Operator,
        arrivals: mpsc::UnboundedReceiver<(CommandId, Instant)>,
    ) -> anyhow::Result<Self> {
        let events = operator.events().await?;
        let (send, told) = mpsc::unbounded_channel();
        let reader = tokio::spawn(read(events, send));
        Ok(Self { operator: operator.clone(), arrivals, told, reader })
    }

    /// A bare request on such a connection, for the share that HTTP has in a click.
    pub(super) async fn bare_requests(&self, count: usize) -> anyhow::Result<Recorder> {
        let mut caller = self.operator.caller().await?;
        let mut recorder = Recorder::default();
        for _ in 0..count {
            let began = Instant::now();
            caller.get("/healthz").await?;
            recorder.record(began.elapsed());
        }
        Ok(recorder)
    }

    pub(super) async fn click(&mut self, hostnames: &[&str], count: usize) -> anyhow::Result<Clicks> {
        let mut clicks = Clicks::default();
        let mut caller = self.operator.caller().await?;
        for (number, hostname) in hostnames.iter().cycle().take(count + WARM_UP).enumerate() {
            tokio::time::sleep(PAUSE).await;
            let began = Instant::now();
            let accepted = caller.order("agent_check", hostname, "bench").await?;
            let answered = began.elapsed();
            let arrived = at_of(accepted.command_id, &mut self.arrivals, "the agent's socket").await?;
            let told = at_of(accepted.command_id, &mut self.told, "the event stream").await?;
            if number >= WARM_UP {
                clicks.answered.record(answered);
                clicks.arrived.record(arrived - began);
                clicks.told.record(told - began);
            }
        }
        Ok(clicks)
    }
}

impl Drop for Clicker {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn at_of(
    id: CommandId,
    times: &mut mpsc::UnboundedReceiver<(CommandId, Instant)>,
    place: &str,
) -> anyhow::Result<Instant> {
    let find = async {
        loop {
            let (found, at) = times.recv().await.with_context(|| format!("{place} has ended"))?;
            if found == id {
                return anyhow::Ok(at);
            }
        }
    };
    match tokio::time::timeout(LONGEST_CLICK, find).await {
        Ok(found) => found,
        Err(_) => bail!("command {id} did not come to {place} within {} s", LONGEST_CLICK.as_secs()),
    }
}

async fn read(mut events: Events, send: mpsc::UnboundedSender<(CommandId, Instant)>) {
    while let Ok(Some(event)) = events.next().await {
        let at = Instant::now();
        if event.name == "command"
            && event.data["state"] == "executed"
            && let Some(id) = event.data["id"].as_i64()
            && send.send((CommandId(id), at)).is_err()
        {
            return;
        }
    }
}
