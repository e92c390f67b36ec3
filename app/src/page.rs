//! One file a route.

mod arrival;
mod ask;
mod asking;
mod audit;
mod batch;
mod batches;
mod bulk_dialog;
mod code;
mod command;
mod command_table;
mod commands;
mod console;
mod endpoint;
mod endpoints;
mod enrol;
mod evidence;
mod health;
mod login;
mod not_found;
mod operators;
mod order_dialog;
mod processes;
mod records;
mod schedules;
mod settings;
mod setup;
mod sheet_head;
mod start;
mod tokens;
mod webhooks;

pub use arrival::page;
pub use code::{Access, Orders, Sheets, access, endpoint, keyboard, orders, sheets};
pub use console::{Console, Desk};
pub use endpoints::Endpoints;
pub use login::Login;
pub use not_found::NotFound;
pub use setup::Setup;

use leptos::prelude::*;
use leptos_router::hooks::use_url;

use crate::{
    error::ApiError,
    model::{Session, session::Visitor},
    ui::{Notice, Tone, maybe, view},
};

/// Who looks at a page below [`Console`], which lets nobody else pass.
fn session() -> Session {
    expect_context::<Visitor>().session.expect("the console is for operators who are signed in")
}

/// Leaves the app: the next page starts with nothing of this one.
fn load(path: &str) {
    let _ = window().location().set_href(path);
}

/// What the address asks this page for. The router's own address is another page's before that is there.
fn asked_of_page() -> Signal<String> {
    let address = use_url();
    Signal::derive(move || address.read().search().trim_start_matches('?').to_owned())
}

/// The error of a form, while there is one.
fn problem(error: RwSignal<Option<ApiError>>) -> impl IntoView {
    maybe(move || error.get().map(|error| view! { <Problem error/> }))
}

/// An error of a form or a page, with a way on where there is one. What was typed stays: signing in happens elsewhere.
#[component]
fn Problem(error: ApiError) -> impl IntoView {
    let signed_out = error == ApiError::SignedOut;
    view! {
        <Notice tone=Tone::Error>
            {error.to_string()}
            {signed_out
                .then(|| {
                    view! {
                        " "
                        <a href="/login" target="_blank" rel="external noopener">"Sign in in another tab"</a>
                    }
                })}
        </Notice>
    }
}
