use leptos::{prelude::*, server_fn::codec::Json};

use crate::{
    error::ApiError,
    model::{Endpoint, EndpointPage},
};

/// Ordered by name.
#[server(prefix = "/rpc", endpoint = "endpoints", input = Json)]
pub async fn endpoints() -> Result<Vec<Endpoint>, ApiError> {
    use super::caller::{Caller, answer};

    answer(
        async {
            let caller = Caller::expect()?;
            let permit = caller.permit()?;
            let mut endpoints: Vec<Endpoint> =
                caller.strike.endpoints(&permit, caller.now).await?.iter().map(Endpoint::from).collect();
            endpoints.sort_by(|a, b| (&a.hostname, &a.id).cmp(&(&b.hostname, &b.id)));
            Ok(endpoints)
        }
        .await,
    )
}

/// One endpoint and its newest commands.
#[server(name = LoadEndpoint, prefix = "/rpc", endpoint = "endpoint", input = Json)]
pub async fn endpoint(id: String) -> Result<EndpointPage, ApiError> {
    use super::caller::{Caller, answer};

    const COMMANDS: i64 = 50;

    answer(
        async {
            let caller = Caller::expect()?;
            let permit = caller.permit()?;
            // What is no id is no endpoint's id either.
            let id = id.parse().map_err(|_| ApiError::NotFound)?;
            let endpoint =
                caller.strike.endpoint(&permit, &id, caller.now).await?.ok_or(ApiError::NotFound)?;
            let commands = caller.strike.commands_of(&permit, &id, COMMANDS).await?;
            Ok(EndpointPage {
                endpoint: (&endpoint).into(),
                commands: commands.iter().map(Into::into).collect(),
            })
        }
        .await,
    )
}
