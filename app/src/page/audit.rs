//! `/audit`: who did what, on which host, why, and what came of it. `/audit/:id`: one row of it.

use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

use super::{asked_of_page, records::records};
use crate::model::SheetOf;

#[component]
pub fn Audit() -> impl IntoView {
    let asked = asked_of_page();
    records(move || SheetOf::Audit(asked.get()))
}

#[component]
pub fn AuditRow() -> impl IntoView {
    let params = use_params_map();
    records(move || SheetOf::AuditRow(params.read().get("id").unwrap_or_default()))
}
