use std::pin::Pin;

use leptos::prelude::*;

use super::problem;
use crate::{
    clock::mounted,
    error::ApiError,
    ui::{dom::spawn, maybe, view},
};

/// What a press asks of the server.
pub type Asked = Pin<Box<dyn Future<Output = Result<(), ApiError>>>>;

/// A button that asks the server for something, once at a time, and shows why the server refused.
#[component]
pub fn Ask(
    #[prop(into)] name: String,
    #[prop(default = "button button--small")] class: &'static str,
    /// Whether this operator may; why not is said beside it.
    may: bool,
    ask: Callback<(), Asked>,
) -> impl IntoView {
    let mounted = mounted();
    let (error, busy) = (RwSignal::new(None::<ApiError>), RwSignal::new(false));
    let press = move |_| {
        if !may || busy.get_untracked() {
            return;
        }
        busy.set(true);
        error.set(None);
        let asked = ask.run(());
        spawn(async move {
            if let Err(refused) = asked.await {
                error.try_set(Some(refused));
            }
            busy.try_set(false);
        });
    };
    view! {
        <button
            class=class type="button" on:click=press disabled=move || !mounted.get()
            aria-disabled=move || (!may || busy.get()).then_some("true")
        >
            {name}
        </button>
        {problem(error)}
    }
}

/// Loads the next part of a list: given where it begins, it puts the rows into the page and answers where the one after it
/// begins.
pub type Load = Callback<i64, Pin<Box<dyn Future<Output = Result<Option<i64>, ApiError>>>>>;

/// A button below a list, for as long as there is more of it.
#[component]
pub fn More(name: &'static str, next: RwSignal<Option<i64>>, load: Load) -> impl IntoView {
    let ask = Callback::new(move |()| {
        let part = next.get_untracked().map(|from| load.run(from));
        Box::pin(async move {
            if let Some(part) = part {
                let then = part.await?;
                next.try_set(then);
            }
            Ok(())
        }) as Asked
    });
    let has_more = Memo::new(move |_| next.read().is_some());
    maybe(move || {
        has_more.get().then(|| {
            view! { <p class="more"><Ask name class="button" may=true ask/></p> }
        })
    })
}
