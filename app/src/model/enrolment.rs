use std::fmt;

use serde::{Deserialize, Serialize};

use super::Millis;

/// Holds a secret: `Debug` hides it.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize)]
pub struct EnrolmentToken {
    /// The whole string that the agent reads: `vxe1...`.
    pub string: String,
    /// The address under which the agent will call this server.
    pub server_url: String,
    pub uses: i32,
    pub created_at: Millis,
    pub expires_at: Millis,
}

impl EnrolmentToken {
    /// The string is made of base64url, dots and a URL, none of which ends a quoted shell word.
    #[must_use]
    pub fn enrol_command(&self) -> String {
        format!("printf %s '{}' | sudo voltaxe-sentinel enroll --token-file -", self.string)
    }
}

impl fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnrolmentToken({}, [hidden])", self.server_url)
    }
}
