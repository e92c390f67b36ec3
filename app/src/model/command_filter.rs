use serde::{Deserialize, Serialize};

use super::{Command, Listed, Millis, State, record::Form};

/// Which commands a list shows; what is empty or `None` is not asked for.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct CommandFilter {
    pub state: Option<State>,
    pub kind: String,
    pub operator: String,
    /// Part of the host's name, in lower case.
    pub host: String,
    pub batch: String,
    /// At this time or later.
    pub from: Option<Millis>,
    /// Before this.
    pub to: Option<Millis>,
}

/// What the page of commands starts with.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct CommandPage {
    /// With what it is set to.
    pub form: Form,
    pub filter: CommandFilter,
    pub commands: Listed<Command>,
}

impl CommandFilter {
    /// Whether a command that comes now belongs to the list.
    #[must_use]
    pub fn matches(&self, command: &Command) -> bool {
        let is = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
        self.state.is_none_or(|state| state == command.state)
            && is(&self.kind, &command.kind)
            && is(&self.operator, &command.created_by)
            && is(&self.batch, command.batch_id.as_deref().unwrap_or_default())
            && command.hostname.to_ascii_lowercase().contains(&self.host)
            && self.from.is_none_or(|from| command.created_at >= from)
            && self.to.is_none_or(|to| command.created_at < to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::command::tests::command;

    #[test]
    fn a_command_belongs_to_a_list_when_all_that_is_asked_for_fits() {
        let pending = command(State::Pending);
        assert!(CommandFilter::default().matches(&pending));
        let all = CommandFilter {
            state: Some(State::Pending),
            kind: "network_isolate".into(),
            operator: "alice".into(),
            host: "eb-0".into(),
            batch: String::new(),
            from: Some(1_000),
            to: Some(1_001),
        };
        assert!(all.matches(&pending));
        for other in [
            CommandFilter { state: Some(State::Failed), ..all.clone() },
            CommandFilter { kind: "agent_check".into(), ..all.clone() },
            CommandFilter { operator: "bob".into(), ..all.clone() },
            CommandFilter { host: "db".into(), ..all.clone() },
            CommandFilter { batch: "b1".into(), ..all.clone() },
            CommandFilter { from: Some(1_001), ..all.clone() },
            CommandFilter { to: Some(1_000), ..all.clone() },
        ] {
            assert!(!other.matches(&pending), "{other:?}");
        }
    }
}
