use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::bail;
use voltaxe_protocol::CommandId;

use super::{Lab, Outcome, Row, Settings, VERIFY_ONE_OF, Verdict, commits, connected};
use crate::{
    agent::Verify,
    fleet::{Step, Watch},
};

const AGENTS: usize = 15_000;
const PROMISED_SECONDS: f64 = 3.0;
const GIVE_UP_AFTER: Duration = Duration::from_secs(120);

pub(in crate::bench) async fn measure(settings: &Settings) -> anyhow::Result<Outcome> {
    let size = settings.agents(AGENTS);
    let lab = Lab::start(settings).await?;
    let file = lab.enrol(size).await?;
    let receipts = Arc::new(Receipts::default());
    let (fleet, _connected) =
        connected(&lab, &file, Verify::OneOf(VERIFY_ONE_OF), Some(receipts.clone())).await?;
    let mut commits_seen = commits(&lab.postgres).await?;
    let mut caller = lab.operator.caller().await?;

    let began = Instant::now();
    let batch = caller.batch("agent_check", &fleet.hostnames(), "bench").await?;
    let answered = began.elapsed();
    let mut acknowledged = None;
    let executed = loop {
        let states = caller.batch_progress(batch.batch_id).await?.states;
        let after = began.elapsed();
        if acknowledged.is_none() && states.delivered + states.executed == batch.total {
            acknowledged = Some(after);
        }
        if states.executed == batch.total {
            break after;
        }
        if after > GIVE_UP_AFTER {
            bail!("the batch was not done after {} s: {states:?}", GIVE_UP_AFTER.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let last_receipt = receipts.last() - began;
    commits_seen.merge(&commits(&lab.postgres).await?);

    let measured = acknowledged.unwrap_or(executed).as_secs_f64();
    let row = Row {
        figure: "one batch to 15,000 connected agents: all receipts",
        target: format!("<= {PROMISED_SECONDS} s"),
        measured,
        floor: None,
        unit: "s",
        verdict: Verdict::of(measured <= PROMISED_SECONDS),
        note: format!(
            "{size} agents; from before POST /api/batches is sent (answered after {:.2} s) to GET /api/batches/ID with nothing \
             pending. Last of {} receipts sent after {:.2} s; all executed after {:.2} s. The fleet checks one signature of \
             {VERIFY_ONE_OF}.",
            answered.as_secs_f64(),
            receipts.count.load(Ordering::Relaxed),
            last_receipt.as_secs_f64(),
            executed.as_secs_f64()
        ),
    };
    Ok(Outcome { rows: vec![row], commits: commits_seen })
}

#[derive(Default)]
struct Receipts {
    count: AtomicU64,
    last: Mutex<Option<Instant>>,
}

impl Receipts {
    fn last(&self) -> Instant {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or_else(Instant::now)
    }
}

impl Watch for Receipts {
    fn command(&self, _agent: usize, _id: CommandId, step: Step, at: Instant) {
        if step == Step::Receipted {
            self.count.fetch_add(1, Ordering::Relaxed);
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
        }
    }
}
