use std::pin::Pin;

use leptos::prelude::*;
use leptos_meta::{Title, provide_meta_context};
use leptos_router::{
    ChooseView, SsrMode,
    components::{FlatRoutes, Route, Router},
    path,
};

use crate::{
    clock::Clock,
    codec::PageJson,
    model::session::Visitor,
    page::{
        Audit, AuditRow, BatchPage, Batches, CommandPage, Commands, Console, Desk, EndpointPage, Endpoints,
        Enrol, Evidence, EvidenceList, Health, Keyboard, Login, NotFound, OperatorPage, Operators, Processes,
        Schedules, Settings, Setup, Tokens, Webhooks,
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
                <Route path=path!("/audit") view=AUDIT ssr=SsrMode::Async/>
                <Route path=path!("/audit/:id") view=AUDIT_ROW ssr=SsrMode::Async/>
                <Route path=path!("/operators") view=OPERATORS ssr=SsrMode::Async/>
                <Route path=path!("/operators/:id") view=OPERATOR ssr=SsrMode::Async/>
                <Route path=path!("/settings") view=SETTINGS ssr=SsrMode::Async/>
                <Route path=path!("/health") view=HEALTH ssr=SsrMode::Async/>
                <Route path=path!("/commands/:id") view=COMMAND ssr=SsrMode::Async/>
                <Route path=path!("/tokens") view=TOKENS ssr=SsrMode::Async/>
                <Route path=path!("/enrol") view=ENROL ssr=SsrMode::Async/>
                <Route path=path!("/webhooks") view=WEBHOOKS ssr=SsrMode::Async/>
            </FlatRoutes>
        </Router>
        {is_signed_in.then(|| view! { <Keyboard/> })}
    }
}

/// Draws a page. One type for all of them, as the router is generic over it. The list of endpoints comes with the first load, the
/// code of every other page when it is asked for (`cargo leptos build --split`). With the list split off as well, what it loads is
/// a third larger (398 kB of brotli against 286 kB): little is left that two pages do not share.
#[derive(Clone, Copy)]
struct Page(fn() -> Pin<Box<dyn Future<Output = AnyView>>>);

impl ChooseView for Page {
    async fn choose(self) -> AnyView {
        (self.0)().await
    }

    async fn preload(&self) {}
}

const ENDPOINTS: Page = Page(|| Box::pin(async { view! { <Console><Endpoints/></Console> }.into_any() }));
const LOGIN: Page = Page(|| Box::pin(login()));
const SETUP: Page = Page(|| Box::pin(setup()));
const ENDPOINT: Page = Page(|| Box::pin(endpoint()));
const PROCESSES: Page = Page(|| Box::pin(processes()));
const EVIDENCE_LIST: Page = Page(|| Box::pin(evidence_list()));
const EVIDENCE: Page = Page(|| Box::pin(evidence()));
const COMMANDS: Page = Page(|| Box::pin(commands()));
const BATCHES: Page = Page(|| Box::pin(batches()));
const BATCH: Page = Page(|| Box::pin(batch()));
const SCHEDULES: Page = Page(|| Box::pin(schedules()));
const TOKENS: Page = Page(|| Box::pin(tokens()));
const ENROL: Page = Page(|| Box::pin(enrol()));
const WEBHOOKS: Page = Page(|| Box::pin(webhooks()));
const AUDIT: Page = Page(|| Box::pin(audit()));
const AUDIT_ROW: Page = Page(|| Box::pin(audit_row()));
const OPERATORS: Page = Page(|| Box::pin(operators()));
const OPERATOR: Page = Page(|| Box::pin(operator()));
const SETTINGS: Page = Page(|| Box::pin(settings()));
const HEALTH: Page = Page(|| Box::pin(health()));
const COMMAND: Page = Page(|| Box::pin(command()));

#[lazy]
fn login() -> AnyView {
    view! { <Login/> }.into_any()
}

#[lazy]
fn setup() -> AnyView {
    view! { <Setup/> }.into_any()
}

#[lazy]
fn endpoint() -> AnyView {
    view! { <Console><EndpointPage/></Console> }.into_any()
}

#[lazy]
fn processes() -> AnyView {
    view! { <Console><Processes/></Console> }.into_any()
}

#[lazy]
fn evidence_list() -> AnyView {
    view! { <Console><EvidenceList/></Console> }.into_any()
}

#[lazy]
fn evidence() -> AnyView {
    view! { <Console><Evidence/></Console> }.into_any()
}

#[lazy]
fn commands() -> AnyView {
    view! { <Console><Commands/></Console> }.into_any()
}

#[lazy]
fn batches() -> AnyView {
    view! { <Console><Batches/></Console> }.into_any()
}

#[lazy]
fn batch() -> AnyView {
    view! { <Console><BatchPage/></Console> }.into_any()
}

#[lazy]
fn schedules() -> AnyView {
    view! { <Console><Schedules/></Console> }.into_any()
}

#[lazy]
fn tokens() -> AnyView {
    view! { <Console><Tokens/></Console> }.into_any()
}

#[lazy]
fn enrol() -> AnyView {
    view! { <Console><Enrol/></Console> }.into_any()
}

#[lazy]
fn webhooks() -> AnyView {
    view! { <Console><Webhooks/></Console> }.into_any()
}

#[lazy]
fn audit() -> AnyView {
    view! { <Console><Audit/></Console> }.into_any()
}

#[lazy]
fn audit_row() -> AnyView {
    view! { <Console><AuditRow/></Console> }.into_any()
}

#[lazy]
fn operators() -> AnyView {
    view! { <Console><Operators/></Console> }.into_any()
}

#[lazy]
fn operator() -> AnyView {
    view! { <Console><OperatorPage/></Console> }.into_any()
}

#[lazy]
fn settings() -> AnyView {
    view! { <Console><Settings/></Console> }.into_any()
}

#[lazy]
fn health() -> AnyView {
    view! { <Console><Health/></Console> }.into_any()
}

#[lazy]
fn command() -> AnyView {
    view! { <Console><CommandPage/></Console> }.into_any()
}

/// Signing in and out load the page anew, so this holds for as long as the page does.
fn visitor() -> Visitor {
    #[cfg(feature = "ssr")]
    let visitor = crate::api::caller::visitor;
    #[cfg(not(feature = "ssr"))]
    let visitor = Visitor::default;
    SharedValue::<_, PageJson>::new_with_encoding(visitor).into_inner()
}
