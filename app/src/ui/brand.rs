use leptos::prelude::*;

use super::view;

/// The mark: a volt's bolt through a gate that closes.
#[component]
pub fn Brand() -> impl IntoView {
    view! {
        <span class="brand">
            <svg class="brand__mark" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
                <path class="brand__gate" d="M12 1.5l9 5v11l-9 5l-9-5v-11z"></path>
                <path class="brand__bolt" d="M13.6 4.6L7 13.2h4.1l-.9 6.2L17 10.7h-4.2z"></path>
            </svg>
            <span class="brand__name">"Voltaxe " <span class="brand__product">"Sentinel"</span></span>
        </span>
    }
}
