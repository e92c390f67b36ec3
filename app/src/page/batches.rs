//! `/batches`: orders to many hosts at once.

use leptos::prelude::*;
use leptos_meta::Title;

use super::{
    Problem,
    ask::{Load, More},
    start::{Started, start},
};
use crate::{
    api,
    live::Mark,
    model::{Batch, Listed},
    ui::{Item, Moment, cell, list, maybe, row, table, view},
};

#[component]
pub fn Batches() -> impl IntoView {
    view! {
        <Title text="Batches"/>
        <div class="head">
            <h1>"Batches"</h1>
            <p class="muted">"One order to many hosts. Select hosts on the page Endpoints to make one."</p>
        </div>
        {start(String::new, |_| api::batches(None), draw)}
    }
}

fn draw(started: Started<Listed<Batch>>, _mark: Mark) -> AnyView {
    match started {
        Ok(batches) => view! { <Loaded batches/> },
        Err(error) => view! { <Problem error/> },
    }
}

#[component]
fn Loaded(batches: Listed<Batch>) -> impl IntoView {
    let (rows, older) = (RwSignal::new(items(batches.rows)), RwSignal::new(batches.next));
    let load: Load = Callback::new(move |before| {
        Box::pin(async move {
            let found = api::batches(Some(before)).await?;
            rows.try_update(|rows| rows.extend(items(found.rows)));
            Ok(found.next)
        }) as _
    });
    let is_empty = Memo::new(move |_| rows.read().is_empty());
    view! {
        {maybe(move || is_empty.get().then(|| view! { <p class="muted">"There is no batch yet."</p> }))}
        {table("Batches", &["Batch", "When", "By", "Reason", "Remarks"], list(move || rows.get()))}
        <More name="Load older batches" next=older load/>
    }
}

fn items(batches: Vec<Batch>) -> Vec<Item> {
    batches.into_iter().map(|batch| Item::new(batch.id.clone(), move || line(&batch))).collect()
}

fn line(batch: &Batch) -> AnyView {
    let head = view! { <a class="row__link" href=format!("/batches/{}", batch.id)>{batch.title()}</a> };
    row(
        head.into_any(),
        vec![
            cell("When", view! { <Moment at=batch.created_at/> }),
            cell("By", batch.created_by.clone().into_any()),
            cell("Reason", batch.reason.clone().into_any()),
            cell("Remarks", batch.remarks().into_any()),
        ],
    )
}
