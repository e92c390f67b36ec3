//! `/settings`: one's own password and sessions, and what the server is set to.

use leptos::prelude::*;

use super::records::records;
use crate::model::SheetOf;

#[component]
pub fn Settings() -> impl IntoView {
    records(|| SheetOf::Settings)
}
