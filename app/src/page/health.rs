//! `/health`: what the server measures of itself, and what somebody should look at.

use leptos::prelude::*;

use super::records::records;
use crate::model::SheetOf;

#[component]
pub fn Health() -> impl IntoView {
    records(|| SheetOf::Health)
}
