use leptos::prelude::*;

use super::Rpc;
use crate::{error::ApiError, model::EndpointPage};

/// One endpoint, its newest commands and what ends its isolation.
#[server(name = LoadEndpoint, prefix = "/rpc", endpoint = "endpoint", protocol = Rpc)]
pub async fn endpoint(id: String) -> Result<EndpointPage, ApiError> {
    use super::{
        caller::{Caller, answer},
        commands::ssr::commands,
        schedules::ssr::rollback_of,
    };
    use crate::model::command::Of;

    answer(
        async {
            let caller = Caller::expect()?;
            let permit = caller.permit()?;
            let commands = commands(Of::Endpoint(id.clone()), None).await?;
            let id = id.parse().map_err(|_| ApiError::NotFound)?;
            let endpoint =
                caller.strike.endpoint(&permit, &id, caller.now).await?.ok_or(ApiError::NotFound)?;
            Ok(EndpointPage {
                endpoint: (&endpoint).into(),
                commands,
                rollback: rollback_of(&caller, &id).await?,
            })
        }
        .await,
    )
}
