//! The data that a page starts with: in the server's HTML on the first page of a tab, else fetched.

use std::pin::Pin;

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    api,
    codec::PageJson,
    error::ApiError,
    live::{Live, Mark},
    model::{
        ApiToken, Batch, BatchPage, CommandPage, EndpointPage, Enrolment, Listed, SchedulesPage, Sheet,
        SheetOf, Webhook, fleet::FleetPage,
    },
    ui::{loaded, view},
};

/// One type for all pages, so that what waits for it is in the wasm once.
#[derive(Clone, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Start {
    Endpoints(FleetPage),
    Endpoint(EndpointPage),
    Commands(CommandPage),
    Batches(Listed<Batch>),
    Batch(BatchPage),
    Schedules(SchedulesPage),
    Sheet(Sheet),
    Webhooks(Vec<Webhook>),
    Enrolment(Enrolment),
    Tokens(Vec<ApiToken>),
}

/// Which page, with what its address names.
#[derive(Clone, PartialEq)]
pub enum Page {
    /// By the query of its address.
    Endpoints(String),
    Endpoint(String),
    /// What its address asks for.
    Commands(String),
    Batches,
    Batch(String),
    Schedules,
    Sheet(SheetOf),
    Webhooks,
    Enrolment,
    Tokens,
}

pub type Started = Result<Start, ApiError>;

/// How many schedules of each list are shown at first.
pub const SCHEDULES: i64 = 50;

/// What draws a page.
pub type Draw = fn(Started, Mark) -> AnyView;

/// Draws the page once its data is there, and anew for another address. The mark is from before the data was made.
pub fn start(page: impl Fn() -> Page + Send + Sync + 'static, draw: Draw) -> AnyView {
    begin(Box::new(page), draw)
}

fn begin(page: Box<dyn Fn() -> Page + Send + Sync>, draw: Draw) -> AnyView {
    let live = Live::expect();
    // What is fetched has a mark of its own. What came with the page is older than its code, which may load for a while.
    let mark = StoredValue::new(Mark::START);
    let started = Resource::<Started, PageJson>::new_with_options(
        page,
        move |page| {
            mark.set_value(live.mark());
            fetch(page)
        },
        true,
    );
    view! {
        <Suspense fallback=|| view! { <p class="muted" role="status">"Loading…"</p> }>
            {loaded(move || async move { draw(started.await, mark.get_value()) })}
        </Suspense>
    }
}

fn fetch(page: Page) -> Pin<Box<dyn Future<Output = Started> + Send>> {
    Box::pin(async move {
        match page {
            Page::Endpoints(query) => api::endpoints(query).await.map(Start::Endpoints),
            Page::Endpoint(id) => api::endpoint(id).await.map(Start::Endpoint),
            Page::Commands(query) => api::command_page(query).await.map(Start::Commands),
            Page::Batches => api::batches(None).await.map(Start::Batches),
            Page::Batch(id) => api::batch(id).await.map(Start::Batch),
            Page::Tokens => api::api_tokens().await.map(Start::Tokens),
            Page::Sheet(of) => api::sheet(of).await.map(Start::Sheet),
            Page::Webhooks => api::webhooks().await.map(Start::Webhooks),
            Page::Enrolment => api::enrolment().await.map(Start::Enrolment),
            Page::Schedules => api::schedules(SCHEDULES, SCHEDULES).await.map(Start::Schedules),
        }
    })
}
