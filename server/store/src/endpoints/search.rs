//! The list of endpoints: which of them, in which order, from where.
//!
//! The only statements that are put together when they run: what is not asked for must not be in them, or no index serves
//! them. Every value is bound. They run on connections that plan each one anew (measured with 50,000 rows: 0.1 to 20 ms, and 32
//! to count them all).

mod filters;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{Postgres, QueryBuilder, Row as _, postgres::PgRow};
use voltaxe_protocol::EndpointId;

use crate::{Store, StoreError, commands::endpoint_id};
use filters::{AWAY, SEEN_AT, SEEN_ENDS, narrow};

/// An endpoint counts as connected in searches when it was heard of within this: three of its intervals, and the time until
/// that is written. What a row shows is the server's own knowledge.
pub const CONNECTED_FOR: TimeDelta = TimeDelta::seconds(60);

/// What the endpoints have in common; revoked ones are in no list. Empty: everything.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct EndpointSearch {
    /// In lower case; each is in the name, an address, the system or a label.
    pub words: Vec<String>,
    /// All of them.
    pub labels: Vec<String>,
    /// One of each of these.
    pub os: Vec<String>,
    pub versions: Vec<String>,
    pub connection: Vec<ConnectionIs>,
    pub isolation: Vec<IsolationIs>,
    pub seen: Vec<SeenIs>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ConnectionIs {
    Connected,
    Offline,
    AwaitingApproval,
}

/// As numbered in the column `isolation_group`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum IsolationIs {
    Attention,
    Failed,
    Changing,
    Isolated,
    Connected,
}

/// Each begins where the one before ends.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SeenIs {
    WithinQuarter,
    WithinHour,
    WithinDay,
    WithinWeek,
    /// Or never.
    Longer,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SortBy {
    Host,
    Seen,
    Isolation,
    Os,
    Version,
    Load,
}

/// In which order, and the endpoint that the part begins behind.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Part {
    pub by: SortBy,
    pub descending: bool,
    pub from: Option<Place>,
    /// What comes before `from` instead of behind it.
    pub backwards: bool,
    pub limit: i64,
}

/// An endpoint's place in an order.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Place {
    pub key: SortKey,
    pub id: String,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SortKey {
    /// Microseconds of Unix time, a group's number, hundredths of load.
    Number(i64),
    Text(String),
}

/// How many endpoints are alike in these.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AlikeEndpoints {
    pub os: String,
    pub version: String,
    pub connection: ConnectionIs,
    pub isolation: IsolationIs,
    pub seen: SeenIs,
    pub count: i64,
}

impl SortBy {
    /// A time is compared as one, and written as a number of microseconds.
    fn column(self) -> &'static str {
        match self {
            Self::Host => "e.hostname",
            Self::Seen => SEEN_AT,
            Self::Isolation => "e.isolation_group",
            Self::Os => "e.os",
            Self::Version => "e.agent_version",
            Self::Load => "s.load_hundredths",
        }
    }

    /// Of the same table as the column: an index has both.
    fn id(self) -> &'static str {
        if self.is_by_seen() { "s.endpoint_id" } else { "e.id" }
    }

    fn is_by_seen(self) -> bool {
        matches!(self, Self::Seen | Self::Load)
    }

    fn is_text(self) -> bool {
        matches!(self, Self::Host | Self::Os | Self::Version)
    }

    /// Whether a place of this order can have such a key.
    #[must_use]
    pub fn takes(self, key: &SortKey) -> bool {
        matches!(key, SortKey::Text(_)) == self.is_text()
    }

    fn key(self, row: &PgRow) -> Result<SortKey, sqlx::Error> {
        Ok(match self {
            Self::Host | Self::Os | Self::Version => SortKey::Text(row.try_get(1)?),
            Self::Seen => SortKey::Number(row.try_get::<DateTime<Utc>, _>(1)?.timestamp_micros()),
            Self::Isolation => SortKey::Number(row.try_get::<i16, _>(1)?.into()),
            Self::Load => SortKey::Number(row.try_get::<i32, _>(1)?.into()),
        })
    }
}

