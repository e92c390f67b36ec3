//! The list of endpoints, what it is counted by, and orders to many of them.

mod bulk;
mod counts;
mod cursor;
mod views;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use voltaxe_protocol::EndpointId;
use voltaxe_store::search::{Part, Place};

use self::cursor::Cursor;
pub use self::{
    bulk::{Chosen, Exclusion, FleetOrder, Resolved},
    counts::{Counted, Counts},
    cursor::Malformed,
};
use super::{Strike, request::invalid};
use crate::{
    StrikeError,
    authority::{Permit, may},
    model::{EndpointSearch, EndpointView, SortBy},
};

/// Endpoints of one page.
pub const PAGE: i64 = 100;
const LARGEST_PAGE: i64 = 500;
/// Parts of the last hour that a load's line is drawn from: three minutes each.
pub const LOAD_PARTS: i32 = 20;

/// Which endpoints, in which order, and where the page begins.
#[derive(Clone, Debug)]
pub struct EndpointList {
    pub search: EndpointSearch,
    pub by: SortBy,
    pub descending: bool,
    /// [`EndpointsPage::next`] or `previous` of the same order.
    pub cursor: Option<String>,
    pub limit: Option<i64>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct EndpointsPage {
    /// With their labels.
    pub rows: Vec<(EndpointView, Vec<String>)>,
    /// `None`: there is nothing behind.
    pub next: Option<String>,
    pub previous: Option<String>,
}

impl Strike {
    /// A page of the list. It begins behind a row, not at a number: what is enrolled meanwhile moves nothing on it.
    pub async fn list_endpoints(
        &self,
        _permit: &Permit<may::View>,
        list: &EndpointList,
        now: DateTime<Utc>,
    ) -> Result<EndpointsPage, StrikeError> {
        let EndpointList { search, by, descending, cursor, limit } = list;
        let from = match cursor {
            None => None,
            Some(text) => Some(Cursor::read(text, *by, *descending).map_err(|Malformed| {
                invalid("cursor", "is none that this list has given; leave it out to begin at the start")
            })?),
        };
        let limit = limit.unwrap_or(PAGE);
        if !(1..=LARGEST_PAGE).contains(&limit) {
            return Err(invalid("limit", format!("must be 1 to {LARGEST_PAGE}")));
        }
        let backwards = from.as_ref().is_some_and(|from| from.backwards);
        let started = from.is_some();
        let part = Part {
            by: *by,
            descending: *descending,
            from: from.map(|from| from.place),
            backwards,
            limit: limit + 1,
        };
        let mut found = self.store().search_endpoints(search, &part, now).await?;
        let has_more = found.len() as i64 > limit;
        if has_more {
            // The one too many is on the side that the page goes to.
            if backwards { drop(found.remove(0)) } else { drop(found.pop()) }
        }
        let cursor = |place: Option<&(EndpointId, Place)>, backwards| {
            place.map(|(_, place)| Cursor { place: place.clone(), backwards }.text(*by, *descending))
        };
        let (has_previous, has_next) = if backwards { (has_more, true) } else { (started, has_more) };
        let previous = cursor(found.first(), true).filter(|_| has_previous);
        let next = cursor(found.last(), false).filter(|_| has_next);
        let ids: Vec<EndpointId> = found.into_iter().map(|(id, _)| id).collect();
        Ok(EndpointsPage { rows: self.rows(&ids, now).await?, next, previous })
    }

    /// In the order of the ids.
    async fn rows(
        &self,
        ids: &[EndpointId],
        now: DateTime<Utc>,
    ) -> Result<Vec<(EndpointView, Vec<String>)>, StrikeError> {
        let (records, labels) =
            tokio::try_join!(self.store().endpoints_of(ids), self.store().labels_of(ids))?;
        let mut labels: HashMap<String, Vec<String>> = labels.into_iter().collect();
        let mut records: HashMap<EndpointId, _> =
            records.into_iter().map(|record| (record.id.clone(), record)).collect();
        let row = |id: &EndpointId| {
            let labels = labels.remove(id.as_str()).unwrap_or_default();
            Some((self.view(records.remove(id)?, now), labels))
        };
        Ok(ids.iter().filter_map(row).collect())
    }

    /// For each endpoint its load over the last hour, the oldest part first: hundredths, `None` where it was silent.
    pub async fn loads(
        &self,
        _permit: &Permit<may::View>,
        ids: &[EndpointId],
        now: DateTime<Utc>,
    ) -> Result<Vec<(String, Vec<Option<i32>>)>, StrikeError> {
        if ids.len() as i64 > LARGEST_PAGE {
            return Err(invalid("ids", format!("are more than {LARGEST_PAGE}")));
        }
        let mut lines: Vec<(String, Vec<Option<i32>>)> = Vec::new();
        for (id, part, load) in self.store().loads_of(ids, LOAD_PARTS, now).await? {
            if lines.last().is_none_or(|(last, _)| *last != id) {
                lines.push((id, vec![None; usize::try_from(LOAD_PARTS).unwrap_or(0)]));
            }
            let slot = lines.last_mut().and_then(|(_, line)| line.get_mut(usize::try_from(part).ok()?));
            if let Some(slot) = slot {
                *slot = Some(load);
            }
        }
        Ok(lines)
    }
}
