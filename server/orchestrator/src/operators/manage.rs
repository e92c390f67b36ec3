//! Administering operators, and what each may do with their own account. What changes holds at once on this server and
//! within two seconds on others: sessions are looked at again.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;
use voltaxe_store::{ChangedOperator, NewOperator, StoreError};
pub use voltaxe_store::{OperatorSummary, OwnSession};

use super::{Operators, SESSION_IDLE, SessionToken, SetupError, checked_username, passwords};
use crate::{
    StrikeError,
    authority::{Operator, OperatorId, Permit, Role, may},
};

impl Operators {
    /// All operators, by name.
    pub async fn list(
        &self,
        _permit: &Permit<may::ManageOperators>,
        now: DateTime<Utc>,
    ) -> Result<Vec<OperatorSummary>, StrikeError> {
        Ok(self.inner.store.operators(now, now - SESSION_IDLE).await?)
    }

    pub async fn create(
        &self,
        permit: &Permit<may::ManageOperators>,
        username: &str,
        role: Role,
        password: SecretString,
        now: DateTime<Utc>,
    ) -> Result<OperatorId, SetupError> {
        self.make(username, role, password, &permit.operator().username, now).await
    }

    pub(super) async fn make(
        &self,
        username: &str,
        role: Role,
        password: SecretString,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<OperatorId, SetupError> {
        let username = checked_username(username)?;
        let password_hash = self.new_hash(password, &username).await?;
        let id = OperatorId(Uuid::now_v7());
        let new =
            NewOperator { id: id.0, username: &username, password_hash: &password_hash, role: role.as_str() };
        match self.inner.store.create_operator(&new, by, now).await {
            Err(StoreError::Taken { .. }) => Err(SetupError::Invalid {
                field: "username",
                problem: format!("{username} exists already; choose another, or reset its password"),
            }),
            other => Ok(other.map(|()| id)?),
        }
    }

    /// Nobody changes their own role, which would only ever be a slip; and there is always an administrator.
    pub async fn set_role(
        &self,
        permit: &Permit<may::ManageOperators>,
        id: OperatorId,
        role: Role,
        now: DateTime<Utc>,
    ) -> Result<(), StrikeError> {
        let by = permit.operator();
        refuse_own(by, id, "your own role")?;
        let changed = self.inner.store.set_role(id.0, role.as_str(), &by.username, now).await?;
        self.settle(changed)
    }

    /// Disabling ends all of their sessions; enabling brings none back.
    pub async fn set_disabled(
        &self,
        permit: &Permit<may::ManageOperators>,
        id: OperatorId,
        disabled: bool,
        now: DateTime<Utc>,
    ) -> Result<(), StrikeError> {
        let by = permit.operator();
        refuse_own(by, id, "whether you are disabled yourself")?;
        let changed = self.inner.store.set_disabled(id.0, disabled, &by.username, now).await?;
        self.settle(changed)
    }

    /// Sets somebody else's password and ends their sessions.
    pub async fn reset_password(
        &self,
        permit: &Permit<may::ManageOperators>,
        id: OperatorId,
        password: SecretString,
        now: DateTime<Utc>,
    ) -> Result<(), SetupError> {
        let by = permit.operator();
        if by.id == id {
            return Err(SetupError::Invalid {
                field: "password",
                problem: "of your own is changed in the settings, where the old one is asked for".to_owned(),
            });
        }
        let unknown = || SetupError::Invalid {
            field: "id",
            problem: "names no operator; the list has all of them".to_owned(),
        };
        let username = self.inner.store.username_of(id.0).await?.ok_or_else(unknown)?;
        let password_hash = self.new_hash(password, &username).await?;
        if !self.inner.store.reset_password(&username, &password_hash, &by.username, now).await? {
            return Err(unknown());
        }
        self.look_again();
        Ok(())
    }

    /// An operator's sessions that hold, newest first. `own`: the asker's, which is marked.
    pub async fn sessions_of(
        &self,
        _permit: &Permit<may::ManageOperators>,
        id: OperatorId,
        own: Option<&SessionToken>,
        now: DateTime<Utc>,
    ) -> Result<Vec<OwnSession>, StrikeError> {
        if self.inner.store.username_of(id.0).await?.is_none() {
            return Err(unknown_operator());
        }
        self.sessions_with(id, own, now).await
    }

    /// The asker's own.
    pub async fn own_sessions(
        &self,
        operator: &Operator,
        own: Option<&SessionToken>,
        now: DateTime<Utc>,
    ) -> Result<Vec<OwnSession>, StrikeError> {
        self.sessions_with(operator.id, own, now).await
    }

    async fn sessions_with(
        &self,
        id: OperatorId,
        own: Option<&SessionToken>,
        now: DateTime<Utc>,
    ) -> Result<Vec<OwnSession>, StrikeError> {
        let own = own.map(SessionToken::hash);
        Ok(self.inner.store.sessions_of(id.0, own.as_ref(), now, now - SESSION_IDLE).await?)
    }

    /// Ends one session of an operator or all, but not the asker's own, which signing out ends. Answers how many.
    pub async fn revoke_sessions(
        &self,
        permit: &Permit<may::ManageOperators>,
        id: OperatorId,
        session: Option<Uuid>,
        own: Option<&SessionToken>,
        now: DateTime<Utc>,
    ) -> Result<i64, StrikeError> {
        self.revoke(id, session, own, permit.operator(), now).await
    }

    /// Ends one of the asker's other sessions, or all of them. Answers how many.
    pub async fn revoke_own_sessions(
        &self,
        operator: &Operator,
        session: Option<Uuid>,
        own: Option<&SessionToken>,
        now: DateTime<Utc>,
    ) -> Result<i64, StrikeError> {
        self.revoke(operator.id, session, own, operator, now).await
    }

    async fn revoke(
        &self,
        id: OperatorId,
        session: Option<Uuid>,
        own: Option<&SessionToken>,
        by: &Operator,
        now: DateTime<Utc>,
    ) -> Result<i64, StrikeError> {
        // No token has a hash of zeros.
        let kept = own.map_or([0; 32], SessionToken::hash);
        let ended = self.inner.store.revoke_sessions(id.0, session, &kept, &by.username, now).await?;
        if session.is_some() && ended == 0 {
            return Err(StrikeError::NotFound(
                "there is no such session: it has ended already, or is the one that you ask with".to_owned(),
            ));
        }
        self.look_again();
        Ok(ended)
    }

    /// One's own, against the old one; guessing it is slowed down as signing in is. Every other session of theirs ends.
    pub async fn change_password(
        &self,
        operator: &Operator,
        own: &SessionToken,
        old: SecretString,
        new: SecretString,
        client: IpAddr,
        now: DateTime<Utc>,
    ) -> Result<(), SetupError> {
        let invalid = |field, problem: &str| SetupError::Invalid { field, problem: problem.to_owned() };
        if old.expose_secret() == new.expose_secret() {
            return Err(invalid("password", "is the old one; choose another"));
        }
        passwords::check_new(&new, &operator.username)
            .map_err(|problem| SetupError::Invalid { field: "password", problem })?;
        let username = &operator.username;
        self.inner
            .throttle
            .admit(client, now)
            .map_err(|retry_after_seconds| SetupError::Throttled { retry_after_seconds })?;
        tokio::time::sleep(self.inner.throttle.delay_of(username)).await;
        let known = self.inner.store.operator_named(username).await?;
        let stored = known.map(|known| known.password_hash);
        if !self.inner.passwords.verify(old, stored).await.ok_or(SetupError::Busy)? {
            self.inner.throttle.failed(client, username, now);
            return Err(invalid("old_password", "is wrong"));
        }
        self.inner.throttle.succeeded(client, username);
        let password_hash = self.new_hash(new, username).await?;
        if !self.inner.store.change_password(operator.id.0, &password_hash, &own.hash(), now).await? {
            return Err(invalid("old_password", "is of an operator that is disabled"));
        }
        self.look_again();
        Ok(())
    }

    pub(super) async fn new_hash(
        &self,
        password: SecretString,
        username: &str,
    ) -> Result<String, SetupError> {
        passwords::check_new(&password, username)
            .map_err(|problem| SetupError::Invalid { field: "password", problem })?;
        self.inner.passwords.hash(password).await.ok_or(SetupError::Busy)
    }

    fn settle(&self, changed: ChangedOperator) -> Result<(), StrikeError> {
        match changed {
            ChangedOperator::Changed => {
                self.look_again();
                Ok(())
            }
            ChangedOperator::Same => Ok(()),
            ChangedOperator::LastAdmin => Err(StrikeError::Conflict(
                "this is the last administrator; make another one first, or nobody could administer this server"
                    .to_owned(),
            )),
            ChangedOperator::Unknown => Err(unknown_operator()),
        }
    }
}

fn unknown_operator() -> StrikeError {
    StrikeError::NotFound("there is no such operator".to_owned())
}

fn refuse_own(by: &Operator, id: OperatorId, what: &str) -> Result<(), StrikeError> {
    if by.id == id {
        return Err(StrikeError::Conflict(format!("{what} cannot be changed; ask another administrator")));
    }
    Ok(())
}
