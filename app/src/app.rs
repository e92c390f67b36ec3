use leptos::prelude::*;
use leptos_meta::{Title, provide_meta_context};
use leptos_router::{
    SsrMode,
    components::{ParentRoute, Route, Router, Routes},
    path,
};

use crate::{
    clock::Clock,
    model::session::Visitor,
    page::{Console, EndpointPage, Endpoints, Enrol, Login, NotFound, Setup},
};

/// The dashboard, on both sides. The server must have provided [`crate::api::caller::Caller`] as context.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    provide_context(visitor());
    Clock::provide();

    // Async: the status of a page is known before its first byte, and without JavaScript it is complete.
    view! {
        <Title formatter=|title: String| {
            if title.is_empty() { "Voltaxe Sentinel".to_owned() } else { format!("{title} · Voltaxe Sentinel") }
        }/>
        <Router>
            <Routes fallback=NotFound>
                <Route path=path!("/login") view=Login ssr=SsrMode::Async/>
                <Route path=path!("/setup") view=Setup ssr=SsrMode::Async/>
                <ParentRoute path=path!("") view=Console ssr=SsrMode::Async>
                    <Route path=path!("") view=Endpoints ssr=SsrMode::Async/>
                    <Route path=path!("/endpoints/:id") view=EndpointPage ssr=SsrMode::Async/>
                    <Route path=path!("/enrol") view=Enrol ssr=SsrMode::Async/>
                </ParentRoute>
            </Routes>
        </Router>
    }
}

/// Signing in and out load the page anew, so this holds for as long as the page does.
fn visitor() -> Visitor {
    #[cfg(feature = "ssr")]
    let visitor = crate::api::caller::visitor;
    #[cfg(not(feature = "ssr"))]
    let visitor = Visitor::default;
    SharedValue::new(visitor).into_inner()
}
