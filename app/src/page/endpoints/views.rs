use leptos::{ev::SubmitEvent, prelude::*};

use super::list::List;
use crate::{
    api,
    error::ApiError,
    model::fleet::SavedView,
    page::{code::Extra, problem},
    ui::{
        all,
        dom::{effect, input_value, spawn},
        field::choice,
        form, part, view,
    },
};

/// Lists to come back to. Asked for when they are opened.
#[component]
pub fn SavedViews(list: List) -> impl IntoView {
    let opened = RwSignal::new(0_u32);
    view! {
        <details class="menu" on:toggle=move |_| opened.update(|opened| *opened += 1)>
            <summary class="button button--small">"Views"</summary>
            <div class="menu__body">{Extra::SavedViews(Box::new(list), opened).draw_when(move || opened.get() > 0)}</div>
        </details>
    }
}

pub fn saved_views(list: List, opened: RwSignal<u32>) -> AnyView {
    let views = RwSignal::new(None::<Vec<SavedView>>);
    let error = RwSignal::new(None::<ApiError>);
    let answered = move |answer: Result<Vec<SavedView>, ApiError>| match answer {
        Ok(found) => {
            views.try_set(Some(found));
            error.try_set(None);
        }
        Err(refused) => _ = error.try_set(Some(refused)),
    };
    effect(move || {
        opened.track();
        if views.with_untracked(Option::is_none) {
            spawn(async move { answered(api::saved_views().await) });
        }
    });
    let save = move |event: SubmitEvent| {
        event.prevent_default();
        let name = input_value("view-name");
        let is_shared = form::encoded("view-form").contains("shared=");
        let query = list.query.get_untracked().text();
        spawn(async move { answered(api::save_view(name, query, is_shared).await) });
    };
    let delete = move |id: String| spawn(async move { answered(api::delete_view(id).await) });
    let line = move |saved: SavedView| {
        let href = if saved.query.is_empty() { "/".to_owned() } else { format!("/?{}", saved.query) };
        let id = saved.id;
        let end = match (saved.by, saved.is_shared) {
            (Some(by), _) => view! { <span class="muted">{by}</span> },
            (None, is_shared) => view! {
                {is_shared.then(|| view! { <span class="muted">"shared"</span> })}
                <button
                    class="button button--small button--quiet" type="button" aria-label=format!("Delete {}", saved.name)
                    on:click=move |_| delete(id.clone())
                >
                    "Delete"
                </button>
            },
        };
        view! { <li><a href=href><bdi>{saved.name.clone()}</bdi></a>{end}</li> }
    };
    view! {
        {part(move || match views.get() {
            None => ().into_any(),
            Some(found) if found.is_empty() => view! { <p class="muted">"No view is saved yet."</p> },
            Some(found) => view! { <ul class="views">{all(found.into_iter().map(line))}</ul> },
        })}
        <form class="form" id="view-form" on:submit=save>
            <label for="view-name">"Save this list as"</label>
            <input class="input" id="view-name" name="name" type="text" maxlength="60" required autocomplete="off"/>
            {choice("shared", "Show it to everybody", false)}
            <button class="button button--small" type="submit">"Save"</button>
        </form>
        {problem(error)}
    }
}
