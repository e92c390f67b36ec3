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
        BatchPage, Batches, Commands, Console, Desk, EndpointPage, Endpoints, Enrol, Evidence, EvidenceList,
        Login, NotFound, Processes, Schedules, Setup, split,
    },
    ui::view,
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
                <Route path=path!("/login") view=LOGIN ssr=SsrMode::Async/>
                <Route path=path!("/setup") view=SETUP ssr=SsrMode::Async/>
                <Route path=path!("/") view=ENDPOINTS ssr=SsrMode::Async/>
                <Route path=path!("/endpoints/:id") view=ENDPOINT ssr=SsrMode::Async/>
                <Route path=path!("/endpoints/:id/processes") view=PROCESSES ssr=SsrMode::Async/>
                <Route path=path!("/endpoints/:id/evidence") view=EVIDENCE_LIST ssr=SsrMode::Async/>
                <Route path=path!("/evidence/:id") view=EVIDENCE ssr=SsrMode::Async/>
                <Route path=path!("/commands") view=COMMANDS ssr=SsrMode::Async/>
                <Route path=path!("/batches") view=BATCHES ssr=SsrMode::Async/>
                <Route path=path!("/batches/:id") view=BATCH ssr=SsrMode::Async/>
                <Route path=path!("/schedules") view=SCHEDULES ssr=SsrMode::Async/>
                <Route path=path!("/enrol") view=ENROL ssr=SsrMode::Async/>
            </FlatRoutes>
        </Router>
    }
}

/// Functions of one type, as the router is generic over what draws a page.
type Page = fn() -> AnyView;

const LOGIN: Page = || view! { <Login/> };
const SETUP: Page = || split(|| Box::pin(setup()));
const ENDPOINTS: Page = || view! { <Console><Endpoints/></Console> };
const ENDPOINT: Page = || view! { <Console><EndpointPage/></Console> };
const PROCESSES: Page = || view! { <Console><Processes/></Console> };
const EVIDENCE_LIST: Page = || view! { <Console><EvidenceList/></Console> };
const EVIDENCE: Page = || view! { <Console><Evidence/></Console> };
const COMMANDS: Page = || view! { <Console><Commands/></Console> };
const BATCHES: Page = || view! { <Console><Batches/></Console> };
const BATCH: Page = || view! { <Console><BatchPage/></Console> };
const SCHEDULES: Page = || view! { <Console><Schedules/></Console> };
const ENROL: Page = || view! { <Console>{split(|| Box::pin(enrol()))}</Console> };

#[lazy]
fn setup() -> AnyView {
    view! { <Setup/> }
}

#[lazy]
fn enrol() -> AnyView {
    view! { <Enrol/> }
}

/// Signing in and out load the page anew, so this holds for as long as the page does.
fn visitor() -> Visitor {
    #[cfg(feature = "ssr")]
    let visitor = crate::api::caller::visitor;
    #[cfg(not(feature = "ssr"))]
    let visitor = Visitor::default;
    SharedValue::<_, PageJson>::new_with_encoding(visitor).into_inner()
}
