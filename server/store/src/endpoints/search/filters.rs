//! What a search asks for, as SQL over the endpoint `e`.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Postgres, QueryBuilder};

use super::{CONNECTED_FOR, ConnectionIs, EndpointSearch};
use crate::{Store, StoreError};

pub(super) const SEEN_AT: &str = "coalesce(s.last_seen_at, 'epoch')";
/// Both end before the time that they compare with.
pub(super) const AWAY: &str =
    "SELECT s.endpoint_id, s.last_seen_at FROM endpoint_seen s WHERE coalesce(s.last_seen_at, 'epoch') < ";
const IDS_AWAY: &str = "SELECT s.endpoint_id FROM endpoint_seen s WHERE coalesce(s.last_seen_at, 'epoch') < ";

/// How a statement tells who is not connected.
///
/// Most were seen within the last minute, and what the planner knows of `last_seen_at` is older than that: it takes either side
/// for the whole fleet or for nobody. A join that it chooses then has been measured at 140 ms with 50,000 rows, where these take
/// at most 30, and 3 on an ordinary day.
pub(super) enum Away {
    /// From `s`, the endpoint's row of `endpoint_seen`, which the statement needs anyway.
    Joined,
    /// These are all of them.
    Listed(Vec<String>),
    /// In a set that the statement makes once.
    Looked,
}

/// Up to so many are listed. Measured with 3 of 50,000: 0.1 ms instead of 32.
const FEW: i64 = 1000;

impl Store {
    pub(super) async fn away(
        &self,
        search: &EndpointSearch,
        by_seen: bool,
        now: DateTime<Utc>,
    ) -> Result<Away, StoreError> {
        if by_seen || !search.seen.is_empty() {
            return Ok(Away::Joined);
        }
        if !search.connection.contains(&ConnectionIs::Offline) {
            return Ok(Away::Looked);
        }
        let ids = sqlx::query_scalar!(
            "SELECT endpoint_id FROM endpoint_seen WHERE coalesce(last_seen_at, 'epoch') < $1 LIMIT $2",
            now - CONNECTED_FOR,
            FEW + 1
        )
        .fetch_all(&self.durable)
        .await?;
        Ok(if ids.len() as i64 > FEW { Away::Looked } else { Away::Listed(ids) })
    }
}

impl Away {
    pub(super) fn join(&self) -> &'static str {
        match self {
            Self::Joined => " JOIN endpoint_seen s ON s.endpoint_id = e.id",
            Self::Listed(_) | Self::Looked => "",
        }
    }
}

/// Adds what the search asks for, each behind an AND.
pub(super) fn narrow(
    sql: &mut QueryBuilder<Postgres>,
    search: &EndpointSearch,
    away: &Away,
    now: DateTime<Utc>,
) {
    let EndpointSearch { words, labels, os, versions, connection, isolation, seen } = search;
    for word in words {
        let literal = word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        sql.push(" AND e.search LIKE ").push_bind(format!("%{literal}%"));
        // Measured with 50,000 rows, one of which matches: 0.9 ms instead of 19. Shorter words are in most rows anyway.
        if word.chars().count() >= 3 {
            sql.push(" AND trigrams(e.search) @> trigrams(").push_bind(word.clone()).push(")");
        }
    }
    if !labels.is_empty() {
        sql.push(" AND e.labels @> ").push_bind(labels.clone());
    }
    if !os.is_empty() {
        sql.push(" AND e.os = ANY(").push_bind(os.clone()).push(")");
    }
    if !versions.is_empty() {
        sql.push(" AND e.agent_version = ANY(").push_bind(versions.clone()).push(")");
    }
    if !isolation.is_empty() {
        let numbers: Vec<i16> = isolation.iter().map(|one| *one as i16).collect();
        sql.push(" AND e.isolation_group = ANY(").push_bind(numbers).push(")");
    }
    // As ranges and not as the numbers that they are counted by: the planner knows how many rows are in a range.
    any_of(sql, connection, |sql, one| {
        let limit = now - CONNECTED_FOR;
        sql.push("e.status = ");
        match (one, away) {
            (ConnectionIs::AwaitingApproval, _) => sql.push("'awaiting_approval'"),
            (ConnectionIs::Connected, Away::Joined) => {
                sql.push("'active' AND ").push(SEEN_AT).push(" >= ").push_bind(limit)
            }
            (ConnectionIs::Offline, Away::Joined) => {
                sql.push("'active' AND ").push(SEEN_AT).push(" < ").push_bind(limit)
            }
            (ConnectionIs::Connected, Away::Listed(_) | Away::Looked) => {
                sql.push("'active' AND e.id NOT IN (").push(IDS_AWAY).push_bind(limit).push(")")
            }
            (ConnectionIs::Offline, Away::Listed(ids)) => {
                sql.push("'active' AND e.id = ANY(").push_bind(ids.clone()).push(")")
            }
            // `IS TRUE` keeps the planner from making a join of it.
            (ConnectionIs::Offline, Away::Looked) => {
                sql.push("'active' AND (e.id IN (").push(IDS_AWAY).push_bind(limit).push(")) IS TRUE")
            }
        };
    });
    any_of(sql, seen, |sql, one| {
        let number = one as usize;
        match SEEN_ENDS.get(number) {
            Some(end) => sql.push(SEEN_AT).push(" >= ").push_bind(now - *end),
            None => sql.push(SEEN_AT).push(" < ").push_bind(now - SEEN_ENDS[3]),
        };
        if let Some(begin) = number.checked_sub(1).filter(|_| number < SEEN_ENDS.len()) {
            sql.push(" AND ").push(SEEN_AT).push(" < ").push_bind(now - SEEN_ENDS[begin]);
        }
    });
}

pub(super) const SEEN_ENDS: [TimeDelta; 4] =
    [TimeDelta::minutes(15), TimeDelta::hours(1), TimeDelta::days(1), TimeDelta::days(7)];

fn any_of<T: Copy>(
    sql: &mut QueryBuilder<Postgres>,
    wanted: &[T],
    push: impl Fn(&mut QueryBuilder<Postgres>, T),
) {
    for (place, one) in wanted.iter().enumerate() {
        sql.push(if place == 0 { " AND ((" } else { " OR (" });
        push(sql, *one);
        sql.push(if place + 1 == wanted.len() { "))" } else { ")" });
    }
}
