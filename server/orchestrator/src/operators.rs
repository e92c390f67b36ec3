//! Operators: first-run setup, sign-in, sessions.

mod manage;
mod passwords;
pub(crate) mod throttle;

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;
use uuid::Uuid;
use voltaxe_store::{NewOperator, NewSession, Store, StoreError};

pub use self::manage::{OperatorSummary, OwnSession};
use self::{passwords::Passwords, throttle::Throttle};
use crate::{
    api_tokens::{self, ApiTokens},
    authority::{Operator, OperatorId, Role},
    enrolment::{hash, new_secret},
};

/// Without a request for this long a session ends.
pub const SESSION_IDLE: TimeDelta = TimeDelta::hours(8);
/// It ends after this in any case.
pub const SESSION_ABSOLUTE: TimeDelta = TimeDelta::hours(24);
/// How long a printed setup link holds.
pub const SETUP_LINK_LIFETIME: TimeDelta = TimeDelta::hours(24);
/// The idle limit is moved on at most this often, to spare a write a request.
const TOUCH_EVERY: TimeDelta = TimeDelta::minutes(1);
/// A session is believed for this long without a look into the database; one that another process ended goes on no longer.
const BELIEVED_FOR: TimeDelta = TimeDelta::seconds(2);
/// Sessions that are remembered at once.
const REMEMBERED: usize = 10_000;

/// Sign-in and sessions. Cheap to clone.
#[derive(Clone)]
pub struct Operators {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    /// Requests come from where they say, and through no proxy.
    knows_addresses: bool,
    passwords: Passwords,
    throttle: Throttle,
    api_tokens: ApiTokens,
    /// By the token's hash: who it was, and when the database said so.
    sessions: Mutex<KnownSessions>,
    /// Counts the changes after which a session may hold no longer, or with another role.
    changes: watch::Sender<u64>,
}

type KnownSessions = HashMap<[u8; 32], (Operator, DateTime<Utc>)>;

/// 256 random bits that stand for a session, or an API token in its place; only the SHA-256 is stored.
#[derive(Clone)]
pub struct SessionToken(SecretString);

impl SessionToken {
    #[must_use]
    pub fn from_cookie(value: &str) -> Self {
        Self(SecretString::from(value))
    }

    #[must_use]
    pub fn from_bearer(value: &str) -> Self {
        Self(SecretString::from(value))
    }

