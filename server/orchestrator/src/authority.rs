//! Who may do what: one table from action to role, and permits that prove the table was asked.

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Each role may do all that the one before it may.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Viewer,
    Responder,
    Admin,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Responder, Self::Admin];

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

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a role is viewer, responder or admin")]
pub struct UnknownRole;

macro_rules! actions {
    ($($(#[$doc:meta])* $action:ident => $role:ident,)*) => {
        /// Everything an operator can do.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Action {
            $($(#[$doc])* $action,)*
        }

        impl Action {
            pub const ALL: &[Self] = &[$(Self::$action,)*];

            /// The least role that may do it.
            #[must_use]
            pub fn role(self) -> Role {
                match self {
                    $(Self::$action => Role::$role,)*
                }
            }
        }

        /// Markers for [`Permit`], one an action.
        pub mod may {
            $(
                #[derive(Clone, Copy, Debug)]
                pub struct $action;

                impl super::Act for $action {
                    const ACTION: super::Action = super::Action::$action;
                }
            )*
        }
    };
}

actions! {
    /// Endpoints, their telemetry and their commands, live.
    View => Viewer,
    Isolate => Responder,
    Restore => Responder,
    CancelCommand => Responder,
    /// Have an agent look after itself and report: changes nothing on the host.
    CheckAgent => Responder,
    /// What an isolation would do to a host: changes nothing there.
    PreviewIsolation => Responder,
    /// Exceptions and the end of an isolation that is in force.
    ChangeIsolation => Responder,
    ListProcesses => Responder,
    KillProcess => Responder,
    /// And resuming them.
    SuspendProcess => Responder,
    CollectForensics => Responder,
    /// A ticket that ends an isolation at the host's own console.
    ReleaseTicket => Admin,
    /// What was collected from a host: its list, its files, its custody.
    ViewEvidence => Responder,
    DownloadEvidence => Responder,
    /// Its bytes go for good; its record and its custody stay.
    DiscardEvidence => Admin,
    /// Who did what and why: reasons name people and suspicions.
    ViewAudit => Responder,
    ManageRateLimits => Admin,
    /// Labels of an endpoint and the note about it.
    AnnotateEndpoint => Responder,
    CreateEnrolmentToken => Admin,
    ApproveEndpoint => Admin,
    ManageWebhooks => Admin,
    ManageOperators => Admin,
    ManageApiTokens => Admin,
}

pub trait Act {
    const ACTION: Action;
}

impl Action {
    /// Not with an API token, whatever its role: what could make it outlive its end or give itself more.
    #[must_use]
    pub fn is_for_people(self) -> bool {
        matches!(self, Self::ManageOperators | Self::ManageApiTokens)
    }
}

/// A person signed in, or an API token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Operator {
    pub id: OperatorId,
    pub username: String,
    pub role: Role,
}

impl Operator {
    /// Before the name of an API token; no person's name holds a colon.
    pub const TOKEN_PREFIX: &str = "token:";

    #[must_use]
    pub fn is_api_token(&self) -> bool {
        self.username.starts_with(Self::TOKEN_PREFIX)
    }

    pub fn permit<A: Act>(&self) -> Result<Permit<A>, Forbidden> {
        self.must(A::ACTION)?;
        Ok(Permit { operator: self.clone(), action: PhantomData })
    }

    /// For an action that is only known when the request is read.
    pub fn must(&self, action: Action) -> Result<(), Forbidden> {
        let by_token = action.is_for_people() && self.is_api_token();
        if self.role >= action.role() && !by_token {
            Ok(())
        } else {
            Err(Forbidden { needs: action.role(), has: self.role, by_token })
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperatorId(pub Uuid);

/// Proof that this operator may do `A`. Every method that acts for an operator asks for the one it needs, so code that
/// forgot to check does not compile.
#[derive(Clone, Debug)]
pub struct Permit<A> {
    operator: Operator,
    action: PhantomData<A>,
}

impl<A> Permit<A> {
    #[must_use]
    pub fn operator(&self) -> &Operator {
        &self.operator
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Forbidden {
    pub needs: Role,
    pub has: Role,
    /// An API token asked for what only a person may do.
    pub by_token: bool,
}

impl std::error::Error for Forbidden {}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { needs, has, by_token } = self;
        if *by_token {
            write!(f, "no API token may do this, whatever its role; sign in as {needs}")
        } else {
            write!(f, "this needs the role {needs}; you are signed in as {has}")
        }
    }
}
