//! Two commits may be told of in another order than they were made in: what the slower one says of a command that has become
//! final meanwhile is old.

use std::collections::{HashSet, VecDeque};

use voltaxe_protocol::CommandId;

use crate::model::CommandRecord;

/// The seconds that a slow statement takes, at ten thousand commands a second.
const REMEMBERED: usize = 65_536;

/// Commands that became final not long ago.
#[derive(Default)]
pub(super) struct Ended {
    ids: HashSet<CommandId>,
    /// The oldest first.
    order: VecDeque<CommandId>,
}

impl Ended {
    /// `false` when a newer state of it was told before.
    pub(super) fn is_news(&mut self, record: &CommandRecord) -> bool {
        if !record.status.is_final() {
            return !self.ids.contains(&record.id);
        }
        if self.ids.insert(record.id) {
            self.order.push_back(record.id);
            if self.order.len() > REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.ids.remove(&oldest);
            }
        }
        true
    }
}