    /// For the cookie alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    fn hash(&self) -> [u8; 32] {
        hash(self.expose())
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken([hidden])")
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    #[error("the user name or the password is wrong")]
    Wrong,
    #[error("too many attempts from here; try again in {retry_after_seconds} s")]
    Throttled { retry_after_seconds: u64 },
    #[error("too many people are signing in at once; try again in a moment")]
    Busy,
    #[error("the database is not available; try again shortly")]
    Unavailable(#[source] StoreError),
    #[error("an internal error")]
    Internal(#[source] StoreError),
}

#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error(
        "this setup link is unknown, used or older than 24 h; print a new one: voltaxe-server admin setup-link"
    )]
    LinkInvalid,
    #[error(
        "an administrator exists already; sign in, or reset a password: voltaxe-server admin reset-password"
    )]
    AlreadySetUp,
    #[error("{field}: {problem}")]
    Invalid { field: &'static str, problem: String },
    #[error("too many attempts from here; try again in {retry_after_seconds} s")]
    Throttled { retry_after_seconds: u64 },
    #[error("too much to do at once; try again in a moment")]
    Busy,
    #[error("the database is not available; try again shortly")]
    Unavailable(#[source] StoreError),
    #[error("an internal error")]
    Internal(#[source] StoreError),
}

impl Operators {
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self::with(store, true)
    }

    /// `knows_addresses`: where a session is opened from is told and kept; behind a proxy that would be the proxy.
    #[must_use]
    pub fn with(store: Store, knows_addresses: bool) -> Self {
        Self {
            inner: Arc::new(Inner {
                api_tokens: ApiTokens::new(store.clone()),
                store,
                knows_addresses,
                passwords: Passwords::new(),
                throttle: Throttle::default(),
                sessions: Mutex::default(),
                changes: watch::Sender::new(0),
            }),
        }
    }

    /// Tells when sessions should be looked at again: one may have ended.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    fn look_again(&self) {
        self.sessions().clear();
        self.inner.changes.send_modify(|count| *count += 1);
    }

    /// The credentials of machines.
    #[must_use]
    pub fn api_tokens(&self) -> &ApiTokens {
        &self.inner.api_tokens
    }

    /// Whether there is no operator yet, so that a setup link can make the first.
    pub async fn setup_is_open(&self) -> Result<bool, StoreError> {
        Ok(!self.inner.store.any_operator().await?)
    }

    /// The token of a new setup link; every earlier one stops holding. `None` when an operator exists.
    pub async fn new_setup_token(&self, now: DateTime<Utc>) -> Result<Option<SecretString>, StoreError> {
        let token = new_secret();
        let made = self.inner.store.create_setup_link(&hash(&token), now, now + SETUP_LINK_LIFETIME).await?;
        Ok(made.then(|| SecretString::from(token)))
    }

    /// Makes the first operator, an administrator, and signs them in.
    pub async fn complete_setup(
        &self,
        setup_token: SecretString,
        username: &str,
        password: SecretString,
        client: IpAddr,
        now: DateTime<Utc>,
    ) -> Result<(SessionToken, Operator), SetupError> {
        let username = checked_username(username)?;
        passwords::check_new(&password, &username)
            .map_err(|problem| SetupError::Invalid { field: "password", problem })?;
        self.inner
            .throttle
            .admit(client, now)
            .map_err(|retry_after_seconds| SetupError::Throttled { retry_after_seconds })?;
        if self.inner.store.any_operator().await? {
            return Err(SetupError::AlreadySetUp);
        }
        let token_sha256 = hash(setup_token.expose_secret());
        if !self.inner.store.setup_link_holds(&token_sha256, now).await? {
            return Err(SetupError::LinkInvalid);
        }
        let password_hash = self.inner.passwords.hash(password).await.ok_or(SetupError::Busy)?;
        let operator = Operator { id: OperatorId(Uuid::now_v7()), username, role: Role::Admin };
        let new = NewOperator {
            id: operator.id.0,
            username: &operator.username,
            password_hash: &password_hash,
            role: operator.role.as_str(),
        };
        if !self.inner.store.create_first_operator(&token_sha256, &new, now).await? {
            return Err(SetupError::LinkInvalid);
        }
        let session = self.open_session(&operator, client, now).await?;
        Ok((session, operator))
    }

    /// Checks a password. Wrong ones from one address slow that address down, wrong ones for one name slow the answers
    /// for that name; nobody is ever locked out.
    pub async fn sign_in(
        &self,
        username: &str,
        password: SecretString,
        client: IpAddr,
        now: DateTime<Utc>,
    ) -> Result<(SessionToken, Operator), SignInError> {
        let username = username.trim().to_lowercase();
        self.inner
            .throttle
            .admit(client, now)
            .map_err(|retry_after_seconds| SignInError::Throttled { retry_after_seconds })?;
        tokio::time::sleep(self.inner.throttle.delay_of(&username)).await;
        let known = self.inner.store.operator_named(&username).await?;
        let stored = known.as_ref().map(|operator| operator.password_hash.clone());
        // An unknown name costs the same time as a wrong password.
        let is_right = self.inner.passwords.verify(password, stored).await.ok_or(SignInError::Busy)?;
        let Some(known) = known.filter(|_| is_right) else {
            self.inner.throttle.failed(client, &username, now);
            return Err(SignInError::Wrong);
        };
        self.inner.throttle.succeeded(client, &username);
        let Ok(role) = known.role.parse() else {
            return Err(SignInError::Internal(StoreError::BadRow {
                table: "operators",
                column: "role",
                id: known.id.to_string(),
            }));
        };
        let operator = Operator { id: OperatorId(known.id), username: known.username, role };
        let session = self.open_session(&operator, client, now).await?;
        Ok((session, operator))
    }

    /// Who holds this session, if it holds.
    pub async fn operator_of(
        &self,
        session: &SessionToken,
        now: DateTime<Utc>,
    ) -> Result<Option<Operator>, StoreError> {
        let token_sha256 = session.hash();
        let known = self.sessions().get(&token_sha256).cloned();
        if let Some((operator, at)) = known
            && (TimeDelta::zero()..BELIEVED_FOR).contains(&(now - at))
        {
            return Ok(Some(operator));
        }
        let Some(row) = self.inner.store.session(&token_sha256, now, now - SESSION_IDLE).await? else {
            self.sessions().remove(&token_sha256);
            return Ok(None);
        };
        if now - row.last_seen_at > TOUCH_EVERY {
            self.inner.store.touch_session(&token_sha256, now).await?;
        }
        let role = row.role.parse().map_err(|_| StoreError::BadRow {
            table: "operators",
            column: "role",
            id: row.operator_id.to_string(),
        })?;
        let operator = Operator { id: OperatorId(row.operator_id), username: row.username, role };
        let mut sessions = self.sessions();
        if sessions.len() >= REMEMBERED {
            sessions.clear();
        }
        sessions.insert(token_sha256, (operator.clone(), now));
        Ok(Some(operator))
    }

    fn sessions(&self) -> MutexGuard<'_, KnownSessions> {
        self.inner.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the session still holds. Looking does not keep it alive, as [`Operators::operator_of`] does.
    pub async fn session_holds(
        &self,
        session: &SessionToken,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        if api_tokens::is_well_formed(session.expose()) {
            return self.inner.api_tokens.holds(session.expose(), now).await;
        }
        Ok(self.inner.store.session(&session.hash(), now, now - SESSION_IDLE).await?.is_some())
    }

    pub async fn sign_out(&self, session: &SessionToken, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.inner.store.end_session(&session.hash(), now).await?;
        self.look_again();
        Ok(())
    }

    /// For the server's own console.
    pub async fn create_at_console(
        &self,
        username: &str,
        role: Role,
        password: SecretString,
        now: DateTime<Utc>,
    ) -> Result<(), SetupError> {
        self.make(username, role, password, "console", now).await.map(|_| ())
    }

    /// For the server's own console: sets a password and ends that operator's sessions.
    pub async fn reset_password_at_console(
        &self,
        username: &str,
        password: SecretString,
        now: DateTime<Utc>,
    ) -> Result<(), SetupError> {
        let username = checked_username(username)?;
        let password_hash = self.new_hash(password, &username).await?;
        if self.inner.store.reset_password(&username, &password_hash, "console", now).await? {
            self.look_again();
            Ok(())
        } else {
            Err(SetupError::Invalid {
                field: "username",
                problem: format!("there is no operator {username}"),
            })
        }
    }

    async fn open_session(
        &self,
        operator: &Operator,
        client: IpAddr,
        now: DateTime<Utc>,
    ) -> Result<SessionToken, StoreError> {
        let token = SessionToken(SecretString::from(new_secret()));
        let new = NewSession {
            token_sha256: &token.hash(),
            operator: operator.id.0,
            client: (self.inner.knows_addresses && !client.is_unspecified())
                .then(|| client.to_canonical().to_string()),
            expires_at: now + SESSION_ABSOLUTE,
        };
        self.inner.store.create_session(new, now).await?;
        Ok(token)
    }
}

impl From<StoreError> for SignInError {
    fn from(error: StoreError) -> Self {
        if error.is_unavailable() { Self::Unavailable(error) } else { Self::Internal(error) }
    }
}

impl From<StoreError> for SetupError {
    fn from(error: StoreError) -> Self {
        if error.is_unavailable() { Self::Unavailable(error) } else { Self::Internal(error) }
    }
}

fn checked_username(username: &str) -> Result<String, SetupError> {
    let username = username.trim().to_lowercase();
    let mut bytes = username.bytes();
    let starts_well = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let goes_on_well =
        bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'@' | b'-'));
    if starts_well && goes_on_well && (2..=64).contains(&username.len()) {
        Ok(username)
    } else {
        Err(SetupError::Invalid {
            field: "username",
            problem: "must be 2 to 64 letters, digits or . _ @ -, starting with a letter or digit".to_owned(),
        })
    }
}
