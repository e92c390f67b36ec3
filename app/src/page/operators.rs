//! `/operators`: who may use the console. `/operators/:id`: one of them, their role and sessions.

use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

use super::records::records;
use crate::model::SheetOf;

#[component]
pub fn Operators() -> impl IntoView {
    records(|| SheetOf::Operators)
}

#[component]
pub fn OperatorPage() -> impl IntoView {
    let params = use_params_map();
    records(move || SheetOf::Operator(params.read().get("id").unwrap_or_default()))
}
