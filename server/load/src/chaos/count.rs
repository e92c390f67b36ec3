use super::Arguments;

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    pub(super) agents: usize,
    pub(super) kills: u32,
    pub(super) database_kills: u32,
    pub(super) replays: u64,
    /// The share of messages that agents' lines lose. What is lost is waited for, half a minute each time.
    pub(super) lose: f64,
}

impl Count {
    pub(super) fn of(arguments: &Arguments) -> Self {
        let Arguments { agents, kills, database_kills, replays, short, .. } = *arguments;
        if short {
            Self { agents: agents.min(60), kills: 5, database_kills: 2, replays: 2_000, lose: 0.0 }
        } else {
            Self { agents, kills, database_kills, replays, lose: 0.02 }
        }
    }
}
