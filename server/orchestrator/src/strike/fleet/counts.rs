//! How many endpoints there are of each kind, for the strip and the filters. Counted at most once a second for the same words
//! and labels, however many pages ask.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};

use super::Strike;
use crate::{
    StrikeError,
    authority::{Permit, may},
    model::{AlikeEndpoints, ConnectionIs, EndpointSearch, IsolationIs, SeenIs},
};

/// How old counts may be.
const KEPT_FOR: TimeDelta = TimeDelta::seconds(1);
const MOST_KEPT: usize = 64;
/// Values of one filter that are offered.
const MOST_VALUES: usize = 30;

/// Of a search. For each filter the values are counted with all the other filters applied, so that another one can be chosen.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// The whole fleet, whatever is searched for.
    pub all: i64,
    pub all_offline: i64,
    pub all_isolation: [i64; 5],
    /// What matches.
    pub matching: i64,
    /// The most frequent first.
    pub os: Vec<(String, i64)>,
    pub versions: Vec<(String, i64)>,
    pub labels: Vec<(String, i64)>,
    pub connection: [i64; 3],
    pub isolation: [i64; 5],
    pub seen: [i64; 5],
}

/// What was counted a moment ago.
#[derive(Default)]
pub struct Counted {
    kinds: Kept<Vec<AlikeEndpoints>>,
    labels: Kept<Vec<(String, i64)>>,
}

struct Kept<T>(Mutex<HashMap<EndpointSearch, At<T>>>);

type At<T> = (DateTime<Utc>, Arc<T>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Kept<T> {
    fn get(&self, search: &EndpointSearch, now: DateTime<Utc>) -> Option<Arc<T>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, value) = kept.get(search)?;
        (now - *at < KEPT_FOR).then(|| Arc::clone(value))
    }

    fn put(&self, search: EndpointSearch, value: T, now: DateTime<Utc>) -> Arc<T> {
        let value = Arc::new(value);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, (at, _)| now - *at < KEPT_FOR);
        if kept.len() < MOST_KEPT {
            kept.insert(search, (now, Arc::clone(&value)));
        }
        value
    }
}

impl Strike {
    pub async fn count_fleet(
        &self,
        _permit: &Permit<may::View>,
        search: &EndpointSearch,
        now: DateTime<Utc>,
    ) -> Result<Counts, StrikeError> {
        let narrowed = EndpointSearch {
            words: search.words.clone(),
            labels: search.labels.clone(),
            ..EndpointSearch::default()
        };
        let fleet = self.kinds(EndpointSearch::default(), now).await?;
        let kinds = self.kinds(narrowed, now).await?;
        let labels = self.labels(search.clone(), now).await?;
        Ok(Counts { labels: labels.to_vec(), ..count(&fleet, &kinds, search) })
    }

    async fn kinds(
        &self,
        search: EndpointSearch,
        now: DateTime<Utc>,
    ) -> Result<Arc<Vec<AlikeEndpoints>>, StrikeError> {
        let kept = &self.inner.counted.kinds;
        if let Some(known) = kept.get(&search, now) {
            return Ok(known);
        }
        let counted = self.store().count_endpoints(&search, now).await?;
        Ok(kept.put(search, counted, now))
    }

    async fn labels(
        &self,
        search: EndpointSearch,
        now: DateTime<Utc>,
    ) -> Result<Arc<Vec<(String, i64)>>, StrikeError> {
        let kept = &self.inner.counted.labels;
        if let Some(known) = kept.get(&search, now) {
            return Ok(known);
        }
        let most = i64::try_from(MOST_VALUES).unwrap_or(i64::MAX);
        let counted = self.store().count_labels(&search, most, now).await?;
        Ok(kept.put(search, counted, now))
    }
}

fn count(fleet: &[AlikeEndpoints], kinds: &[AlikeEndpoints], search: &EndpointSearch) -> Counts {
    let mut counts = Counts::default();
    for kind in fleet {
        counts.all += kind.count;
        counts.all_isolation[kind.isolation as usize] += kind.count;
        if kind.connection == ConnectionIs::Offline {
            counts.all_offline += kind.count;
        }
    }
    let (mut os, mut versions) = (BTreeMap::new(), BTreeMap::new());
    for kind in kinds {
        let fits = [
            is_one_of(&search.os, &kind.os),
            is_one_of(&search.versions, &kind.version),
            is_one_of(&search.connection, &kind.connection),
            is_one_of(&search.isolation, &kind.isolation),
            is_one_of(&search.seen, &kind.seen),
        ];
        let misses = fits.iter().filter(|fits| !**fits).count();
        if misses == 0 {
            counts.matching += kind.count;
        }
        let counts_for = |filter: usize| misses == 0 || (misses == 1 && !fits[filter]);
        if counts_for(0) {
            *os.entry(&kind.os).or_insert(0) += kind.count;
        }
        if counts_for(1) {
            *versions.entry(&kind.version).or_insert(0) += kind.count;
        }
        if counts_for(2) {
            counts.connection[kind.connection as usize] += kind.count;
        }
        if counts_for(3) {
            counts.isolation[kind.isolation as usize] += kind.count;
        }
        if counts_for(4) {
            counts.seen[kind.seen as usize] += kind.count;
        }
    }
    Counts { os: most_frequent(os), versions: most_frequent(versions), ..counts }
}

fn is_one_of<T: PartialEq>(wanted: &[T], value: &T) -> bool {
    wanted.is_empty() || wanted.contains(value)
}

fn most_frequent(counts: BTreeMap<&String, i64>) -> Vec<(String, i64)> {
    let mut counts: Vec<_> = counts.into_iter().map(|(value, count)| (value.clone(), count)).collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.truncate(MOST_VALUES);
    counts
}

const _: () = assert!(ConnectionIs::ALL.len() == 3 && IsolationIs::ALL.len() == 5 && SeenIs::ALL.len() == 5);

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(os: &str, connection: ConnectionIs, isolation: IsolationIs, count: i64) -> AlikeEndpoints {
        AlikeEndpoints {
            os: os.to_owned(),
            version: "1".to_owned(),
            connection,
            isolation,
            seen: SeenIs::WithinQuarter,
            count,
        }
    }

    #[test]
    fn a_filter_is_counted_with_the_others_applied_and_without_itself() {
        let fleet = [
            kind("Debian", ConnectionIs::Connected, IsolationIs::Connected, 5),
            kind("Ubuntu", ConnectionIs::Connected, IsolationIs::Isolated, 3),
            kind("Ubuntu", ConnectionIs::Offline, IsolationIs::Isolated, 2),
        ];
        let search = EndpointSearch {
            os: vec!["Ubuntu".to_owned()],
            connection: vec![ConnectionIs::Connected],
            ..EndpointSearch::default()
        };
        let counts = count(&fleet, &fleet, &search);
        assert_eq!((counts.all, counts.all_offline, counts.matching), (10, 2, 3));
        assert_eq!(counts.os, [("Debian".to_owned(), 5), ("Ubuntu".to_owned(), 3)]);
        assert_eq!(counts.connection, [3, 2, 0]);
        assert_eq!(counts.isolation, [0, 0, 0, 3, 0]);
        assert_eq!(counts.all_isolation, [0, 0, 0, 5, 5]);
    }
}
