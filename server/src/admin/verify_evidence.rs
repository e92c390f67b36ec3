//! `voltaxe-server admin verify-evidence`: a bundle and its custody record, checked with nothing but these two files.

use std::{fs::File, io::BufReader, path::Path};

use anyhow::{Context as _, bail};
use voltaxe_orchestrator::evidence::custody::{CustodyCheck, CustodyExport, ServerKey};
use voltaxe_protocol::evidence::verify;

use super::print;

const LARGEST_RECORD_BYTES: u64 = 256 * 1024 * 1024;

/// Prints what holds and what does not; an error says how much does not.
pub(super) fn run(bundle: &Path, custody: &Path, pinned: Option<&ServerKey>) -> anyhow::Result<()> {
    let export = read_record(custody)?;
    let CustodyCheck { mut problems, head, claims, server } = export.check(pinned);
    if let Some(claims) = &claims {
        let file =
            File::open(bundle).with_context(|| format!("cannot open the bundle {}", bundle.display()))?;
        problems.extend(verify(BufReader::new(file), claims).problems);
    }
    if problems.is_empty() {
        if let (Some(head), Some(claims)) = (&head, &claims) {
            print(&format!("bundle   {} bytes, SHA-256 {}", claims.size_bytes, claims.sha256))?;
            print(&printable(&format!(
                "host     {} ({}), command {}: the agent's signature holds",
                export.hostname, claims.endpoint_id, claims.command_id
            )))?;
            print(&printable(&format!(
                "custody  {} entries to {}, exported by {}: the chain and the server's signature hold",
                head.entries, head.exported_at, head.exported_by
            )))?;
        }
        if let Some(server) = server {
            let known =
                if pinned.is_some() { "as given" } else { "compare it with the one in your enrol strings" };
            print(&format!("server   key {server}: {known}"))?;
        }
        return print("everything holds");
    }
    for problem in &problems {
        print(&printable(problem))?;
    }
    let count = problems.len();
    bail!("{count} {} wrong with this evidence", if count == 1 { "thing is" } else { "things are" })
}

fn read_record(path: &Path) -> anyhow::Result<CustodyExport> {
    let size = std::fs::metadata(path).with_context(|| format!("cannot open {}", path.display()))?.len();
    if size > LARGEST_RECORD_BYTES {
        bail!("{} is larger than any custody record", path.display());
    }
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| {
        format!("{} is no custody record: save the answer of GET /api/evidence/ID/custody", path.display())
    })
}

/// Both files may come from anywhere: nothing in them moves the cursor or colours the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
