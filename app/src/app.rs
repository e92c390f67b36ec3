use leptos::prelude::*;
use leptos_meta::{Title, provide_meta_context};
use leptos_router::{
    SsrMode,
    components::{FlatRoutes, Route, Router},
    path,
};

use crate::{
    clock::Clock,
    codec::PageJson,
    model::session::Visitor,
    page::{
        BatchPage, Batches, Commands, Console, Desk, EndpointPage, Endpoints, Enrol, Login, NotFound,
        Schedules, Setup,
    },
};

/// The dashboard, on both sides. The server must have provided [`crate::api::caller::Caller`] as context.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    let visitor = visitor();
    let is_signed_in = visitor.session.is_some();
    provide_context(visitor);
    Clock::provide();
    if is_signed_in {
        Desk::provide();
    }

    // Async: the status of a page is known before its first byte, and without JavaScript it is complete.
    view! {
        <Title formatter=|title: String| {
            if title.is_empty() { "Voltaxe Sentinel".to_owned() } else { format!("{title} · Voltaxe Sentinel") }
        }/>
        <Router>
            <FlatRoutes fallback=NotFound>
                <Route path=path!("/login") view=Login ssr=SsrMode::Async/>
                <Route path=path!("/setup") view=Setup ssr=SsrMode::Async/>
                <Route path=path!("/") view=|| view! { <Console><Endpoints/></Console> } ssr=SsrMode::Async/>
                <Route
                    path=path!("/endpoints/:id") view=|| view! { <Console><EndpointPage/></Console> } ssr=SsrMode::Async
                />
                <Route path=path!("/commands") view=|| view! { <Console><Commands/></Console> } ssr=SsrMode::Async/>
                <Route path=path!("/batches") view=|| view! { <Console><Batches/></Console> } ssr=SsrMode::Async/>
                <Route path=path!("/batches/:id") view=|| view! { <Console><BatchPage/></Console> } ssr=SsrMode::Async/>
                <Route path=path!("/schedules") view=|| view! { <Console><Schedules/></Console> } ssr=SsrMode::Async/>
                <Route path=path!("/enrol") view=|| view! { <Console><Enrol/></Console> } ssr=SsrMode::Async/>
            </FlatRoutes>
        </Router>
    }
}

/// Signing in and out load the page anew, so this holds for as long as the page does.
fn visitor() -> Visitor {
    #[cfg(feature = "ssr")]
    let visitor = crate::api::caller::visitor;
    #[cfg(not(feature = "ssr"))]
    let visitor = Visitor::default;
    SharedValue::<_, PageJson>::new_with_encoding(visitor).into_inner()
}
