//! The server's Ed25519 key: agents pin it at enrolment, so it is made once and kept.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use anyhow::{Context as _, bail};
use voltaxe_protocol::Keypair;

const FILE: &str = "signing.key";

/// Reads `signing.key` in the state directory, or makes it: 32 bytes, mode 0600, on disk before it is used.
pub fn load_or_create(state_dir: &Path) -> anyhow::Result<Keypair> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(state_dir)
        .with_context(|| format!("cannot make the state directory {}", state_dir.display()))?;
    let path = state_dir.join(FILE);
    match fs::read(&path) {
        Ok(bytes) => {
            let mode = fs::metadata(&path)?.permissions().mode();
            if mode & 0o077 != 0 {
                bail!("{} can be read by others (mode {mode:o}): chmod 600 it", path.display());
            }
            let seed: [u8; 32] = bytes.try_into().ok().with_context(|| {
                format!(
                    "{} is not 32 bytes; restore it from a backup, as agents trust no other key",
                    path.display()
                )
            })?;
            Ok(Keypair::from_seed(&seed))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => create(&path),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn create(path: &Path) -> anyhow::Result<Keypair> {
    let key = Keypair::generate();
    let new = path.with_extension("key.new");
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&key.to_seed())?;
        file.sync_all()?;
        fs::hard_link(&new, path)?;
        fs::remove_file(&new)?;
        path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    })();
    written.with_context(|| format!("cannot write {}", path.display()))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let made = load_or_create(directory.path()).unwrap();
        let read = load_or_create(directory.path()).unwrap();
        assert_eq!(made.public(), read.public());
        let path = directory.path().join(FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(load_or_create(directory.path()).unwrap_err().to_string().contains("chmod 600"));
    }
}
