use leptos::prelude::*;

use super::Rpc;
use crate::{error::ApiError, model::FoundHost};

/// A few hosts whose name has this in it, the likeliest first.
#[server(prefix = "/rpc", endpoint = "find_hosts", protocol = Rpc)]
pub async fn find_hosts(text: String) -> Result<Vec<FoundHost>, ApiError> {
    use super::caller::{Caller, answer};

    answer(
        async {
            let caller = Caller::expect()?;
            let found = caller.strike.find_hosts(&caller.permit()?, &text).await?;
            let host = |(id, hostname): (voltaxe_protocol::EndpointId, String)| FoundHost {
                id: id.as_str().to_owned(),
                hostname: super::of_host(&hostname),
            };
            Ok(found.into_iter().map(host).collect())
        }
        .await,
    )
}
