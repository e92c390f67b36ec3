use std::fmt;

use serde::{Deserialize, Serialize};

use super::Millis;

/// How the agent comes to the host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Package {
    /// As deb, rpm or tar, whatever fits the host.
    Chosen,
    Deb,
    Rpm,
    Tar,
    /// It is installed already.
    There,
}

impl Package {
    #[must_use]
    pub fn of(word: &str) -> Self {
        match word {
            "deb" => Self::Deb,
            "rpm" => Self::Rpm,
            "tar" => Self::Tar,
            "there" => Self::There,
            _ => Self::Chosen,
        }
    }
}

/// What the enrolment page starts with.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Enrolment {
    /// For those who may create them; newest first.
    pub tokens: Vec<ListedToken>,
    pub awaiting: Vec<Awaiting>,
}

/// A token without what makes it one.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ListedToken {
    pub id: i64,
    pub label: String,
    pub created_by: String,
    pub created_at: Millis,
    pub expires_at: Millis,
    pub uses_left: i32,
    /// It has uses left, and time.
    pub is_open: bool,
}

/// A host that came with another key than the one its machine or name has.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Awaiting {
    pub id: String,
    pub hostname: String,
    pub label: String,
    pub os: String,
    pub enrolled_at: Millis,
    pub fingerprint: String,
    pub holders: Vec<Holder>,
}

/// Who is revoked when the other one is approved.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    pub id: String,
    pub hostname: String,
    pub fingerprint: String,
    pub last_seen_at: Option<Millis>,
}

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
    pub fn enrol_command(&self, package: Package) -> String {
        let Self { string, server_url, installer_digest, .. } = self;
        let installed = package == Package::There;
        let format = match package {
            Package::Chosen | Package::There => "",
            Package::Deb => " --format deb",
            Package::Rpm => " --format rpm",
            Package::Tar => " --format tar",
        };
        match installer_digest.as_ref().filter(|_| !installed) {
            None => format!("printf %s '{string}' | sudo voltaxe-sentinel enroll --token-file -"),
            Some(digest) => format!(
                "printf %s '{string}' | sudo sh -c 'f=$(mktemp) && trap \"rm -f $f\" EXIT && {{ curl -fsS {server_url}/install.sh || \
                 wget -qO- {server_url}/install.sh; }} >$f && echo \"{digest}  $f\" | sha256sum -c && sh $f --token-file -{format}'"
            ),
        }
    }
}

impl fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnrolmentToken({}, [hidden])", self.server_url)
    }
}