impl Store {
    /// The endpoints of a part, in its order also where it goes backwards.
    #[tracing::instrument(name = "db.endpoint.search", skip_all, err(level = "debug"))]
    pub async fn search_endpoints(
        &self,
        search: &EndpointSearch,
        part: &Part,
        now: DateTime<Utc>,
    ) -> Result<Vec<(EndpointId, Place)>, StoreError> {
        let (column, id) = (part.by.column(), part.by.id());
        let downwards = part.descending != part.backwards;
        let away = self.away(search, part.by.is_by_seen(), now).await?;
        let mut sql = QueryBuilder::new("SELECT e.id, ");
        sql.push(column).push(" FROM endpoints e").push(away.join());
        sql.push(" WHERE e.status <> 'revoked'");
        narrow(&mut sql, search, &away, now);
        if let Some(from) = &part.from {
            let side = if downwards { ") < (" } else { ") > (" };
            sql.push(" AND (").push(column).push(", ").push(id).push(side);
            match &from.key {
                SortKey::Text(text) => sql.push_bind(text),
                SortKey::Number(micros) if part.by == SortBy::Seen => {
                    sql.push_bind(DateTime::from_timestamp_micros(*micros).unwrap_or_default())
                }
                SortKey::Number(number) => sql.push_bind(number),
            };
            sql.push(", ").push_bind(&from.id).push(")");
        }
        let order = if downwards { " DESC" } else { "" };
        sql.push(" ORDER BY ").push(column).push(order).push(", ").push(id).push(order);
        sql.push(" LIMIT ").push_bind(part.limit);
        let rows = sql.build().persistent(false).fetch_all(&self.searching).await?;
        let mut found = rows
            .iter()
            .map(|row| {
                let id: String = row.try_get(0)?;
                let place = Place { key: part.by.key(row)?, id: id.clone() };
                Ok((endpoint_id("endpoints", id)?, place))
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        if part.backwards {
            found.reverse();
        }
        Ok(found)
    }

    /// The active ones among those that match, by id, with their names.
    #[tracing::instrument(name = "db.endpoint.matching", skip_all, err(level = "debug"))]
    pub async fn matching_endpoints(
        &self,
        search: &EndpointSearch,
        limit: i64,
        now: DateTime<Utc>,
    ) -> Result<Vec<(EndpointId, String)>, StoreError> {
        let away = self.away(search, false, now).await?;
        let mut sql = QueryBuilder::new("SELECT e.id, e.hostname FROM endpoints e");
        sql.push(away.join()).push(" WHERE e.status = 'active'");
        narrow(&mut sql, search, &away, now);
        sql.push(" ORDER BY e.hostname, e.id LIMIT ").push_bind(limit);
        let rows = sql.build().persistent(false).fetch_all(&self.searching).await?;
        rows.iter().map(|row| Ok((endpoint_id("endpoints", row.try_get(0)?)?, row.try_get(1)?))).collect()
    }

    /// Everything that matches, counted by what filters know of.
    #[tracing::instrument(name = "db.endpoint.count", skip_all, err(level = "debug"))]
    pub async fn count_endpoints(
        &self,
        search: &EndpointSearch,
        now: DateTime<Utc>,
    ) -> Result<Vec<AlikeEndpoints>, StoreError> {
        /// Systems and versions are what hosts call them.
        const MOST_KINDS: i64 = 20_000;

        let away = self.away(search, false, now).await?;
        let mut sql = QueryBuilder::new(
            "SELECT e.os, e.agent_version,
               (CASE WHEN e.status = 'awaiting_approval' THEN 2 WHEN a.endpoint_id IS NULL THEN 0 ELSE 1 END)::smallint,
               e.isolation_group, ",
        );
        push_seen(&mut sql, now);
        sql.push(", count(*) FROM endpoints e").push(away.join());
        // Only with those that are away: measured with 50,000 rows, 32 ms instead of 47.
        sql.push(" LEFT JOIN (").push(AWAY).push_bind(now - CONNECTED_FOR);
        sql.push(") AS a ON a.endpoint_id = e.id WHERE e.status <> 'revoked'");
        narrow(&mut sql, search, &away, now);
        sql.push(" GROUP BY 1, 2, 3, 4, 5 LIMIT ").push_bind(MOST_KINDS);
        let rows = sql.build().persistent(false).fetch_all(&self.searching).await?;
        let bad = |column| StoreError::BadRow { table: "endpoints", column, id: "a group".to_owned() };
        rows.iter()
            .map(|row| {
                Ok(AlikeEndpoints {
                    os: row.try_get(0)?,
                    version: row.try_get(1)?,
                    connection: of_number(ConnectionIs::ALL, row.try_get(2)?).ok_or_else(|| bad("status"))?,
                    isolation: of_number(IsolationIs::ALL, row.try_get(3)?)
                        .ok_or_else(|| bad("isolation_group"))?,
                    seen: of_number(SeenIs::ALL, row.try_get(4)?).ok_or_else(|| bad("seen"))?,
                    count: row.try_get(5)?,
                })
            })
            .collect()
    }

    /// The labels of what matches, the most used first.
    #[tracing::instrument(name = "db.endpoint.count_labels", skip_all, err(level = "debug"))]
    pub async fn count_labels(
        &self,
        search: &EndpointSearch,
        limit: i64,
        now: DateTime<Utc>,
    ) -> Result<Vec<(String, i64)>, StoreError> {
        let away = self.away(search, false, now).await?;
        let mut sql = QueryBuilder::new("SELECT l, count(*) FROM endpoints e");
        sql.push(away.join()).push(", unnest(e.labels) AS l WHERE e.status <> 'revoked'");
        narrow(&mut sql, search, &away, now);
        sql.push(" GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ").push_bind(limit);
        let rows = sql.build().persistent(false).fetch_all(&self.searching).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    #[tracing::instrument(name = "db.endpoint.labels", skip_all, err(level = "debug"))]
    pub async fn labels_of(&self, ids: &[EndpointId]) -> Result<Vec<(String, Vec<String>)>, StoreError> {
        let ids: Vec<String> = ids.iter().map(|id| id.as_str().to_owned()).collect();
        let rows =
            sqlx::query!("SELECT id, labels FROM endpoints WHERE id = ANY($1) AND labels <> '{}'", &ids)
                .fetch_all(&self.durable)
                .await?;
        Ok(rows.into_iter().map(|row| (row.id, row.labels)).collect())
    }
}

/// Of `a`, which has only those that are away; the others were seen within the first of the ends.
fn push_seen(sql: &mut QueryBuilder<Postgres>, now: DateTime<Utc>) {
    sql.push("(CASE WHEN a.endpoint_id IS NULL THEN 0");
    for (number, end) in SEEN_ENDS.into_iter().enumerate() {
        sql.push(" WHEN a.last_seen_at >= ").push_bind(now - end).push(format!(" THEN {number}"));
    }
    sql.push(" ELSE 4 END)::smallint");
}

const _: () = assert!(CONNECTED_FOR.num_seconds() <= SEEN_ENDS[0].num_seconds());

fn of_number<T: Copy>(all: &[T], number: i16) -> Option<T> {
    all.get(usize::try_from(number).ok()?).copied()
}

impl ConnectionIs {
    pub const ALL: &[Self] = &[Self::Connected, Self::Offline, Self::AwaitingApproval];
}

impl IsolationIs {
    pub const ALL: &[Self] =
        &[Self::Attention, Self::Failed, Self::Changing, Self::Isolated, Self::Connected];
}

impl SeenIs {
    pub const ALL: &[Self] =
        &[Self::WithinQuarter, Self::WithinHour, Self::WithinDay, Self::WithinWeek, Self::Longer];
}
