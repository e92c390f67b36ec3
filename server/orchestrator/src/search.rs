//! Looking for what is rare in a long list, from its newest row down. Where no index has just what is wanted, a range of ids at a
//! time: no statement reads more than it may, and no search lasts longer than somebody waits. What is left can be searched on.

use std::{ops::Range, time::Duration};

use chrono::TimeDelta;
use tokio::time::Instant;
use voltaxe_store::StoreError;

use crate::model::Found;

/// Ids that the first statement looks at; measured, 50,000 rows that do not match take 15 to 40 ms.
pub(crate) const FIRST: i64 = 50_000;
/// Where little is found, later ones look at more.
const LARGEST: i64 = 1_600_000;
const IS_QUICK: Duration = Duration::from_millis(25);
/// No further statement after this.
const LOOK_FOR: Duration = Duration::from_millis(400);
/// Rows are written a moment after the time that they name, and not in order.
pub(crate) const SLACK: TimeDelta = TimeDelta::minutes(1);
/// Hosts that are looked for by their index; a name that fits more of them is found soon without.
pub(crate) const HOSTS: i64 = 25;

/// What a statement reads of a range of ids.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reads {
    /// Also rows that are not wanted.
    More,
    /// By an index, only those that are: one statement does.
    Wanted,
}

/// Looks through `ids` for `limit` rows. `look` answers those of a range, the newest first.
pub(crate) async fn search<T, F>(
    ids: Range<i64>,
    reads: Reads,
    limit: i64,
    id_of: fn(&T) -> i64,
    mut look: impl FnMut(Range<i64>, i64) -> F,
) -> Result<Found<T>, StoreError>
where
    F: Future<Output = Result<Vec<T>, StoreError>>,
{
    let began = Instant::now();
    let first = if reads == Reads::Wanted { ids.end.saturating_sub(ids.start) } else { FIRST };
    let (mut rows, mut high, mut span) = (Vec::new(), ids.end, first);
    while high > ids.start {
        let low = high.saturating_sub(span).max(ids.start);
        let asked_at = Instant::now();
        let wanted = limit - i64::try_from(rows.len()).unwrap_or(limit);
        rows.extend(look(low..high, wanted).await?);
        if i64::try_from(rows.len()).unwrap_or(limit) >= limit {
            let next = rows.last().map(id_of).filter(|last| *last > ids.start);
            return Ok(Found { rows, next });
        }
        high = low;
        if asked_at.elapsed() < IS_QUICK {
            span = span.saturating_mul(4).min(LARGEST);
        }
        if began.elapsed() > LOOK_FOR {
            break;
        }
    }
    Ok(Found { rows, next: Some(high).filter(|high| *high > ids.start) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a list in which every `each`th id is there.
    async fn found(ids: Range<i64>, limit: i64, each: i64) -> Found<i64> {
        let rows = |ids: Range<i64>, limit: i64| {
            let multiples = (ids.start + each - 1) / each..=(ids.end - 1) / each;
            let fitting = multiples.rev().map(|multiple| multiple * each);
            let rows: Vec<i64> = fitting.take(usize::try_from(limit).unwrap()).collect();
            std::future::ready(Ok(rows))
        };
        search(ids, Reads::More, limit, |id| *id, rows).await.unwrap()
    }

    #[tokio::test]
    async fn what_an_index_answers_is_asked_for_once() {
        let mut asked = Vec::new();
        let look = |ids: Range<i64>, _| {
            asked.push((ids.start, ids.end));
            std::future::ready(Ok(vec![3]))
        };
        let found = search(0..3_000_000, Reads::Wanted, 2, |id| *id, look).await.unwrap();
        assert_eq!((found.rows, found.next), (vec![3], None));
        assert_eq!(asked, [(0, 3_000_000)]);
    }

    #[tokio::test]
    async fn pages_follow_each_other_without_gap() {
        let first = found(1..1_000, 3, 100).await;
        assert_eq!((first.rows.as_slice(), first.next), ([900, 800, 700].as_slice(), Some(700)));
        let rest = found(1..700, 10, 100).await;
        assert_eq!((rest.rows.as_slice(), rest.next), ([600, 500, 400, 300, 200, 100].as_slice(), None));
    }

    #[tokio::test]
    async fn what_is_rare_is_found_in_further_ranges() {
        let found = found(0..3_000_000, 2, 1_000_000).await;
        assert_eq!(found.rows, [2_000_000, 1_000_000]);
    }

    #[tokio::test]
    async fn an_empty_range_is_looked_through_at_once() {
        let found = found(5..5, 2, 1).await;
        assert_eq!((found.rows.len(), found.next), (0, None));
    }
}
