use leptos::prelude::*;

use super::Rpc;
use crate::{
    error::ApiError,
    model::{ApiToken, MadeToken},
};

/// Those that hold first, then by name.
#[server(prefix = "/rpc", endpoint = "api_tokens", protocol = Rpc)]
pub async fn api_tokens() -> Result<Vec<ApiToken>, ApiError> {
    use super::caller::{Caller, answer};

    answer(
        async {
            let caller = Caller::expect()?;
            let tokens = caller.operators.api_tokens().list(&caller.permit()?, caller.now).await?;
            Ok(tokens.into_iter().map(|token| ssr::told(token, caller.now)).collect())
        }
        .await,
    )
}

/// `form`: `name`, `role`, `days`.
#[server(prefix = "/rpc", endpoint = "create_api_token", protocol = Rpc)]
pub async fn create_api_token(form: String) -> Result<MadeToken, ApiError> {
    use super::caller::{Caller, answer};

    answer(
        async {
            let caller = Caller::expect()?;
            let permit = caller.permit()?;
            let request = ssr::request(&form)?;
            let tokens = caller.operators.api_tokens();
            let (secret, made) = tokens.create(&permit, request, caller.now).await?;
            Ok(ssr::shown(&secret, made, caller.now))
        }
        .await,
    )
}

/// Effective at once.
#[server(prefix = "/rpc", endpoint = "revoke_api_token", protocol = Rpc)]
pub async fn revoke_api_token(id: String) -> Result<(), ApiError> {
    use super::caller::{Caller, answer};

    answer(
        async {
            let caller = Caller::expect()?;
            let permit = caller.permit()?;
            let id = id.parse().map_err(|_| ApiError::NotFound)?;
            caller.operators.api_tokens().revoke(&permit, id, caller.now).await?;
            Ok(())
        }
        .await,
    )
}

#[cfg(feature = "ssr")]
mod ssr {
    use chrono::{DateTime, Utc};
    use secrecy::{ExposeSecret as _, SecretString};
    use voltaxe_orchestrator::api_tokens::{self, ApiTokenRequest, DEFAULT_DAYS};

    use super::{super::parse, ApiError, ApiToken, MadeToken};

    pub fn request(form: &str) -> Result<ApiTokenRequest, ApiError> {
        let form = parse::Form::of(form);
        Ok(ApiTokenRequest {
            name: form.get("name").to_owned(),
            role: form
                .get("role")
                .parse()
                .map_err(|_| parse::invalid("role", "must be viewer, responder or admin"))?,
            days: form.number("days")?.unwrap_or(DEFAULT_DAYS),
        })
    }

    pub fn told(token: api_tokens::ApiToken, now: DateTime<Utc>) -> ApiToken {
        let ended = match &token.revoked_by {
            Some(by) => Some(format!("Revoked by {by}")),
            None if !token.holds(now) => Some("Expired".to_owned()),
            None => None,
        };
        ApiToken {
            id: token.id.to_string(),
            name: token.name,
            role: token.role.into(),
            created_by: token.created_by,
            created_at: token.created_at.timestamp_millis(),
            expires_at: token.expires_at.timestamp_millis(),
            last_used_at: token.last_used_at.map(|at| at.timestamp_millis()),
            ended,
        }
    }

    pub fn shown(secret: &SecretString, made: api_tokens::ApiToken, now: DateTime<Utc>) -> MadeToken {
        MadeToken { token: secret.expose_secret().to_owned(), made: told(made, now) }
    }
}
