//! The pieces that the code is loaded in (`cargo leptos build --split`), besides the one that a tab starts with. Each gives what
//! draws: a page or a part of one.
//!
//! What some pieces share becomes a file of its own for every set of them that shares it. With a piece for each page there were two
//! hundred files, most of them of 200 bytes, and an endpoint's page took fifty: pages with much in common are one piece.

use leptos::prelude::*;

use super::{
    audit::{Audit, AuditRow},
    batch::BatchPage,
    batches::Batches,
    bulk_dialog::{BulkDraft, bulk_dialog},
    command::CommandPage,
    commands::Commands,
    console::{Console, keys_and_palette, outgoing_bar},
    endpoint::{EndpointPage, charts},
    endpoints::{List, saved_views},
    enrol::{Enrol, first_enrolment},
    evidence::{Evidence, EvidenceList},
    health::Health,
    operators::{OperatorPage, Operators},
    order_dialog::{Draft, order_dialog},
    processes::Processes,
    schedules::Schedules,
    settings::Settings,
    tokens::Tokens,
    webhooks::Webhooks,
};
use crate::{
    model::{Order, order::Sent},
    ui::{Drawn, later, piece, view},
};

piece! {
    pub fn endpoint() -> Drawn {
        Box::new(|| view! { <Console><EndpointPage/></Console> })
    }
}

/// What was ordered and will be.
#[derive(Clone, Copy)]
pub enum Orders {
    Commands,
    Batches,
    Batch,
    Schedules,
}

piece! {
    pub fn orders(page: Orders) -> Drawn {
        let page = move || match page {
            Orders::Commands => view! { <Commands/> },
            Orders::Batches => view! { <Batches/> },
            Orders::Batch => view! { <BatchPage/> },
            Orders::Schedules => view! { <Schedules/> },
        };
        Box::new(move || view! { <Console>{page()}</Console> })
    }
}

/// Who and what may speak with this server.
#[derive(Clone, Copy)]
pub enum Access {
    Enrol,
    /// A part of the list while it is empty, and no page.
    FirstEnrolment,
    Tokens,
    Webhooks,
}

piece! {
    pub fn access(what: Access) -> Drawn {
        Box::new(move || match what {
            Access::Enrol => view! { <Console><Enrol/></Console> },
            Access::FirstEnrolment => first_enrolment(),
            Access::Tokens => view! { <Console><Tokens/></Console> },
            Access::Webhooks => view! { <Console><Webhooks/></Console> },
        })
    }
}

/// Pages that the server writes as sheets.
#[derive(Clone, Copy)]
pub enum Sheets {
    Audit,
    AuditRow,
    Command,
    Evidence,
    EvidenceList,
    Health,
    Operator,
    Operators,
    Processes,
    Settings,
}

piece! {
    pub fn sheets(page: Sheets) -> Drawn {
        let page = move || match page {
            Sheets::Audit => view! { <Audit/> },
            Sheets::AuditRow => view! { <AuditRow/> },
            Sheets::Command => view! { <CommandPage/> },
            Sheets::Evidence => view! { <Evidence/> },
            Sheets::EvidenceList => view! { <EvidenceList/> },
            Sheets::Health => view! { <Health/> },
            Sheets::Operator => view! { <OperatorPage/> },
            Sheets::Operators => view! { <Operators/> },
            Sheets::Processes => view! { <Processes/> },
            Sheets::Settings => view! { <Settings/> },
        };
        Box::new(move || view! { <Console>{page()}</Console> })
    }
}

/// What pages open and do not start with. The keys are on every page, so that all of it is loaded as soon as one is there.
#[derive(Clone)]
pub enum Extra {
    BulkDialog(RwSignal<Option<BulkDraft>>),
    /// Of the endpoint of this id.
    Charts(String),
    Keyboard,
    OrderDialog {
        draft: RwSignal<Option<Draft>>,
        offline: Signal<bool>,
        on_sent: Callback<(Order, Sent)>,
    },
    OutgoingBar,
    /// And how often they were opened.
    SavedViews(Box<List>, RwSignal<u32>),
}

impl Extra {
    pub fn draw(self) -> AnyView {
        self.draw_when(|| true)
    }

    pub fn draw_when(self, is_wanted: impl Fn() -> bool + Send + Sync + 'static) -> AnyView {
        later(is_wanted, move || extra(self.clone()))
    }
}

/// The console without a mouse, for as long as the tab is there.
pub fn keyboard() -> AnyView {
    Extra::Keyboard.draw()
}

piece! {
    fn extra(what: Extra) -> Drawn {
        Box::new(move || match what {
            Extra::BulkDialog(draft) => bulk_dialog(draft),
            Extra::Charts(endpoint_id) => charts(endpoint_id),
            Extra::Keyboard => keys_and_palette(),
            Extra::OrderDialog { draft, offline, on_sent } => order_dialog(draft, offline, on_sent),
            Extra::OutgoingBar => outgoing_bar(),
            Extra::SavedViews(list, opened) => saved_views(*list, opened),
        })
    }
}
