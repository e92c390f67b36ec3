use leptos::prelude::*;

use super::Rpc;
use crate::{error::ApiError, model::Secret};

/// Whether somebody is signed in; [`ApiError::SignedOut`] if nobody is.
#[server(prefix = "/rpc", endpoint = "session", protocol = Rpc)]
pub async fn session() -> Result<(), ApiError> {
    use super::caller::{Caller, answer};

    answer(Caller::expect().and_then(|caller| caller.operator().map(|_| ())))
}

/// Sets the session cookie.
#[server(prefix = "/rpc", endpoint = "sign_in", protocol = Rpc)]
pub async fn sign_in(username: String, password: Secret) -> Result<(), ApiError> {
    use super::caller::{Caller, answer};

    answer(
        async {
            let caller = Caller::expect()?;
            let (token, _) = caller
                .operators
                .sign_in(username.trim(), password.0.into(), caller.client, caller.now)
                .await?;
            ssr::give_cookie(&super::cookie::set_cookie(&token));
            Ok(())
        }
        .await,
    )
}

/// Makes the first administrator and signs them in. `setup_token` is the one of the link on the server's console.
#[server(prefix = "/rpc", endpoint = "complete_setup", protocol = Rpc)]
pub async fn complete_setup(setup_token: Secret, username: String, password: Secret) -> Result<(), ApiError> {
    use super::caller::{Caller, answer};

    answer(
        async {
            let caller = Caller::expect()?;
            let (token, _) = caller
                .operators
                .complete_setup(
                    setup_token.0.into(),
                    username.trim(),
                    password.0.into(),
                    caller.client,
                    caller.now,
                )
                .await?;
            ssr::give_cookie(&super::cookie::set_cookie(&token));
            Ok(())
        }
        .await,
    )
}

/// Ends the session on the server and deletes the cookie.
#[server(prefix = "/rpc", endpoint = "sign_out", protocol = Rpc)]
pub async fn sign_out() -> Result<(), ApiError> {
    use voltaxe_orchestrator::StrikeError;

    use super::caller::{Caller, answer};

    answer(
        async {
            let caller = Caller::expect()?;
            if let Some(token) = &caller.session {
                caller.operators.sign_out(token, caller.now).await.map_err(StrikeError::from)?;
            }
            ssr::give_cookie(&super::cookie::clear_cookie());
            Ok(())
        }
        .await,
    )
}

#[cfg(feature = "ssr")]
mod ssr {
    use axum::http::{HeaderValue, header};
    use leptos::prelude::expect_context;
    use leptos_axum::ResponseOptions;

    pub fn give_cookie(cookie: &str) {
        let mut value =
            HeaderValue::from_str(cookie).expect("a session token is base64url, which is valid in a header");
        value.set_sensitive(true);
        expect_context::<ResponseOptions>().append_header(header::SET_COOKIE, value);
    }
}
