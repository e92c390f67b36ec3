//! Letting hosts in: tokens, and the approval of those that come with another key.

use chrono::{DateTime, TimeDelta, Utc};
use voltaxe_protocol::{EndpointId, EnrolString};

use super::{Strike, request::invalid};
use crate::{
    StrikeError,
    authority::{Permit, may},
    enrolment,
    model::{AwaitingEndpoint, EnrolmentTokenRecord},
};

const LABEL_CHARS: usize = 100;
const TOKEN_USES: std::ops::RangeInclusive<i32> = 1..=1000;
const SHORTEST_LIFETIME: TimeDelta = TimeDelta::minutes(5);
const LONGEST_LIFETIME: TimeDelta = TimeDelta::days(7);
const REASON_CHARS: std::ops::RangeInclusive<usize> = 3..=500;
/// How long a token is listed after its end.
const ENDED_SHOWN: TimeDelta = TimeDelta::days(7);
const LISTED: i64 = 200;

impl Strike {
    /// A string that lets `uses` hosts enrol; `None`: within the server's usual time. It is shown once: only its hash is kept.
    pub async fn create_enrolment_token(
        &self,
        permit: &Permit<may::CreateEnrolmentToken>,
        label: String,
        uses: i32,
        lifetime: Option<TimeDelta>,
        now: DateTime<Utc>,
    ) -> Result<(EnrolString, EnrolmentTokenRecord), StrikeError> {
        self.make_enrolment_token(&permit.operator().username, label, uses, lifetime, now).await
    }

    /// For the server's own console, where being able to run the program is the permission.
    pub async fn create_enrolment_token_at_console(
        &self,
        label: String,
        uses: i32,
        now: DateTime<Utc>,
    ) -> Result<(EnrolString, EnrolmentTokenRecord), StrikeError> {
        self.make_enrolment_token("console", label, uses, None, now).await
    }

    async fn make_enrolment_token(
        &self,
        by: &str,
        label: String,
        uses: i32,
        lifetime: Option<TimeDelta>,
        now: DateTime<Utc>,
    ) -> Result<(EnrolString, EnrolmentTokenRecord), StrikeError> {
        let label = label.trim();
        if label.chars().count() > LABEL_CHARS {
            return Err(invalid("label", format!("must be at most {LABEL_CHARS} characters")));
        }
        if !TOKEN_USES.contains(&uses) {
            return Err(invalid("uses", "must be 1 to 1000"));
        }
        let lifetime = lifetime.unwrap_or(self.config().enrolment_token_lifetime);
        if !(SHORTEST_LIFETIME..=LONGEST_LIFETIME).contains(&lifetime) {
            return Err(invalid("lifetime", "must be 5 minutes to 7 days"));
        }
        let token = enrolment::new_secret();
        let record = self
            .store()
            .create_enrolment_token(&enrolment::hash(&token), label, uses, by, now, now + lifetime)
            .await?;
        let string = EnrolString {
            token,
            server_key: self.public_key().fingerprint(),
            server_url: self.config().agent_url.clone(),
        };
        Ok((string, record))
    }

    /// Those that can be used, and those that ended lately; newest first. What they are is not to be had again.
    pub async fn enrolment_tokens(
        &self,
        _permit: &Permit<may::CreateEnrolmentToken>,
        now: DateTime<Utc>,
    ) -> Result<Vec<EnrolmentTokenRecord>, StrikeError> {
        Ok(self.store().enrolment_tokens(now - ENDED_SHOWN, LISTED).await?)
    }

    /// No further host enrols with it; those that have stay.
    pub async fn revoke_enrolment_token(
        &self,
        permit: &Permit<may::CreateEnrolmentToken>,
        id: i64,
        now: DateTime<Utc>,
    ) -> Result<(), StrikeError> {
        if self.store().revoke_enrolment_token(id, &permit.operator().username, now).await? {
            Ok(())
        } else {
            Err(StrikeError::Conflict("this token has no use left, or has ended".to_owned()))
        }
    }

    /// Hosts that came with another key than the one their machine or name has.
    pub async fn awaiting_endpoints(
        &self,
        _permit: &Permit<may::View>,
    ) -> Result<Vec<AwaitingEndpoint>, StrikeError> {
        Ok(self.store().awaiting_endpoints(LISTED).await?)
    }

    /// Lets a waiting endpoint in. Whoever had its machine or name is revoked, and what was ordered of them is cancelled: answers
    /// who that was.
    pub async fn approve_endpoint(
        &self,
        permit: &Permit<may::ApproveEndpoint>,
        id: &EndpointId,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<EndpointId>, StrikeError> {
        let reason = reason.trim();
        if !REASON_CHARS.contains(&reason.chars().count()) {
            return Err(invalid("reason", "must be 3 to 500 characters"));
        }
        let by = &permit.operator().username;
        let revoked = self.store().approve_endpoint(id, by, Some(reason), now).await?;
        let revoked = revoked.ok_or_else(|| {
            StrikeError::Conflict("this endpoint does not wait for approval any more".to_owned())
        })?;
        // Streams of the revoked end with this, and the name leads to the new one.
        self.recheck_agents(now).await?;
        self.names().clear();
        for endpoint in revoked.iter().chain([id]) {
            self.changed(endpoint);
        }
        Ok(revoked)
    }
}
