use std::time::Duration;

use leptos::prelude::*;

use crate::{
    api,
    model::{Enrolment, ListedToken},
    page::{
        ask::{Ask, Asked},
        session,
    },
    ui::{
        Item, Moment, cell,
        dom::{every, spawn},
        list, maybe, row, said, table, view, words,
    },
};

const AGAIN: Duration = Duration::from_secs(10);

/// There are no events of tokens: they are asked for again.
pub fn keep_fresh(shown: RwSignal<Enrolment>) {
    every(AGAIN, move || {
        spawn(async move {
            if let Ok(enrolment) = api::enrolment().await
                && shown.try_with_untracked(|shown| *shown != enrolment) == Some(true)
            {
                shown.try_set(enrolment);
            }
        });
    });
}

/// What may still be used, and what has ended in the last days.
#[component]
pub fn Tokens(shown: RwSignal<Enrolment>) -> impl IntoView {
    if !session().enrol.yes {
        return ().into_any();
    }
    let is_empty = Memo::new(move |_| shown.read().tokens.is_empty());
    let columns = &["Label", "State", "Hosts left", "Ends", "Created", "By"];
    view! {
        <h2>"Enrol commands"</h2>
        <p class="muted">"What a command holds is shown once, when it is created. One that was lost is revoked here."</p>
        {maybe(move || is_empty.get().then(|| words("p", "muted", "There is none that could be used.")))}
        {table("Enrol commands", columns, list(move || shown.get().tokens.into_iter().map(|token| item(token, shown)).collect()))}
    }
}

fn item(token: ListedToken, shown: RwSignal<Enrolment>) -> Item {
    Item::new(format!("{} {} {}", token.id, token.uses_left, token.is_open), move || line(&token, shown))
}

fn line(token: &ListedToken, shown: RwSignal<Enrolment>) -> AnyView {
    let label = if token.label.is_empty() { "No label".to_owned() } else { token.label.clone() };
    let name = ["Revoke ", &label].concat();
    row(
        said(label),
        vec![
            cell("State", if token.is_open { revoke(token.id, name, shown) } else { "Ended".into_any() }),
            cell("Hosts left", token.uses_left.to_string().into_any()),
            cell("Ends", view! { <Moment at=token.expires_at relative=false/> }),
            cell("Created", view! { <Moment at=token.created_at/> }),
            cell("By", token.created_by.clone().into_any()),
        ],
    )
}

fn revoke(id: i64, name: String, shown: RwSignal<Enrolment>) -> AnyView {
    let ask = Callback::new(move |()| {
        Box::pin(async move {
            shown.try_set(api::revoke_enrolment_token(id).await?);
            Ok(())
        }) as Asked
    });
    view! { <Ask name may=true ask/> }
}
