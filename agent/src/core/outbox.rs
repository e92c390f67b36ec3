//! What the server is still to be told, and how much of it at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use voltaxe_protocol::CommandId;

/// Requests at the same time, when there is no stream.
pub(super) const MAX_POSTS: usize = 4;
/// Results on the stream that the server has not acknowledged, before more are sent.
pub(super) const MAX_UNACKNOWLEDGED: usize = 32;
/// A result sent over the stream is sent again when it was not acknowledged for this long; later ones wait longer.
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_secs(10);
/// After an answer that blames the one request: the first pause, doubled each time, and the longest.
const ASIDE_BASE: Duration = Duration::from_secs(2);
const ASIDE_CAP: Duration = Duration::from_secs(600);

/// One thing to tell. The order of the variants and their fields is the order of telling.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Item {
    /// The command is on this disk. First, as the server offers it again until it knows.
    Receipt(CommandId),
    NotKnown(CommandId),
    /// `number` counts finished commands: results go out in the order in which they came about.
    Result {
        number: u64,
        id: CommandId,
    },
    /// The result of a command that the server has, and asked for again. Told once.
    Again(CommandId),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Pending {
    /// On the stream; counted in the window the first time.
    Unacknowledged { until: Duration, counted: bool },
    /// A request with it is under way.
    Posting,
    /// The server did not want this one now; the others go on.
    Aside { until: Duration },
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    ready: BTreeSet<Item>,
    pending: BTreeMap<Item, Pending>,
    /// When a pending one is ready again.
    due: BTreeSet<(Duration, Item)>,
    /// How often an item was told in vain.
    tries: BTreeMap<Item, u32>,
    unacknowledged: usize,
    posts: usize,
}

impl Outbox {
    /// To be told, unless that is under way.
    pub(super) fn owe(&mut self, item: Item) {
        if !self.pending.contains_key(&item) {
            self.ready.insert(item);
        }
    }

    /// To be told now, although it was told before; a request that is under way is waited for.
    pub(super) fn owe_again(&mut self, item: Item) {
        if self.pending.get(&item) != Some(&Pending::Posting) {
            self.end_pending(item);
            self.ready.insert(item);
        }
    }

    /// Nothing is owed any more.
    pub(super) fn settle(&mut self, item: Item) {
        self.ready.remove(&item);
        self.end_pending(item);
        self.tries.remove(&item);
    }

    /// The next to be told, if one may be told now.
    pub(super) fn next(&self, is_live: bool) -> Option<Item> {
        let item = *self.ready.first()?;
        let has_room = match item {
            Item::Result { .. } if is_live => {
                self.unacknowledged < MAX_UNACKNOWLEDGED || self.tries.contains_key(&item)
            }
            Item::Receipt(_) | Item::NotKnown(_) | Item::Result { .. } | Item::Again(_) => {
                is_live || self.posts < MAX_POSTS
            }
        };
        has_room.then_some(item)
    }

    /// It went out over the stream. Only results are acknowledged there.
    pub(super) fn sent(&mut self, item: Item, now: Duration) {
        match item {
            Item::Receipt(_) | Item::NotKnown(_) | Item::Again(_) => self.settle(item),
            Item::Result { .. } => {
                let tries = self.tries.get(&item).copied().unwrap_or(0);
                let until = now + backoff(ACKNOWLEDGE_WITHIN, tries);
                let counted = tries == 0;
                self.unacknowledged += usize::from(counted);
                self.ready.remove(&item);
                self.hold(item, Pending::Unacknowledged { until, counted });
            }
        }
    }

    /// A request with it is under way; [`Self::post_ended`] follows.
    pub(super) fn posting(&mut self, item: Item) {
        self.posts += 1;
        self.ready.remove(&item);
        match item {
            Item::Again(_) => self.settle(item),
            Item::Receipt(_) | Item::NotKnown(_) | Item::Result { .. } => self.hold(item, Pending::Posting),
        }
    }

    pub(super) fn post_ended(&mut self) {
        self.posts = self.posts.saturating_sub(1);
    }

    /// Its request came to nothing through no fault of its own: it keeps its place.
    pub(super) fn put_back(&mut self, item: Item) {
        if self.pending.get(&item) == Some(&Pending::Posting) {
            self.end_pending(item);
            self.ready.insert(item);
        }
    }

    /// The server did not take this one: it must not keep the others waiting.
    pub(super) fn set_aside(&mut self, item: Item, now: Duration, at_least: Duration) {
        if self.pending.get(&item) == Some(&Pending::Posting) {
            self.end_pending(item);
            let tries = self.tries.entry(item).or_default();
            let until = now + backoff(ASIDE_BASE, *tries).max(at_least);
            *tries = tries.saturating_add(1);
            self.hold(item, Pending::Aside { until });
        }
    }

