use leptos::{ev::SubmitEvent, prelude::*};
use leptos_meta::Title;
use wasm_bindgen::JsValue;

use super::{load, problem};
use crate::{
    api,
    error::ApiError,
    model::{Secret, session::Visitor},
    ui::{
        Brand, Notice, Tone,
        dom::{effect, spawn},
        form::{self, Fields},
        part, text, view,
    },
};

const PASSWORD_CHARS: usize = 12;
const FIELDS: &Fields = &[("username", "username"), ("password", "password"), ("again", "again")];

/// What the browser found in the address.
#[derive(Clone)]
enum Link {
    /// On the server and until hydrated.
    NotRead,
    Missing,
    Token(Secret),
}

/// First run: makes the administrator. The token comes in the fragment, which no browser sends to a server.
#[component]
pub fn Setup() -> impl IntoView {
    let open = expect_context::<Visitor>().setup_open;
    let link = RwSignal::new(Link::NotRead);
    effect(move || link.set(take_token()));

    view! {
        <Title text="Set up"/>
        <main class="gate" id="main">
            <div class="gate__card">
                <Brand/>
                <h1>"Set up this server"</h1>
                {if open {
                    view! {
                        <p>
                            "You are about to create the first administrator. The link works once and for 24 hours."
                        </p>
                        {part(move || match link.get() {
                            Link::NotRead => view! { <p class="muted">"Reading the link…"</p> },
                            Link::Missing => view! { <NoToken/> },
                            Link::Token(token) => view! { <SetupForm token/> },
                        })}
                    }
                } else {
                    view! {
                        <Notice tone=Tone::Info>
                            "This server has an administrator already, so setup links are dead. A lost password is reset with "
                            <code>"voltaxe-server admin reset-password"</code> " on the server."
                        </Notice>
                        <p><a class="button button--primary" href="/login" rel="external">"Sign in"</a></p>
                    }
                }}
            </div>
        </main>
    }
}

#[component]
fn NoToken() -> impl IntoView {
    view! {
        <Notice tone=Tone::Warning>
            "This address has no setup token. Use the whole link that the server printed on its console at its start; it ends in "
            <code>"#token=…"</code> ". To print a new one, run " <code>"voltaxe-server admin setup-link"</code>
            " on the server."
        </Notice>
    }
}

#[component]
fn SetupForm(token: Secret) -> impl IntoView {
    let token = StoredValue::new(token);
    let error = RwSignal::new(None::<ApiError>);
    let busy = RwSignal::new(false);
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        let password = form::value("password");
        let wrong = if password.chars().count() < PASSWORD_CHARS {
            Some(("password", "must be at least 12 characters"))
        } else if password != form::value("again") {
            Some(("again", "must be the same as the password above"))
        } else {
            None
        };
        let wrong = wrong.map(|(field, problem)| ApiError::Invalid {
            field: field.to_owned(),
            problem: problem.to_owned(),
        });
        let is_wrong = wrong.is_some();
        error.set(form::blame(FIELDS, wrong));
        if is_wrong {
            return;
        }
        busy.set(true);
        let made = api::complete_setup(token.get_value(), form::value("username"), Secret(password));
        spawn(async move {
            match made.await {
                Ok(_) => load("/"),
                Err(refused) => {
                    error.set(form::blame(FIELDS, Some(refused)));
                    busy.set(false);
                }
            }
        });
    };

    view! {
        <form class="form" method="post" on:submit=submit novalidate>
            <div class="field">
                <label for="username">"Username"</label>
                <input
                    class="input" id="username" name="username" type="text" autocomplete="username" autocapitalize="none"
                    spellcheck="false" required aria-describedby="username-problem username-about"
                />
                <p class="field__about">
                    <span class="field__problem" id="username-problem"></span>
                    <span id="username-about">"Letters, digits and . _ @ -"</span>
                </p>
            </div>
            <div class="field">
                <label for="password">"Password"</label>
                <input
                    class="input" id="password" name="password" type="password" autocomplete="new-password" required
                    aria-describedby="password-problem password-about"
                />
                <p class="field__about">
                    <span class="field__problem" id="password-problem"></span>
                    <span id="password-about">"At least 12 characters; a sentence is fine"</span>
                </p>
            </div>
            <div class="field">
                <label for="again">"Password again"</label>
                <input
                    class="input" id="again" name="again" type="password" autocomplete="new-password" required
                    aria-describedby="again-problem"
                />
                <p class="field__about"><span class="field__problem" id="again-problem"></span></p>
            </div>
            {problem(error)}
            <button class="button button--primary button--wide" type="submit" aria-disabled=move || busy.get().then_some("true")>
                {text(move || if busy.get() { "Creating…" } else { "Create administrator" })}
            </button>
        </form>
    }
}

/// Takes the token out of the address, so that no history, bookmark or shoulder keeps it.
fn take_token() -> Link {
    let hash = window().location().hash().unwrap_or_default();
    let Some(token) = hash.strip_prefix("#token=").filter(|token| !token.is_empty()) else {
        return Link::Missing;
    };
    if let Ok(history) = window().history() {
        let _ = history.replace_state_with_url(&JsValue::NULL, "", Some("/setup"));
    }
    Link::Token(Secret(token.to_owned()))
}
