use leptos::{ev::SubmitEvent, html, prelude::*, task::spawn_local};
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

use super::{Problem, load};
use crate::{
    api,
    clock::mounted,
    error::ApiError,
    model::{Secret, next::after_sign_in, session::Visitor},
    ui::{Brand, Notice, Tone},
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
    // Not bound to signals: a password manager may have filled them before the page was hydrated.
    let (username, password) = (NodeRef::<html::Input>::new(), NodeRef::<html::Input>::new());
    let submit = move |event: SubmitEvent| {
        event.prevent_default();
        let (Some(username), Some(password)) = (username.get_untracked(), password.get_untracked()) else {
            return;
        };
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        error.set(None);
        spawn_local(async move {
            match api::sign_in(username.value(), Secret(password.value())).await {
                Ok(_) => load(&next()),
                Err(problem) => {
                    if problem == ApiError::WrongCredentials {
                        password.set_value("");
                        let _ = password.focus();
                    }
                    error.set(Some(problem));
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
                            autocapitalize="none" spellcheck="false" required autofocus node_ref=username
                        />
                    </div>
                    <div class="field">
                        <label for="password">"Password"</label>
                        <input
                            class="input" id="password" name="password" type="password"
                            autocomplete="current-password" required node_ref=password
                        />
                    </div>
                    {move || error.get().map(|error| view! { <Problem error/> })}
                    <button
                        class="button button--primary button--wide" type="submit" disabled=move || !mounted.get()
                        aria-disabled=move || busy.get().then_some("true")
                    >
                        {move || if busy.get() { "Signing in…" } else { "Sign in" }}
                    </button>
                </form>
            </div>
        </main>
    }
}
