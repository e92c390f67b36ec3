use std::{
    fs,
    os::unix::fs::{MetadataExt as _, chown},
    path::{Path, PathBuf},
};

use tokio::process::Command;

use super::EmbeddedError;

/// Whom Postgres runs as. It refuses to run as root, so root drops to the system user `postgres`.
pub(super) struct Owner {
    pub(super) name: String,
    /// `None`: the current user.
    drop_to: Option<(u32, u32)>,
}

impl Owner {
    pub(super) fn find() -> Result<Self, EmbeddedError> {
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let uid = rustix::process::geteuid().as_raw();
        let wanted = |fields: &[&str]| {
            if uid == 0 { fields[0] == "postgres" } else { fields[2] == uid.to_string() }
        };
        let entry = users
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields.len() > 3 && wanted(fields));
        match entry {
            Some(fields) if uid == 0 => {
                let ids = fields[2].parse().ok().zip(fields[3].parse().ok());
                let ids = ids.ok_or(EmbeddedError::NoPostgresUser)?;
                Ok(Self { name: fields[0].to_owned(), drop_to: Some(ids) })
            }
            Some(fields) => Ok(Self { name: fields[0].to_owned(), drop_to: None }),
            None => Err(EmbeddedError::NoPostgresUser),
        }
    }

    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some((uid, gid)) = self.drop_to {
            command.uid(uid).gid(gid);
        }
        command
    }

    pub(super) fn give(&self, path: &Path) -> Result<(), EmbeddedError> {
        let Some((uid, gid)) = self.drop_to else { return Ok(()) };
        chown(path, Some(uid), Some(gid)).map_err(|source| EmbeddedError::Io {
            what: "cannot hand over",
            path: path.to_owned(),
            source,
        })
    }

    /// Every directory above must let the other user pass.
    pub(super) fn check_reach(&self, path: &Path) -> Result<(), EmbeddedError> {
        let Some((uid, gid)) = self.drop_to else { return Ok(()) };
        let closed = path.ancestors().skip(1).find(|directory| {
            fs::metadata(directory).is_ok_and(|meta| {
                let bit = match (meta.uid() == uid, meta.gid() == gid) {
                    (true, _) => 0o100,
                    (false, true) => 0o010,
                    (false, false) => 0o001,
                };
                meta.mode() & bit == 0
            })
        });
        closed.map_or(Ok(()), |directory| Err(EmbeddedError::DirectoryClosed(PathBuf::from(directory))))
    }
}
