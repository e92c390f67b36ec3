use std::{fmt, str::FromStr};

use voltaxe_protocol::{CommandId, EndpointId};

use super::Change;
use crate::model::BatchId;

/// What a watcher wants to hear of, as it asks for it: `all`, `none`, or some of `endpoints`, `commands`,
/// `endpoint:ID`, `command:ID` and `batch:ID` with commas between them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Show(Vec<Interest>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Interest {
    All,
    /// Every endpoint's state.
    Endpoints,
    /// Every command's state.
    Commands,
    /// One endpoint: its state, its commands and how far they are.
    Endpoint(EndpointId),
    /// One command, how far it is, and what it collects.
    Command(CommandId),
    /// The commands of one batch.
    Batch(BatchId),
}

/// Why a text is no [`Show`]; reads well behind the field's name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShowError(String);

impl fmt::Display for ShowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ShowError {}

impl Show {
    const MOST: usize = 16;

    #[must_use]
    pub fn all() -> Self {
        Self(vec![Interest::All])
    }

    #[must_use]
    pub fn includes(&self, change: &Change) -> bool {
        self.0.iter().any(|interest| interest.includes(change))
    }
}

impl FromStr for Show {
    type Err = ShowError;

    fn from_str(text: &str) -> Result<Self, ShowError> {
        match text {
            "all" => return Ok(Self::all()),
            "none" => return Ok(Self(Vec::new())),
            _ => {}
        }
        let interests =
            text.split(',').take(Self::MOST + 1).map(str::parse).collect::<Result<Vec<_>, _>>()?;
        if interests.len() > Self::MOST {
            return Err(ShowError(format!(
                "names more than {} things; leave it out to hear of all",
                Self::MOST
            )));
        }
        Ok(Self(interests))
    }
}

impl FromStr for Interest {
    type Err = ShowError;

    fn from_str(text: &str) -> Result<Self, ShowError> {
        let unknown = || {
            let shown: String = text.chars().take(80).collect();
            ShowError(format!(
                "does not take {shown:?}; it is all, none, or some of endpoints, commands, endpoint:ID, command:ID and \
                 batch:ID with commas between them"
            ))
        };
        match text.split_once(':') {
            None if text == "endpoints" => Ok(Self::Endpoints),
            None if text == "commands" => Ok(Self::Commands),
            Some(("endpoint", id)) => id.parse().map(Self::Endpoint).map_err(|_| unknown()),
            Some(("command", id)) => id.parse().map(|id| Self::Command(CommandId(id))).map_err(|_| unknown()),
            Some(("batch", id)) => id.parse().map(Self::Batch).map_err(|_| unknown()),
            _ => Err(unknown()),
        }
    }
}

impl Interest {
    fn includes(&self, change: &Change) -> bool {
        match (self, change) {
            (Self::All, _)
            | (Self::Endpoints, Change::Endpoint(_) | Change::Drift(_))
            | (Self::Commands, Change::Command(_)) => true,
            (Self::Endpoint(id), change) => change.endpoint_id() == id,
            (Self::Command(id), change) => change.command_id() == Some(*id),
            (Self::Batch(id), Change::Command(command)) => command.batch_id == Some(*id),
            (Self::Endpoints | Self::Commands | Self::Batch(_), _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::progress, *};

    const ID: &str = "ep_00000000000000000000000000000001";

    fn problem(text: &str) -> String {
        text.parse::<Show>().unwrap_err().to_string()
    }

    #[test]
    fn what_is_asked_for_is_read_strictly() {
        assert_eq!("all".parse(), Ok(Show::all()));
        assert_eq!("none".parse(), Ok(Show(Vec::new())));
        let both = format!("endpoint:{ID},command:7").parse::<Show>().unwrap();
        assert_eq!(
            both,
            Show(vec![Interest::Endpoint(ID.parse().unwrap()), Interest::Command(CommandId(7))])
        );
        for wrong in [
            "",
            "endpoint",
            "endpoint:",
            "endpoint:x",
            "endpoints:1",
            "batch:7",
            "command:x",
            "all,none",
            "commands,",
            "Commands",
        ] {
            assert!(wrong.parse::<Show>().is_err(), "{wrong:?}");
        }
        assert!(problem("hosts").starts_with("does not take \"hosts\"; it is all"));
        assert!(problem(&"commands,".repeat(1_000)).starts_with("names more than 16"));
        assert!(problem(&"x".repeat(10_000)).len() < 300);
    }

    #[test]
    fn a_watcher_hears_of_what_it_asked_for_and_nothing_else() {
        let hears = |show: &str| show.parse::<Show>().unwrap().includes(&progress(ID, 7));
        assert!(hears("all"));
        assert!(hears("commands,command:7"));
        assert!(hears(&format!("endpoint:{ID}")));
        assert!(!hears("none"));
        assert!(!hears("endpoints,commands"));
        assert!(!hears("command:8,endpoint:ep_00000000000000000000000000000002"));
        assert!(!hears("batch:00000000-0000-4000-8000-000000000000"));
    }
}
