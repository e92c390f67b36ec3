//! The way of a call: POST with a JSON body. As leptos's own protocol for that, but what waits for an answer is in the wasm
//! once instead of once a function.

use std::pin::Pin;

use http::Method;
use leptos::server_fn::{
    Bytes, Http, Protocol, client::Client, codec::Json, error::FromServerFnError, request::ClientReq,
    response::ClientRes, server::Server,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{error::ApiError, json};

pub struct Rpc;

impl<Input, Output, C, S> Protocol<Input, Output, C, S, ApiError> for Rpc
where
    Input: Serialize + DeserializeOwned + Send,
    Output: Serialize + DeserializeOwned + Send,
    C: Client<ApiError>,
    S: Server<ApiError>,
{
    const METHOD: Method = Method::POST;

    async fn run_server<F, Fut>(request: S::Request, server_fn: F) -> Result<S::Response, ApiError>
    where
        F: Fn(Input) -> Fut + Send,
        Fut: Future<Output = Result<Output, ApiError>> + Send,
    {
        <Http<Json, Json> as Protocol<Input, Output, C, S, ApiError>>::run_server(request, server_fn).await
    }

    fn run_client(path: &str, input: Input) -> impl Future<Output = Result<Output, ApiError>> + Send {
        let answer = post::<C>(path, serde_json::to_string(&input));
        Box::pin(async move { json::read(&answer.await?).map_err(|_| ApiError::Internal) })
            as Answer<'_, Output>
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, ApiError>> + Send + 'a>>;

fn post<C: Client<ApiError>>(path: &str, body: serde_json::Result<String>) -> Answer<'_, Bytes> {
    const JSON: &str = "application/json";
    Box::pin(async move {
        let request = C::Request::try_new_post(path, JSON, JSON, body.map_err(|_| ApiError::Internal)?)?;
        let response = C::send(request).await?;
        let refused = (400..=599).contains(&response.status());
        let answer = response.try_into_bytes().await?;
        if refused { Err(ApiError::de(answer)) } else { Ok(answer) }
    })
}
