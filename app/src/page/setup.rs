use leptos::{ev::SubmitEvent, prelude::*, task::spawn_local};
use leptos_meta::Title;
use wasm_bindgen::JsValue;

use super::{Problem, load};
use crate::{
    api,
    error::ApiError,
    model::{Secret, session::Visitor},
    ui::{Brand, Notice, Tone, dom::effect, maybe, part, text},
};

const PASSWORD_CHARS: usize = 12;

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
                            Link::NotRead => view! { <p class="muted">"Reading the link…"</p> }.into_any(),
                            Link::Missing => view! { <NoToken/> }.into_any(),
                            Link::Token(token) => view! { <SetupForm token/> }.into_any(),
                        })}
                    }
                        .into_any()
                } else {
                    view! {
                        <Notice tone=Tone::Info>
                            "This server has an administrator already, so setup links are dead. A lost password is reset with "
                            <code>"voltaxe-server admin reset-password"</code> " on the server."
                        </Notice>
                        <p><a class="button button--primary" href="/login" rel="external">"Sign in"</a></p>
                    }
                        .into_any()
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
    let username = RwSignal::new(String::new());
    let (password, again) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let error = RwSignal::new(None::<ApiError>);
    let busy = RwSignal::new(false);
    let invalid = |field: &str, problem: &str| {
        Some(ApiError::Invalid { field: field.to_owned(), problem: problem.to_owned() })
    };
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        if password.read_untracked().chars().count() < PASSWORD_CHARS {
            error.set(invalid("password", "must be at least 12 characters"));
            return;
        }
        if password.get_untracked() != again.get_untracked() {
            error.set(invalid("again", "is not the same as the password above"));
            return;
        }
        busy.set(true);
        error.set(None);
        spawn_local(async move {
            let made = api::complete_setup(
                token.get_value(),
                username.get_untracked(),
                Secret(password.get_untracked()),
            );
            match made.await {
                Ok(_) => load("/"),
                Err(problem) => {
                    error.set(Some(problem));
                    busy.set(false);
                }
            }
        });
    };
    let of_field = move |name: &'static str| {
        Signal::derive(move || error.read().as_ref().and_then(|error| error.of_field(name)))
    };
    let is_of_a_field = move |error: &ApiError| matches!(error, ApiError::Invalid { .. });

    view! {
        <form class="form" method="post" on:submit=submit>
            <Field
                id="username" label="Username" hint="Letters, digits and . _ @ -" kind="text" autocomplete="username"
                value=username problem=of_field("username")
            />
            <Field
                id="password" label="Password" hint="At least 12 characters; a sentence is fine" kind="password"
                autocomplete="new-password" value=password problem=of_field("password")
            />
            <Field
                id="again" label="Password again" hint="" kind="password" autocomplete="new-password" value=again
                problem=of_field("again")
            />
            {maybe(move || {
                error.get().filter(|error| !is_of_a_field(error)).map(|error| view! { <Problem error/> }.into_any())
            })}
            <button class="button button--primary button--wide" type="submit" aria-disabled=move || busy.get().then_some("true")>
                {text(move || if busy.get() { "Creating…" } else { "Create administrator" })}
            </button>
        </form>
    }
}

#[component]
fn Field(
    id: &'static str,
    label: &'static str,
    hint: &'static str,
    kind: &'static str,
    autocomplete: &'static str,
    value: RwSignal<String>,
    problem: Signal<Option<String>>,
) -> impl IntoView {
    let about = format!("{id}-about");
    view! {
        <div class="field">
            <label for=id>{label}</label>
            <input
                class="input" id=id name=id type=kind autocomplete=autocomplete autocapitalize="none"
                spellcheck="false" required on:input=move |event| value.set(event_target_value(&event)) aria-describedby=about.clone()
                aria-invalid=move || problem.read().is_some().then_some("true")
            />
            <p id=about role="status"
                class=move || if problem.read().is_some() { "field__about field__about--wrong" } else { "field__about" }>
                {text(move || match problem.get() {
                    Some(problem) => format!("{label} {problem}"),
                    None => hint.to_owned(),
                })}
            </p>
        </div>
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
