use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use voltaxe_protocol::{CommandId, EndpointId};

use super::{Change, Event, EventId};

/// In a storm a watcher is told so often.
pub const PAUSE: Duration = Duration::from_millis(250);
/// More than so many events in one [`PAUSE`] are a storm.
const CALM: usize = 32;

/// What waits to be told to one watcher. While it is calm everything goes out at once; in a storm four times a second, and
/// what is about the same thing and has waited is replaced by what came later.
#[derive(Debug, Default)]
pub struct Coalescer {
    /// In the order in which they are told, so that whoever loses the connection in between resumes without a gap.
    waiting: BTreeMap<EventId, Change>,
    newest: HashMap<About, EventId>,
    /// The present span of [`PAUSE`], and the events that came in it.
    began: Option<Instant>,
    came: usize,
    is_storm: bool,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum About {
    Endpoint(EndpointId),
    Command(CommandId),
    Progress(CommandId),
    Evidence(CommandId),
}

impl Coalescer {
    pub fn push(&mut self, event: Event) {
        self.came += 1;
        if let Some(about) = about(&event.change)
            && let Some(older) = self.newest.insert(about, event.id)
        {
            self.waiting.remove(&older);
        }
        self.waiting.insert(event.id, event.change);
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// From when on [`Coalescer::take`] has something to give; `None`: nothing waits.
    #[must_use]
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        if self.waiting.is_empty() {
            return None;
        }
        match self.began {
            Some(began) if self.is_storm || self.came > CALM => Some(began + PAUSE),
            Some(_) | None => Some(now),
        }
    }

    /// What is to be told now, in order.
    pub fn take(&mut self, now: Instant) -> Vec<Event> {
        if self.poll_timeout(now).is_none_or(|due| due > now) {
            return Vec::new();
        }
        if self.began.is_none_or(|began| now >= began + PAUSE) {
            // What came in a span that is long over says nothing about now.
            self.is_storm = self.came > CALM && self.began.is_some_and(|began| now < began + 2 * PAUSE);
            self.began = Some(now);
            self.came = 0;
        }
        self.newest.clear();
        std::mem::take(&mut self.waiting).into_iter().map(|(id, change)| Event { id, change }).collect()
    }
}

/// `None`: each is told for itself.
fn about(change: &Change) -> Option<About> {
    match change {
        Change::Endpoint(view) => Some(About::Endpoint(view.record.id.clone())),
        Change::Command(record) => Some(About::Command(record.id)),
        Change::Progress(note) => Some(About::Progress(note.command_id)),
        Change::Evidence(progress) => Some(About::Evidence(progress.command_id)),
        Change::Drift(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::progress, *};

    const ID: &str = "ep_00000000000000000000000000000001";

    fn event(id: u64, command: i64) -> Event {
        Event { id: EventId(id), change: progress(ID, command) }
    }

    fn ids(events: &[Event]) -> Vec<u64> {
        events.iter().map(|event| event.id.0).collect()
    }

    /// A thousand events a second, each about another thing of `things`; the moments at which something was told, and what.
    fn storm(
        coalescer: &mut Coalescer,
        begin: Instant,
        length: u64,
        things: i64,
    ) -> Vec<(Duration, Vec<u64>)> {
        let mut told = Vec::new();
        for millisecond in 0..length {
            let now = begin + Duration::from_millis(millisecond);
            coalescer.push(event(millisecond, i64::try_from(millisecond).unwrap() % things));
            let taken = coalescer.take(now);
            if !taken.is_empty() {
                told.push((now - begin, ids(&taken)));
            }
        }
        told
    }

    #[test]
    fn what_comes_after_quiet_goes_out_at_once() {
        let now = Instant::now();
        let mut coalescer = Coalescer::default();
        assert_eq!(coalescer.poll_timeout(now), None);
        for id in 0..10 {
            coalescer.push(event(id, 1));
            assert_eq!(coalescer.poll_timeout(now), Some(now));
            assert_eq!(ids(&coalescer.take(now)), [id]);
        }
        assert!(coalescer.take(now).is_empty());
    }

    #[test]
    fn a_storm_is_told_of_four_times_a_second_and_each_thing_once() {
        let begin = Instant::now();
        let mut coalescer = Coalescer::default();
        let told = storm(&mut coalescer, begin, 5_000, 20);
        let late: Vec<_> = told.iter().filter(|(at, _)| *at >= Duration::from_secs(1)).collect();
        assert!((15..=17).contains(&late.len()), "{} times in 4 s", late.len());
        assert!(late.iter().all(|(_, ids)| ids.len() == 20), "{late:?}");
        assert!(told.iter().flat_map(|(_, ids)| ids).is_sorted(), "in the order in which they happened");
        let rest = coalescer.poll_timeout(begin + Duration::from_secs(5)).unwrap();
        assert!(coalescer.take(rest).iter().any(|event| event.id.0 == 4_999), "the last one is not lost");
        assert!(coalescer.is_empty());
    }

    #[test]
    fn after_a_storm_it_is_quick_again() {
        let begin = Instant::now();
        let mut coalescer = Coalescer::default();
        storm(&mut coalescer, begin, 1_000, 5);
        let later = begin + Duration::from_secs(3);
        coalescer.take(later);
        for id in 10_000..10_010 {
            let now = later + Duration::from_millis(id - 9_000);
            coalescer.push(event(id, 1));
            assert_eq!(ids(&coalescer.take(now)), [id]);
        }
    }
}
