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
    /// SHA-256 of the server's installer, in hex; `None` when it has no packages to install.
    pub installer_digest: Option<String>,
    pub uses: i32,
    pub created_at: Millis,
    pub expires_at: Millis,
}

impl EnrolmentToken {
    /// One line for a root shell. It installs the agent where this server has packages, and enrols in any case. The
    /// secret goes through standard input; the installer runs only when it has the digest.
    ///
    /// The string is made of base64url, dots and a URL, none of which ends a quoted shell word.
    #[must_use]
    pub fn enrol_command(&self) -> String {
        let Self { string, server_url, installer_digest, .. } = self;
        match installer_digest {
            None => format!("printf %s '{string}' | sudo voltaxe-sentinel enroll --token-file -"),
            Some(digest) => format!(
                "printf %s '{string}' | sudo sh -c 'f=$(mktemp) && trap \"rm -f $f\" EXIT && {{ curl -fsS {server_url}/install.sh || \
                 wget -qO- {server_url}/install.sh; }} >$f && echo \"{digest}  $f\" | sha256sum -c && sh $f --token-file -'"
            ),
        }
    }
}

impl fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnrolmentToken({}, [hidden])", self.server_url)
    }
}
