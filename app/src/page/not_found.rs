use leptos::prelude::*;
use leptos_meta::Title;

use crate::ui::{Brand, view};

#[component]
pub fn NotFound() -> impl IntoView {
    #[cfg(feature = "ssr")]
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
        response.set_status(axum::http::StatusCode::NOT_FOUND);
    }
    super::arrival::is_there();
    view! {
        <Title text="Not found"/>
        <main class="gate" id="main">
            <div class="gate__card">
                <Brand/>
                <h1>"There is no such page"</h1>
                <p>"The address leads nowhere on this server. It may have been mistyped, or the link is old."</p>
                <p><a class="button button--primary" href="/">"All endpoints"</a></p>
            </div>
        </main>
    }
}
