use leptos::prelude::*;
use leptos_meta::Title;

use crate::{
    model::Sheet,
    ui::{Icon, Shape, view},
};

/// The way back and the title of a page that the server wrote.
pub fn sheet_head(sheet: &Sheet) -> AnyView {
    let (href, name) = sheet.back.clone().unwrap_or_default();
    view! {
        <Title text=sheet.title.clone()/>
        <nav class="crumbs" aria-label="Breadcrumb">
            <a href=href><Icon shape=Shape::Back/>{name}</a>
        </nav>
        <div class="head"><h1>{sheet.title.clone()}</h1></div>
    }
}
