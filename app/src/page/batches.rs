//! `/batches`: orders to many hosts at once.

use leptos::prelude::*;
use leptos_meta::Title;

use super::{
    Problem,
    ask::{Load, More},
    start::{Page, Start, Started, start},
};
use crate::{
    api,
    live::Mark,
    model::{Batch, Listed},
    ui::{Item, Moment, cell, list, maybe, row, table},
};

#[component]
pub fn Batches() -> impl IntoView {
    view! {
        <Title text="Batches"/>
        <div class="head">
            <h1>"Batches"</h1>
            <p class="muted">"One order to many hosts. Select hosts on the page Endpoints to make one."</p>
        </div>
        {start(|| Page::Batches, draw)}
    }
}

fn draw(started: Started, _: Mark) -> AnyView {
    match started {
        Ok(Start::Batches(batches)) => view! { <Loaded batches/> }.into_any(),
        Ok(_) => ().into_any(),
        Err(error) => view! { <Problem error/> }.into_any(),
    }
}

#[component]
fn Loaded(batches: Listed<Batch>) -> impl IntoView {
    let (batches, older) = (RwSignal::new(batches.rows), RwSignal::new(batches.next));
    let rows = move || {
        let item = |batch: Batch| Item::new(batch.id.clone(), move || line(&batch));
        batches.get().into_iter().map(item).collect()
    };
    let load: Load = Callback::new(move |before| {
        Box::pin(async move {
            let found = api::batches(Some(before)).await?;
            batches.try_update(|batches| batches.extend(found.rows));
            Ok(found.next)
        }) as _
    });
    let is_empty = Memo::new(move |_| batches.read().is_empty());
    view! {
        {maybe(move || is_empty.get().then(|| view! { <p class="muted">"There is no batch yet."</p> }.into_any()))}
        {table("Batches", &["Batch", "When", "By", "Reason", "Remarks"], list(rows))}
        <More name="Load older batches" next=older load/>
    }
}

fn line(batch: &Batch) -> AnyView {
    let head = view! { <a class="row__link" href=format!("/batches/{}", batch.id)>{batch.title()}</a> };
    row(
        head.into_any(),
        vec![
            cell("When", view! { <Moment at=batch.created_at/> }.into_any()),
            cell("By", batch.created_by.clone().into_any()),
            cell("Reason", batch.reason.clone().into_any()),
            cell("Remarks", batch.remarks().into_any()),
        ],
    )
}
