use leptos::prelude::*;

use super::list::List;
use crate::{
    model::endpoint_query::Column,
    ui::{all, view},
};

/// Which columns are shown, kept in the address.
#[component]
pub fn ColumnChooser(list: List) -> impl IntoView {
    let choice = move |column: &Column| {
        let column = *column;
        view! {
            <label class="choice">
                <input
                    class="tick" type="checkbox"
                    prop:checked=move || list.query.with(|query| query.columns().contains(&column))
                    on:change=move |event| {
                        let shown = event_target_checked(&event);
                        list.visit(list.query.get_untracked().with_column(column, shown), true);
                    }
                />
                {column.name()}
            </label>
        }
    };
    view! {
        <details class="menu">
            <summary class="button button--small">"Columns"</summary>
            <div class="menu__body">{all(Column::ALL.iter().map(choice))}</div>
        </details>
    }
}
