//! `/commands/:id`: everything about one command.

use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

use super::records::records;
use crate::model::SheetOf;

#[component]
pub fn CommandPage() -> impl IntoView {
    let params = use_params_map();
    records(move || SheetOf::Command(params.read().get("id").unwrap_or_default()))
}
