//! Waits until everything is final, then holds what the operators were told, what the hosts did and what the queue says
//! against each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::time::sleep;
use voltaxe_protocol::{CommandId, Epoch};

use super::{
    console::{Console, Line, Told},
    orders::Book,
};
use crate::{
    agent::{Outcome, SimAgent, Stage},
    fleet::Fleet,
    invariants::{History, Life, Queued, Row, Verdict},
    profile::say,
};

/// A fleet of one run is enrolled once, and its agents' processes are never killed.
const EPOCH: Epoch = Epoch(1);
const BOOT: u64 = 1;

pub(super) async fn reach(
    console: &Console,
    book: &Book,
    fleets: &[Fleet],
    within: Duration,
) -> anyhow::Result<Verdict> {
    let mut line = console.line();
    let entries = book.entries();
    if let Some(wrong) = entries.wrong {
        bail!("an operator was answered as it must not be: {wrong}");
    }
    let mut acknowledged: BTreeSet<CommandId> = entries.commands.into_iter().collect();
    for (batch, queued) in entries.batches {
        let commands = line.commands_of_batch(batch).await?;
        if commands.len() != queued {
            bail!("batch {batch} was acknowledged with {queued} commands and has {}", commands.len());
        }
        acknowledged.extend(commands.into_iter().map(|told| told.id));
    }
    let rows = final_rows(&mut line, fleets, within).await?;
    let mut history = History::default();
    for row in rows.values() {
        history.queued(queued(row)?);
    }
    acknowledged.into_iter().for_each(|id| history.acknowledged(id));
    for agent in fleets.iter().flat_map(Fleet::agents) {
        tell_of(agent, &rows, &mut history);
    }
    for told in &entries.told {
        history.seen(told.id, row_of(told));
    }
    Ok(history.close(|id| rows.get(&id).map(row_of)))
}

/// Every command of the queue, when all are final and the hosts have nothing more to say, or the time is over.
async fn final_rows(
    line: &mut Line,
    fleets: &[Fleet],
    within: Duration,
) -> anyhow::Result<BTreeMap<CommandId, Told>> {
    let deadline = Instant::now() + within;
    let mut said = String::new();
    loop {
        let rows = line.all_commands().await?;
        let left = rows.iter().filter(|told| !told.state.is_final()).count();
        let unreported: usize =
            fleets.iter().flat_map(Fleet::agents).map(|agent| agent.unreported().len()).sum();
        let state =
            format!("{} commands, {left} not final, {unreported} results not acknowledged", rows.len());
        if state != said {
            say(&state);
            said = state;
        }
        if (left == 0 && unreported == 0) || Instant::now() > deadline {
            return Ok(rows.into_iter().map(|told| (told.id, told)).collect());
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// What the host did, from its ledger.
fn tell_of(agent: &SimAgent, rows: &BTreeMap<CommandId, Told>, history: &mut History) {
    let life = Life { endpoint: &agent.identity.id, epoch: EPOCH, boot: BOOT };
    agent.with_ledger(|ledger| {
        for (id, entry) in ledger.entries() {
            history.on_disk(id);
            if !rows.contains_key(&id) && entry.effects > 0 {
                history.not_queued(id);
            }
            let at = match entry.stage {
                Stage::Final(Outcome::Isolated(at) | Outcome::Restored(at) | Outcome::Checked(at, _)) => {
                    Some(at)
                }
                Stage::Final(Outcome::Refused(_)) | Stage::Running | Stage::Waiting(_) => None,
            };
            for _ in 0..entry.effects {
                history.effect_begins(life, id, at.unwrap_or(DateTime::UNIX_EPOCH));
            }
            if at.is_some() {
                history.effect_ends(life, id, true);
            }
        }
    });
}

fn queued(told: &Told) -> anyhow::Result<Queued> {
    let text = |field: &str| {
        let value = told.row.get(field).and_then(Value::as_str);
        value.with_context(|| format!("command {} has no {field}", told.id))
    };
    let expires_at: DateTime<Utc> = text("expires_at")?.parse()?;
    let endpoint = text("endpoint_id")?.parse()?;
    let kind = text("command")?.to_owned();
    Ok(Queued { id: told.id, endpoint, epoch: EPOCH, kind, not_before: None, expires_at })
}

fn row_of(told: &Told) -> Row<'_> {
    Row { state: told.state, result: told.row.get("result").filter(|result| !result.is_null()) }
}
