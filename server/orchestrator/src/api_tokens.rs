//! Credentials of machines: made by administrators, shown once, kept as a hash.
//!
//! A token is `vxt_`, 256 random bits and their CRC-32, in lower-case hexadecimal: scanners for leaked secrets know one when
//! they see one, and a mistyped one is refused without a look into the database.

use std::{
    collections::HashMap,
    net::IpAddr,
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use uuid::Uuid;
use voltaxe_store::{ApiTokenRow, NewApiToken, Store, StoreError};

use crate::{
    StrikeError,
    authority::{Forbidden, Operator, OperatorId, Permit, Role, may},
    enrolment::hash,
    operators::throttle::Throttle,
};

pub const PREFIX: &str = "vxt_";
/// How long a token may hold, in days.
pub const DAYS: RangeInclusive<u32> = 1..=365;
pub const DEFAULT_DAYS: u32 = 90;
const SECRET_BYTES: usize = 32;
/// Of a list: more than anybody keeps in use.
const MOST_LISTED: i64 = 1000;
/// `last_used_at` is moved on at most this often, to spare a write a request.
const TOUCH_EVERY: TimeDelta = TimeDelta::minutes(1);
/// A token is believed for this long without a look into the database; one that another process revoked goes on no longer.
const BELIEVED_FOR: TimeDelta = TimeDelta::seconds(2);
const REMEMBERED: usize = 10_000;

/// Cheap to clone.
#[derive(Clone)]
pub struct ApiTokens(Arc<Inner>);

struct Inner {
    store: Store,
    throttle: Throttle,
    known: Mutex<Known>,
}

/// By the token's hash.
type Known = HashMap<[u8; 32], Remembered>;

#[derive(Clone)]
struct Remembered {
    operator: Operator,
    /// When the database said so.
    at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

/// A token without its secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApiToken {
    pub id: Uuid,
    pub name: String,
    pub role: Role,
    pub created_by: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub revoked_by: Option<String>,
    pub revoked_at: Option<DateTime<Utc>>,
}

impl ApiToken {
    #[must_use]
    pub fn holds(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at > now
    }
}

#[derive(Clone, Debug)]
pub struct ApiTokenRequest {
    pub name: String,
    pub role: Role,
    /// From 1 to 365.
    pub days: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("the API token is unknown, expired or revoked")]
    Wrong,
    #[error("too many wrong API tokens from here; try again in {retry_after_seconds} s")]
    Throttled { retry_after_seconds: u64 },
    #[error("the database did not say whether the API token holds")]
    Store(#[from] StoreError),
}

/// Whether the text has the form and the checksum of a token.
#[must_use]
pub fn is_well_formed(text: &str) -> bool {
    let Some(digits) = text.strip_prefix(PREFIX) else { return false };
    if digits.len() != 2 * (SECRET_BYTES + 4) || digits.bytes().any(|digit| digit.is_ascii_uppercase()) {
        return false;
    }
    let Ok(bytes) = hex::decode(digits) else { return false };
    let (secret, checksum) = bytes.split_at(SECRET_BYTES);
    crc32fast::hash(secret).to_be_bytes() == checksum
}

fn new_token() -> String {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    format!("{PREFIX}{}{}", hex::encode(bytes), hex::encode(crc32fast::hash(&bytes).to_be_bytes()))
}

impl ApiTokens {
    pub(crate) fn new(store: Store) -> Self {
        Self(Arc::new(Inner { store, throttle: Throttle::default(), known: Mutex::default() }))
    }

    /// The token itself, which nobody can be shown again, and what is kept of it.
    pub async fn create(
        &self,
        permit: &Permit<may::ManageApiTokens>,
        request: ApiTokenRequest,
        now: DateTime<Utc>,
    ) -> Result<(SecretString, ApiToken), StrikeError> {
        let creator = permit.operator();
        if request.role > creator.role {
            return Err(Forbidden { needs: request.role, has: creator.role, by_token: false }.into());
        }
        self.make(request, &creator.username, now).await
    }

    /// For the server's own console.
    pub async fn create_at_console(
        &self,
        request: ApiTokenRequest,
        now: DateTime<Utc>,
    ) -> Result<(SecretString, ApiToken), StrikeError> {
        self.make(request, "console", now).await
    }

    async fn make(
        &self,
        request: ApiTokenRequest,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<(SecretString, ApiToken), StrikeError> {
        let ApiTokenRequest { name, role, days } = request;
        check_name(&name)?;
        if !DAYS.contains(&days) {
            return Err(invalid("days", "must be 1 to 365"));
        }
        let secret = new_token();
        let token = ApiToken {
            id: Uuid::now_v7(),
            name,
            role,
            created_by: by.to_owned(),
            created_at: now,
            expires_at: now + TimeDelta::days(days.into()),
            last_used_at: None,
            revoked_by: None,
            revoked_at: None,
        };
        let new = NewApiToken {
            id: token.id,
            name: &token.name,
            role: token.role.as_str(),
            token_sha256: &hash(&secret),
            created_by: by,
            expires_at: token.expires_at,
        };
        match self.0.store.create_api_token(&new, now).await {
            Err(StoreError::Taken { .. }) => {
                Err(invalid("name", format!("{} was given before; choose another", token.name)))
            }
            other => {
                other?;
                Ok((SecretString::from(secret), token))
            }
        }
    }

    /// Those that hold first, then by name.
    pub async fn list(
        &self,
        _permit: &Permit<may::ManageApiTokens>,
        now: DateTime<Utc>,
    ) -> Result<Vec<ApiToken>, StrikeError> {
        let rows = self.0.store.api_tokens(now, MOST_LISTED).await?;
        Ok(rows.into_iter().map(ApiToken::try_from).collect::<Result<_, _>>()?)
    }

    /// Effective at once on this server, within 2 s on others of the same database.
    pub async fn revoke(
        &self,
        permit: &Permit<may::ManageApiTokens>,
        id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<ApiToken, StrikeError> {
        let row = self.0.store.revoke_api_token(id, &permit.operator().username, now).await?;
        self.known().retain(|_, known| known.operator.id.0 != id);
        let row = row.ok_or_else(|| StrikeError::NotFound(format!("there is no API token {id}")))?;
        Ok(row.try_into()?)
    }

    /// Whose requests come with this token. Wrong ones from one address slow that address down, but never a token that has
    /// held before.
    pub async fn operator_of(
        &self,
        token: &str,
        client: IpAddr,
        now: DateTime<Utc>,
    ) -> Result<Operator, TokenError> {
        let token_sha256 = hash(token);
        let known = self.known().get(&token_sha256).cloned();
        if let Some(known) = &known
            && (TimeDelta::zero()..BELIEVED_FOR).contains(&(now - known.at))
            && known.expires_at > now
        {
            return Ok(known.operator.clone());
        }
        if known.is_none() {
            let throttle = &self.0.throttle;
            throttle
                .admit(client, now)
                .map_err(|retry_after_seconds| TokenError::Throttled { retry_after_seconds })?;
        }
        let row =
            if is_well_formed(token) { self.0.store.api_token(&token_sha256, now).await? } else { None };
        let Some(row) = row else {
            self.known().remove(&token_sha256);
            self.0.throttle.failed(client, "", now);
            return Err(TokenError::Wrong);
        };
        if row.last_used_at.is_none_or(|at| now - at > TOUCH_EVERY) {
            self.0.store.touch_api_token(row.id, now).await?;
        }
        let token = ApiToken::try_from(row)?;
        let operator = Operator {
            id: OperatorId(token.id),
            username: format!("{}{}", Operator::TOKEN_PREFIX, token.name),
            role: token.role,
        };
        let mut known = self.known();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        let remembered = Remembered { operator: operator.clone(), at: now, expires_at: token.expires_at };
        known.insert(token_sha256, remembered);
        Ok(operator)
    }

    /// Whether the token still holds; looking is no use of it.
    pub(crate) async fn holds(&self, token: &str, now: DateTime<Utc>) -> Result<bool, StoreError> {
        Ok(self.0.store.api_token(&hash(token), now).await?.is_some())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TryFrom<ApiTokenRow> for ApiToken {
    type Error = StoreError;

    fn try_from(row: ApiTokenRow) -> Result<Self, StoreError> {
        let role = row.role.parse().map_err(|_| StoreError::BadRow {
            table: "api_tokens",
            column: "role",
            id: row.id.to_string(),
        })?;
        Ok(Self {
            id: row.id,
            name: row.name,
            role,
            created_by: row.created_by,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            revoked_by: row.revoked_by,
            revoked_at: row.revoked_at,
        })
    }
}

fn check_name(name: &str) -> Result<(), StrikeError> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let starts_well = name.bytes().next().is_some_and(is_plain);
    let goes_on_well = name.bytes().all(|byte| is_plain(byte) || matches!(byte, b'.' | b'_' | b'-'));
    if starts_well && goes_on_well && (2..=48).contains(&name.len()) {
        Ok(())
    } else {
        Err(invalid(
            "name",
            "must be 2 to 48 lower-case letters, digits or . _ -, starting with a letter or digit",
        ))
    }
}

fn invalid(field: &'static str, problem: impl Into<String>) -> StrikeError {
    StrikeError::Invalid { field, problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_form_and_a_slip_of_the_pen_by_its_checksum() {
        let token = new_token();
        assert_eq!(token.len(), 76);
        assert!(is_well_formed(&token));
        let last = if token.ends_with('0') { "1" } else { "0" };
        let slipped = format!("{}{last}", &token[..75]);
        for bad in ["", "vxt_", "vxt_é", &token[1..], &token[..75], &slipped, &token.to_uppercase()] {
            assert!(!is_well_formed(bad), "{bad}");
        }
    }

    #[test]
    fn names_are_checked() {
        for good in ["ci", "soar-playbook.1", "0_0"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "-a", "CI", "a b", "a:b", "a\0", &"a".repeat(49)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
