//! Tables that become a list of cards where there is no room for columns. The roles are said, as `display` takes them away.

use leptos::prelude::*;

use super::{all, view};

pub fn table(caption: &str, columns: &[&str], rows: AnyView) -> AnyView {
    let heads = columns
        .iter()
        .map(|name| view! { <th scope="col" role="columnheader">{(*name).to_owned()}</th> })
        .collect::<Vec<_>>();
    view! {
        <div class="tablebox">
            <table class="table" role="table">
                <caption class="visually-hidden">{caption.to_owned()}</caption>
                <thead role="rowgroup">
                    <tr role="row">{all(heads)}</tr>
                </thead>
                <tbody role="rowgroup">{rows}</tbody>
            </table>
        </div>
    }
}

/// `head` names the row; `cells` are its other columns in their order.
pub fn row(head: AnyView, cells: Vec<AnyView>) -> AnyView {
    view! {
        <tr class="row" role="row">
            <th scope="row" role="rowheader">{head}</th>
            {all(cells)}
        </tr>
    }
}

/// `column` is said beside it where there are no columns.
pub fn cell(column: &str, content: AnyView) -> AnyView {
    view! { <td role="cell" data-label=column.to_owned()><div class="cell">{content}</div></td> }
}
