//! What the executor remembers of commands, so that a valid signature is no licence to repeat them for ever.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use voltaxe_protocol::{Command, CommandId, CommandOrder};

use crate::{
    core::{ActionOutcome, Refusal},
    state_dir::StateDir,
};

const FILE: &str = "executor-memory.json";
/// A command is begun once, and once more after a crash.
const MAX_BEGINNINGS: u8 = 2;
/// Outcomes that the network process may have missed, in memory.
const MAX_OUTCOMES: usize = 16;

#[derive(Debug)]
pub(super) struct Memory {
    state: StateDir,
    /// Why the file cannot be read: then replays would pass, and nothing is begun.
    unreadable: Option<String>,
    begun: BTreeMap<CommandId, Begun>,
    outcomes: VecDeque<(CommandId, ActionOutcome)>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Begun {
    times: u8,
    /// Afterwards its expiry keeps it from running.
    until: DateTime<Utc>,
}

impl Memory {
    /// The isolation does not need it: a host must not stay cut off for a damaged file.
    pub(super) fn read(state: StateDir) -> Self {
        let (begun, unreadable) = match state.read_json::<Vec<(CommandId, Begun)>>(FILE) {
            Ok(begun) => (begun.unwrap_or_default().into_iter().collect(), None),
            Err(error) => {
                tracing::error!(%error, "{FILE} cannot be read; only the isolation is worked on until it is mended or deleted");
                (BTreeMap::new(), Some(error.to_string()))
            }
        };
        Self { state, unreadable, begun, outcomes: VecDeque::new() }
    }

    pub(super) fn outcome(&self, id: CommandId) -> Option<ActionOutcome> {
        self.outcomes.iter().find(|(other, _)| *other == id).map(|(_, outcome)| outcome.clone())
    }

    pub(super) fn note(&mut self, id: CommandId, outcome: &ActionOutcome) {
        if self.begun.contains_key(&id) && self.outcome(id).is_none() {
            self.outcomes.push_back((id, outcome.clone()));
            if self.outcomes.len() > MAX_OUTCOMES {
                self.outcomes.pop_front();
            }
        }
    }

    /// On disk before it is begun. `acceptable` counts only for the first time.
    pub(super) fn begin(
        &mut self,
        order: &CommandOrder,
        acceptable: Result<(), Refusal>,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        if matches!(order.action, Command::ListProcesses(_)) {
            return acceptable;
        }
        if let Some(why) = &self.unreadable {
            return Err(Refusal {
                word: "no-memory",
                message: format!(
                    "Nothing was done: the executor's memory of commands cannot be read ({why}), so a repeated one would pass. Mend \
                     or delete {FILE} in its state directory, then restart it."
                ),
            });
        }
        let times = self.begun.get(&order.id).map_or(0, |begun| begun.times);
        if times == 0 {
            acceptable?;
        }
        if times >= MAX_BEGINNINGS {
            return Err(Refusal {
                word: "poison",
                message: format!(
                    "The executor began this {MAX_BEGINNINGS} times already and does not try again; look at the host for what was done."
                ),
            });
        }
        self.begun.retain(|_, begun| begun.until > now);
        self.begun.insert(order.id, Begun { times: times + 1, until: order.expires_at.max(now) });
        let all: Vec<_> = self.begun.iter().collect();
        self.state.write_json(FILE, &all).map_err(|error| Refusal {
            word: "disk-full",
            message: format!("Nothing was done: the executor's state directory cannot be written ({error})."),
        })
    }
}
