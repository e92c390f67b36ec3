use leptos::{ev::SubmitEvent, prelude::*};
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;
use web_sys::HtmlInputElement;

use super::{load, problem};
use crate::{
    api,
    clock::mounted,
    error::ApiError,
    model::{Secret, next::after_sign_in, session::Visitor},
    ui::{
        Brand, Notice, Tone,
        dom::{element, focus, input_value, spawn},
        text, view,
    },
};

#[component]
pub fn Login() -> impl IntoView {
    let query = use_query_map();
    let next = move || after_sign_in(query.read_untracked().get_str("next")).to_owned();
    let visitor = expect_context::<Visitor>();
    #[cfg(feature = "ssr")]
    if visitor.session.is_some() {
        super::console::redirect(&next());
    }

    let error = RwSignal::new(None::<ApiError>);
    let busy = RwSignal::new(false);
    let mounted = mounted();
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        // Read here, not bound to signals: a password manager may have filled them before the page was hydrated.
        let (username, password) = (input_value("username"), input_value("password"));
        busy.set(true);
        error.set(None);
        spawn(async move {
            match api::sign_in(username, Secret(password)).await {
                Ok(_) => load(&next()),
                Err(refused) => {
                    if refused == ApiError::WrongCredentials {
                        if let Some(field) = element::<HtmlInputElement>("password") {
                            field.set_value("");
                        }
                        focus("password");
                    }
                    error.set(Some(refused));
                    busy.set(false);
                }
            }
        });
    };

    view! {
        <Title text="Sign in"/>
        <main class="gate" id="main">
            <div class="gate__card">
                <Brand/>
                <h1>"Sign in"</h1>
                {visitor
                    .setup_open
                    .then(|| {
                        view! {
                            <Notice tone=Tone::Info>
                                "This server has no administrator yet. Open the setup link that it printed on its console; "
                                <code>"voltaxe-server admin setup-link"</code> " prints a new one."
                            </Notice>
                        }
                    })}
                <form class="form" method="post" on:submit=submit>
                    <div class="field">
                        <label for="username">"Username"</label>
                        <input
                            class="input" id="username" name="username" type="text" autocomplete="username"
                            autocapitalize="none" spellcheck="false" required autofocus
                        />
                    </div>
                    <div class="field">
                        <label for="password">"Password"</label>
                        <input
                            class="input" id="password" name="password" type="password"
                            autocomplete="current-password" required
                        />
                    </div>
                    {problem(error)}
                    <button
                        class="button button--primary button--wide" type="submit" disabled=move || !mounted.get()
                        aria-disabled=move || busy.get().then_some("true")
                    >
                        {text(move || if busy.get() { "Signing in…" } else { "Sign in" })}
                    </button>
                </form>
            </div>
        </main>
    }
}
