use leptos::prelude::*;

use super::Rpc;
use crate::{
    error::ApiError,
    model::{Enrolment, EnrolmentToken},
};

/// Tokens, and who waits for approval.
#[server(name = LoadEnrolment, prefix = "/rpc", endpoint = "enrolment", protocol = Rpc)]
pub async fn enrolment() -> Result<Enrolment, ApiError> {
    super::caller::answer(ssr::enrolment().await)
}

/// `uses`: how many hosts may enrol with it; `seconds`: how long.
#[server(prefix = "/rpc", endpoint = "create_enrolment_token", protocol = Rpc)]
pub async fn create_enrolment_token(
    label: String,
    uses: i32,
    seconds: i64,
) -> Result<EnrolmentToken, ApiError> {
    use super::caller::{Caller, answer};

    answer(
        async {
            let caller = Caller::expect()?;
            let permit = caller.permit()?;
            let label = label.trim().to_owned();
            let lifetime = chrono::TimeDelta::try_seconds(seconds)
                .ok_or_else(|| super::parse::invalid("seconds", "is no time that is possible here"))?;
            let (string, record) = caller
                .strike
                .create_enrolment_token(&permit, label, uses, Some(lifetime), caller.now)
                .await?;
            Ok(EnrolmentToken {
                string: string.to_string(),
                server_url: string.server_url,
                installer_digest: (caller.installer_digest)(),
                uses: record.uses_left,
                created_at: record.created_at.timestamp_millis(),
                expires_at: record.expires_at.timestamp_millis(),
            })
        }
        .await,
    )
}

/// No further host enrols with it. Answers what there is then.
#[server(prefix = "/rpc", endpoint = "revoke_enrolment_token", protocol = Rpc)]
pub async fn revoke_enrolment_token(id: i64) -> Result<Enrolment, ApiError> {
    use super::caller::{Caller, answer};

    answer(
        async {
            let caller = Caller::expect()?;
            caller.strike.revoke_enrolment_token(&caller.permit()?, id, caller.now).await?;
            ssr::enrolment().await
        }
        .await,
    )
}

/// Lets a host in that came with another key; who had its machine or name is revoked. Answers what there is then.
#[server(prefix = "/rpc", endpoint = "approve_endpoint", protocol = Rpc)]
pub async fn approve_endpoint(id: String, reason: String) -> Result<Enrolment, ApiError> {
    use super::caller::{Caller, answer};

    answer(
        async {
            let caller = Caller::expect()?;
            let permit = caller.permit()?;
            let id = id.parse().map_err(|_| ApiError::NotFound)?;
            caller.strike.approve_endpoint(&permit, &id, &reason, caller.now).await?;
            ssr::enrolment().await
        }
        .await,
    )
}

#[cfg(feature = "ssr")]
mod ssr {
    use voltaxe_orchestrator::{
        authority::may,
        model::{AwaitingEndpoint, EnrolmentTokenRecord, KeyHolder},
    };
    use voltaxe_protocol::PublicKey;

    use super::{
        super::{caller::Caller, of_host},
        ApiError, Enrolment,
    };
    use crate::model::{Awaiting, Holder, ListedToken, Millis};

    pub async fn enrolment() -> Result<Enrolment, ApiError> {
        let caller = Caller::expect()?;
        let awaiting = caller.strike.awaiting_endpoints(&caller.permit()?).await?;
        let tokens = match caller.permit::<may::CreateEnrolmentToken>() {
            Ok(permit) => caller.strike.enrolment_tokens(&permit, caller.now).await?,
            Err(_) => Vec::new(),
        };
        let now = caller.now.timestamp_millis();
        Ok(Enrolment {
            tokens: tokens.into_iter().map(|token| listed(token, now)).collect(),
            awaiting: awaiting.into_iter().map(waiting).collect(),
        })
    }

    fn listed(token: EnrolmentTokenRecord, now: Millis) -> ListedToken {
        let expires_at = token.expires_at.timestamp_millis();
        ListedToken {
            id: token.id,
            label: token.label,
            created_by: token.created_by,
            created_at: token.created_at.timestamp_millis(),
            expires_at,
            uses_left: token.uses_left,
            is_open: token.uses_left > 0 && expires_at > now,
        }
    }

    fn waiting(endpoint: AwaitingEndpoint) -> Awaiting {
        Awaiting {
            id: endpoint.id.to_string(),
            hostname: endpoint.hostname,
            label: endpoint.label,
            os: of_host(&endpoint.os),
            enrolled_at: endpoint.enrolled_at.timestamp_millis(),
            fingerprint: fingerprint(&endpoint.public_key),
            holders: endpoint.holders.into_iter().map(holder).collect(),
        }
    }

    fn holder(holder: KeyHolder) -> Holder {
        Holder {
            id: holder.id.to_string(),
            hostname: holder.hostname,
            fingerprint: fingerprint(&holder.public_key),
            last_seen_at: holder.last_seen_at.map(|at| at.timestamp_millis()),
        }
    }

    /// SHA-256 of the key, as base64url.
    fn fingerprint(key: &[u8]) -> String {
        PublicKey::from_bytes(key).map_or_else(|_| "no key".to_owned(), |key| key.fingerprint().to_string())
    }
}
