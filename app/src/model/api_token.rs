use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Millis, Role};

/// A machine's credential, without its secret.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ApiToken {
    pub id: String,
    pub name: String,
    pub role: Role,
    pub created_by: String,
    pub created_at: Millis,
    pub expires_at: Millis,
    pub last_used_at: Option<Millis>,
    /// Why it does not hold any more, in words.
    pub ended: Option<String>,
}

/// A token that was made: shown once. `Debug` hides it.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize)]
pub struct MadeToken {
    pub token: String,
    pub made: ApiToken,
}

impl fmt::Debug for MadeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MadeToken({}, [hidden])", self.made.name)
    }
}
