use leptos::prelude::*;

use super::Rpc;
use crate::{error::ApiError, model::EnrolmentToken};

/// `uses`: how many hosts may enrol with it.
#[server(prefix = "/rpc", endpoint = "create_enrolment_token", protocol = Rpc)]
pub async fn create_enrolment_token(label: String, uses: i32) -> Result<EnrolmentToken, ApiError> {
    use super::caller::{Caller, answer};

    answer(
        async {
            let caller = Caller::expect()?;
            let permit = caller.permit()?;
            let label = label.trim().to_owned();
            let (string, record) =
                caller.strike.create_enrolment_token(&permit, label, uses, caller.now).await?;
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
