//! Commits that a crash of the database may lose: all that came after the last durable one, the newest first.

use super::*;

#[derive(Default)]
pub(super) struct Undo {
    /// What each relaxed commit changed, as it was before.
    commits: Vec<Vec<Before>>,
}

pub(super) enum Before {
    Row(Box<Row>),
    Desired(EndpointId, Desired),
    Bucket(String, Bucket),
}

impl Tables {
    /// A durable commit: it, and all before it, outlive a crash.
    pub fn flush(&mut self) {
        self.undo.commits.clear();
    }

    /// How many commits a crash may lose.
    pub fn at_risk(&self) -> usize {
        self.undo.commits.len()
    }

    /// The database is gone without a word; `kept` of its relaxed commits had reached the disk.
    pub fn crash(&mut self, kept: usize) {
        while self.undo.commits.len() > kept {
            for before in self.undo.commits.pop().into_iter().flatten().rev() {
                match before {
                    Before::Row(row) => {
                        self.pending.insert(row.record.id, *row);
                    }
                    Before::Desired(endpoint, desired) => {
                        self.desired.insert(endpoint, desired);
                    }
                    Before::Bucket(kind, bucket) => {
                        self.buckets.insert(kind, bucket);
                    }
                }
            }
        }
        self.flush();
    }

    /// Against all promises: the newest command was never there.
    pub fn forget_newest(&mut self) {
        if let Some((newest, _)) = self.pending.pop_last() {
            self.keys.retain(|_, keyed| keyed.id != newest);
        }
    }

    /// Against all promises: every final command has another result.
    pub fn replace_results(&mut self) {
        for record in self.history.values_mut().filter(|record| record.result.is_some()) {
            record.result = Some(serde_json::json!({ "success": false, "message": "another" }));
        }
    }

    pub(super) fn begin_relaxed(&mut self) {
        self.undo.commits.push(Vec::new());
    }

    /// For a change in the relaxed commit that was begun last.
    pub(super) fn row_to_change(&mut self, id: CommandId) -> Option<&mut Row> {
        let row = self.pending.get_mut(&id)?;
        if let Some(commit) = self.undo.commits.last_mut() {
            commit.push(Before::Row(Box::new(row.clone())));
        }
        Some(row)
    }

    pub(super) fn set_desired_relaxed(
        &mut self,
        record: &CommandRecord,
        from: CommandState,
        to: CommandState,
    ) {
        let Some(desired) = self.desired.get_mut(&record.endpoint_id) else { return };
        if desired.command_id == record.id && desired.state == from {
            if let Some(commit) = self.undo.commits.last_mut() {
                commit.push(Before::Desired(record.endpoint_id.clone(), desired.clone()));
            }
            desired.state = to;
        }
    }

    pub(super) fn bucket_to_change(&mut self, kind: &str) -> Option<&mut Bucket> {
        let bucket = self.buckets.get_mut(kind)?;
        if let Some(commit) = self.undo.commits.last_mut() {
            commit.push(Before::Bucket(kind.to_owned(), bucket.clone()));
        }
        Some(bucket)
    }
}
