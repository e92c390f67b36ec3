//! Lists that operators come back to.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Strike;
use crate::{
    StrikeError,
    authority::{Permit, may},
    model::SavedView,
    strike::request::invalid,
};

const MOST_VIEWS: i64 = 50;
const NAME_CHARS: std::ops::RangeInclusive<usize> = 1..=60;
const LONGEST_QUERY: usize = 2_000;

impl Strike {
    /// The operator's own and what others share, by name.
    pub async fn saved_views(&self, permit: &Permit<may::View>) -> Result<Vec<SavedView>, StrikeError> {
        Ok(self.store().saved_views(&permit.operator().username).await?)
    }

    /// Keeps the query of a list under a name; the operator's own one of that name is replaced.
    pub async fn save_view(
        &self,
        permit: &Permit<may::View>,
        name: &str,
        query: &str,
        is_shared: bool,
        now: DateTime<Utc>,
    ) -> Result<(), StrikeError> {
        let name = name.trim();
        if !NAME_CHARS.contains(&name.chars().count()) || name.chars().any(char::is_control) {
            return Err(invalid("name", "must be 1 to 60 characters in one line"));
        }
        if query.len() > LONGEST_QUERY || query.chars().any(char::is_control) {
            return Err(invalid("query", format!("must be at most {LONGEST_QUERY} characters")));
        }
        let view = SavedView {
            id: Uuid::now_v7(),
            operator: permit.operator().username.clone(),
            name: name.to_owned(),
            query: query.to_owned(),
            is_shared,
        };
        if !self.store().save_view(&view, MOST_VIEWS, now).await? {
            let problem = format!("you have {MOST_VIEWS} saved views already: delete one first");
            return Err(StrikeError::Conflict(problem));
        }
        Ok(())
    }

    /// An own one only.
    pub async fn delete_view(&self, permit: &Permit<may::View>, id: Uuid) -> Result<(), StrikeError> {
        if !self.store().delete_view(&permit.operator().username, id).await? {
            return Err(StrikeError::NotFound(format!("you have no saved view {id}")));
        }
        Ok(())
    }
}