    /// What was set aside or not acknowledged until now is to be told again.
    pub(super) fn wake(&mut self, now: Duration) {
        while let Some((until, item)) = self.due.first().copied()
            && until <= now
        {
            if matches!(self.pending.get(&item), Some(Pending::Unacknowledged { .. })) {
                *self.tries.entry(item).or_default() += 1;
            }
            self.end_pending(item);
            self.ready.insert(item);
        }
    }

    /// There is a new stream: whatever is not acknowledged is told over it.
    pub(super) fn stream_live(&mut self) {
        self.ready.extend(self.pending.keys());
        self.pending.clear();
        self.due.clear();
        self.tries.clear();
        self.unacknowledged = 0;
    }

    /// What the stream may have swallowed is told by requests.
    pub(super) fn stream_lost(&mut self) {
        let swallowed: Vec<Item> = self
            .pending
            .iter()
            .filter(|(_, pending)| matches!(pending, Pending::Unacknowledged { .. }))
            .map(|(item, _)| *item)
            .collect();
        for item in swallowed {
            self.end_pending(item);
            self.ready.insert(item);
        }
    }

    /// When something will be ready again.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    fn hold(&mut self, item: Item, pending: Pending) {
        match pending {
            Pending::Unacknowledged { until, .. } | Pending::Aside { until } => {
                self.due.insert((until, item));
            }
            Pending::Posting => {}
        }
        self.pending.insert(item, pending);
    }

    fn end_pending(&mut self, item: Item) {
        match self.pending.remove(&item) {
            Some(Pending::Unacknowledged { until, counted }) => {
                self.unacknowledged -= usize::from(counted);
                self.due.remove(&(until, item));
            }
            Some(Pending::Aside { until }) => {
                self.due.remove(&(until, item));
            }
            Some(Pending::Posting) | None => {}
        }
    }
}

fn backoff(base: Duration, tries: u32) -> Duration {
    base.saturating_mul(1 << tries.min(16)).min(ASIDE_CAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(number: u64) -> Item {
        Item::Result { number, id: CommandId(1000 - i64::try_from(number).unwrap()) }
    }

    fn drain(outbox: &mut Outbox, is_live: bool, now: Duration) -> Vec<Item> {
        let mut told = Vec::new();
        while let Some(item) = outbox.next(is_live) {
            if is_live {
                outbox.sent(item, now)
            } else {
                outbox.posting(item)
            }
            told.push(item);
        }
        told
    }

    fn owing(results: u64) -> Outbox {
        let mut outbox = Outbox::default();
        (0..results).rev().for_each(|number| outbox.owe(result(number)));
        outbox
    }

    #[test]
    fn results_go_out_in_the_order_of_finishing_a_window_at_a_time() {
        let mut outbox = owing(100);
        let told = drain(&mut outbox, true, Duration::ZERO);
        assert_eq!(told, (0..32).map(result).collect::<Vec<_>>());
        outbox.owe(Item::Receipt(CommandId(7)));
        assert_eq!(drain(&mut outbox, true, Duration::ZERO), [Item::Receipt(CommandId(7))]);
        outbox.settle(result(5));
        outbox.settle(result(0));
        assert_eq!(drain(&mut outbox, true, Duration::ZERO), [result(32), result(33)]);
    }

    #[test]
    fn results_that_are_never_acknowledged_do_not_keep_the_others_waiting() {
        let mut outbox = owing(100);
        drain(&mut outbox, true, Duration::ZERO);
        outbox.wake(ACKNOWLEDGE_WITHIN);
        let told = drain(&mut outbox, true, ACKNOWLEDGE_WITHIN);
        assert_eq!(told, (0..64).map(result).collect::<Vec<_>>(), "the old once more, then the next window");
        assert_eq!(outbox.next_due(), Some(2 * ACKNOWLEDGE_WITHIN), "the second window's first time");
    }

    #[test]
    fn without_a_stream_a_few_requests_run_at_a_time() {
        let mut outbox = owing(9);
        assert_eq!(drain(&mut outbox, false, Duration::ZERO), (0..4).map(result).collect::<Vec<_>>());
        outbox.post_ended();
        outbox.put_back(result(2));
        assert_eq!(drain(&mut outbox, false, Duration::ZERO), [result(2)], "an outage costs it no place");
        outbox.post_ended();
        outbox.set_aside(result(0), Duration::ZERO, Duration::from_secs(600));
        assert_eq!(drain(&mut outbox, false, Duration::ZERO), [result(4)], "a refused one steps aside");
        assert_eq!(outbox.next_due(), Some(Duration::from_secs(600)));
    }

    #[test]
    fn what_the_stream_swallowed_is_ready_again_in_its_old_order() {
        let mut outbox = owing(40);
        drain(&mut outbox, true, Duration::ZERO);
        outbox.settle(result(3));
        outbox.stream_lost();
        assert_eq!(drain(&mut outbox, false, Duration::ZERO), [result(0), result(1), result(2), result(4)]);
        outbox.stream_live();
        assert_eq!(drain(&mut outbox, true, Duration::ZERO).len(), MAX_UNACKNOWLEDGED);
    }
}
