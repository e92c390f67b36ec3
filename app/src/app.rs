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
        Access, Console, Desk, Endpoints, Login, NotFound, Orders, Setup, Sheets, access, endpoint, keyboard,
        orders, page, sheets,
    },
    ui::{Code, Drawn, NotLoaded, view},
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

    // Async: the status of a page is known before its first byte, and without JavaScript all that needs none is there.
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
        {is_signed_in.then(keyboard)}
    }
}

/// Draws a page. One type for all of them, as the router is generic over it. The sign-in and the list of endpoints come with the
/// first load, the code of other pages when it is asked for.
#[derive(Clone, Copy)]
struct Page(fn() -> Code);

impl ChooseView for Page {
    async fn choose(self) -> AnyView {
        page(self.0).await
    }

    async fn preload(&self) {}
}

const ENDPOINTS: Page = Page(|| Box::pin(list()));
const LOGIN: Page = Page(|| Box::pin(login()));
const SETUP: Page = Page(|| Box::pin(setup()));
const ENDPOINT: Page = Page(|| Box::pin(endpoint()));
const COMMANDS: Page = Page(|| Box::pin(orders(Orders::Commands)));
const BATCHES: Page = Page(|| Box::pin(orders(Orders::Batches)));
const BATCH: Page = Page(|| Box::pin(orders(Orders::Batch)));
const SCHEDULES: Page = Page(|| Box::pin(orders(Orders::Schedules)));
const TOKENS: Page = Page(|| Box::pin(access(Access::Tokens)));
const ENROL: Page = Page(|| Box::pin(access(Access::Enrol)));
const WEBHOOKS: Page = Page(|| Box::pin(access(Access::Webhooks)));
const PROCESSES: Page = Page(|| Box::pin(sheets(Sheets::Processes)));
const EVIDENCE_LIST: Page = Page(|| Box::pin(sheets(Sheets::EvidenceList)));
const EVIDENCE: Page = Page(|| Box::pin(sheets(Sheets::Evidence)));
const AUDIT: Page = Page(|| Box::pin(sheets(Sheets::Audit)));
const AUDIT_ROW: Page = Page(|| Box::pin(sheets(Sheets::AuditRow)));
const OPERATORS: Page = Page(|| Box::pin(sheets(Sheets::Operators)));
const OPERATOR: Page = Page(|| Box::pin(sheets(Sheets::Operator)));
const SETTINGS: Page = Page(|| Box::pin(sheets(Sheets::Settings)));
const HEALTH: Page = Page(|| Box::pin(sheets(Sheets::Health)));
const COMMAND: Page = Page(|| Box::pin(sheets(Sheets::Command)));

async fn list() -> Result<Drawn, NotLoaded> {
    Ok(Box::new(|| view! { <Console><Endpoints/></Console> }))
}

async fn login() -> Result<Drawn, NotLoaded> {
    Ok(Box::new(|| view! { <Login/> }))
}

async fn setup() -> Result<Drawn, NotLoaded> {
    Ok(Box::new(|| view! { <Setup/> }))
}

/// Signing in and out load the page anew, so this holds for as long as the page does.
fn visitor() -> Visitor {
    #[cfg(feature = "ssr")]
    let visitor = crate::api::caller::visitor;
    #[cfg(not(feature = "ssr"))]
    let visitor = Visitor::default;
    SharedValue::<_, PageJson>::new_with_encoding(visitor).into_inner()
}
