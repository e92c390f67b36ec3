//! One live subscription a tab. What comes over it is kept for a while, so that a page which loads its data at the
//! same time can lay the changes over it without a gap.

mod browser;
mod gather;
mod show;

use std::{collections::VecDeque, time::Duration};

use leptos::prelude::*;

use self::gather::Gather;
use crate::{
    clock::Clock,
    model::{Command, Endpoint, Millis, sheet::Progress},
    ui::dom::effect,
};

const KEPT: usize = 1024;

#[derive(Clone, Debug)]
pub enum Change {
    /// As it is now; new endpoints come this way too.
    Endpoint(Box<Endpoint>),
    Command(Box<Command>),
    /// How far something is that takes long.
    Progress(Box<Progress>),
    /// Something may have been missed: load anew.
    Reset,
}

/// The state of the subscription.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Link {
    Connecting,
    Live,
    /// None: it never was.
    Paused {
        data_as_of: Option<Millis>,
    },
    /// The session ended.
    SignedOut,
}

/// A place in the sequence of changes.
#[derive(Clone, Copy, Debug)]
pub struct Mark(u64);

impl Mark {
    /// Before all changes: of data that came with the page itself.
    pub const START: Self = Self(0);
}

#[derive(Clone, Copy)]
pub struct Live {
    link: RwSignal<Link>,
    feed: StoredValue<Feed>,
    gather: StoredValue<Gather<Change>>,
    clock: Clock,
}

#[derive(Default)]
struct Feed {
    next: u64,
    kept: VecDeque<Change>,
    followers: Vec<(u64, Callback<Change>)>,
    next_follower: u64,
}

impl Live {
    /// Opens the subscription in the browser, closed with the current owner.
    pub fn provide() -> Self {
        let live = Self {
            link: RwSignal::new(Link::Connecting),
            feed: StoredValue::new(Feed::default()),
            gather: StoredValue::new(Gather::new()),
            clock: Clock::expect(),
        };
        provide_context(live);
        effect(move || browser::subscribe(live));
        live
    }

    pub fn expect() -> Self {
        expect_context()
    }

    /// The page of this path is shown: from now on the stream brings what that shows, and what of it came in the last
    /// moments. To be called before the page loads its data.
    pub fn look_at(path: &str) {
        browser::look_at(show::of_page(path));
    }

    /// Reactive.
    pub fn link(self) -> Link {
        self.link.get()
    }

    /// Reactive: whether what the page shows may be old.
    pub fn is_paused(self) -> bool {
        matches!(self.link.get(), Link::Paused { .. } | Link::SignedOut)
    }

    /// To be taken before loading data, for [`Live::follow`].
    pub fn mark(self) -> Mark {
        Mark(self.feed.with_value(|feed| feed.next))
    }

    /// Calls `on_change` with everything since the mark and all that comes, until the current owner ends. In the browser
    /// only: from effects.
    pub fn follow(self, since: Mark, on_change: impl Fn(Change) + Send + Sync + 'static) {
        self.call(since, Callback::new(on_change));
    }

    fn call(self, since: Mark, on_change: Callback<Change>) {
        for change in self.since(since) {
            on_change.run(change);
        }
        let id = self.feed.try_update_value(|feed| {
            let id = feed.next_follower;
            feed.next_follower += 1;
            feed.followers.push((id, on_change));
            id
        });
        on_cleanup(move || {
            self.feed.try_update_value(|feed| feed.followers.retain(|(follower, _)| Some(*follower) != id));
        });
    }

    /// What `asked` answers, and what came since it was asked: the answer may be older, and that is to be laid over it at once.
    pub async fn load<T>(self, asked: impl Future<Output = T>) -> (T, Vec<Change>) {
        let mark = self.mark();
        let answer = asked.await;
        (answer, self.since(mark))
    }

    /// What came since the mark, or a reset if that is no longer known.
    fn since(self, mark: Mark) -> Vec<Change> {
        self.feed.with_value(|feed| {
            let wanted = usize::try_from(feed.next - mark.0).unwrap_or(usize::MAX);
            match feed.kept.len().checked_sub(wanted) {
                Some(skipped) => feed.kept.iter().skip(skipped).cloned().collect(),
                None => vec![Change::Reset],
            }
        })
    }

    /// A change has come. In a storm it waits for others.
    fn hear(self, change: Change) {
        if let Change::Reset = change {
            // What is loaded anew has it all.
            self.gather.try_update_value(Gather::clear);
            return self.publish(change);
        }
        let now = self.clock.read();
        let wait = self.gather.try_update_value(|gather| {
            let is_timed = gather.poll_timeout(now).is_some_and(|wait| wait > 0);
            gather.push(change);
            gather.poll_timeout(now).filter(|wait| *wait == 0 || !is_timed)
        });
        match wait.flatten() {
            Some(0) => self.publish_gathered(),
            wait => self.publish_after(wait),
        }
    }

    fn publish_after(self, wait: Option<Millis>) {
        if let Some(wait) = wait {
            let wait = Duration::from_millis(u64::try_from(wait).unwrap_or_default());
            set_timeout(move || self.publish_gathered(), wait);
        }
    }

    /// One after the other, and painted together: effects run afterwards.
    fn publish_gathered(self) {
        let now = self.clock.read();
        let due = self.gather.try_update_value(|gather| (gather.take(now), gather.poll_timeout(now)));
        let Some((changes, wait)) = due else { return };
        for change in changes {
            self.publish(change);
        }
        // A timer may be a little early.
        self.publish_after(wait);
    }

    fn publish(self, change: Change) {
        let followers = self.feed.try_update_value(|feed| {
            feed.next += 1;
            if feed.kept.len() == KEPT {
                feed.kept.pop_front();
            }
            feed.kept.push_back(change.clone());
            feed.followers.clone()
        });
        // Outside of the update: a follower may call back into the feed.
        for (_, follower) in followers.unwrap_or_default() {
            follower.run(change.clone());
        }
    }

    fn set_link(self, link: Link) {
        if self.link.get_untracked() != link {
            self.link.set(link);
        }
    }
}
