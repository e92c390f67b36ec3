use std::fmt;

use serde::{Deserialize, Serialize};

use super::Order;

/// Each role may do all that the one before it may.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Viewer,
    Responder,
    Admin,
}

impl Role {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Responder => "responder",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who looks at the page, and what the server would let them do. The server decides again on every call; these only
/// keep the page from offering what would be refused.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Session {
    pub username: String,
    pub role: Role,
    pub isolate: Allowed,
    pub restore: Allowed,
    pub check: Allowed,
    pub cancel: Allowed,
    pub annotate: Allowed,
    pub enrol: Allowed,
    pub approve: Allowed,
}

impl Session {
    #[must_use]
    pub fn may(&self, order: Order) -> Allowed {
        match order {
            Order::Isolate => self.isolate,
            Order::Restore => self.restore,
            Order::Check => self.check,
        }
    }

    /// Why the page does not offer what is not allowed.
    #[must_use]
    pub fn refusal(&self, allowed: Allowed) -> Option<String> {
        (!allowed.yes)
            .then(|| format!("This needs the role {}; you are signed in as {}.", allowed.needs, self.role))
    }
}

/// One action: the role it needs, and whether this operator has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Allowed {
    pub yes: bool,
    pub needs: Role,
}

/// What every page knows when it starts.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Visitor {
    pub session: Option<Session>,
    /// No administrator exists yet: the one-time link is the only way in.
    pub setup_open: bool,
}

/// A password or token on its way to the server. `Debug` hides it.
#[derive(Clone, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([hidden])")
    }
}
