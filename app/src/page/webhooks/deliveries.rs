use std::time::Duration;

use leptos::prelude::*;

use crate::{
    api,
    error::ApiError,
    model::Delivery,
    page::{
        ask::{Ask, Asked},
        problem,
    },
    ui::{
        Item, Moment, all, cell,
        dom::{effect, every, spawn},
        list, maybe, row, said, table, view, words,
    },
};

const AGAIN: Duration = Duration::from_secs(3);

/// The newest deliveries of a webhook, asked for again and again while they are shown.
#[component]
pub fn Deliveries(id: String) -> impl IntoView {
    let rows = RwSignal::new(None::<Vec<Delivery>>);
    let error = RwSignal::new(None::<ApiError>);
    let load = Callback::new(move |()| {
        let found = api::webhook_deliveries(id.clone());
        spawn(async move {
            match found.await {
                Ok(found) => {
                    rows.try_set(Some(found));
                    error.try_set(None);
                }
                Err(refused) => _ = error.try_set(Some(refused)),
            }
        });
    });
    effect(move || load.run(()));
    every(AGAIN, move || load.run(()));
    let is_empty = Memo::new(move |_| rows.read().as_ref().is_some_and(Vec::is_empty));
    let items = move || {
        let rows = rows.get().unwrap_or_default();
        rows.into_iter().map(|delivery| item(delivery, load)).collect()
    };
    view! {
        {problem(error)}
        {maybe(move || is_empty.get().then(|| words("p", "muted", "Nothing was sent yet.")))}
        {table("Deliveries", &["Event", "When", "State", "Last answer"], list(items))}
    }
}

fn item(delivery: Delivery, load: Callback<()>) -> Item {
    let key = [&delivery.id, " ", &delivery.state_words(), &delivery.answer_words()].concat();
    Item::new(key, move || line(&delivery, load))
}

fn line(delivery: &Delivery, load: Callback<()>) -> AnyView {
    let id = delivery.id.clone();
    let retry = (!delivery.is_delivered()).then(|| {
        let ask = Callback::new(move |()| {
            let asked = api::change_webhook(["action=retry&id=", &id].concat());
            Box::pin(async move {
                asked.await?;
                load.run(());
                Ok(())
            }) as Asked
        });
        view! { <Ask name="Retry now" may=true ask/> }
    });
    row(
        delivery.event.clone().into_any(),
        vec![
            cell("When", view! { <Moment at=delivery.created_at/> }),
            cell("State", all([delivery.state_words().into_any(), retry.unwrap_or_else(|| ().into_any())])),
            cell("Last answer", said(delivery.answer_words())),
        ],
    )
}
