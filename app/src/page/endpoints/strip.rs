use leptos::prelude::*;

use super::list::List;
use crate::{
    model::{
        endpoint_query::{EndpointQuery, Group},
        fleet::Counts,
    },
    ui::{Icon, Shape, all, text, view},
};

#[derive(Clone, Copy)]
enum Part {
    All,
    Group(Group),
    Offline,
}

const PARTS: [Part; 7] = [
    Part::All,
    Part::Group(Group::Connected),
    Part::Group(Group::Isolated),
    Part::Group(Group::Attention),
    Part::Group(Group::Changing),
    Part::Group(Group::Failed),
    Part::Offline,
];

/// The whole fleet by state; each count leads to just these.
#[component]
pub fn Strip(list: List) -> impl IntoView {
    let link = move |part: Part| {
        let (name, shape, tone) = look(part);
        let count = Memo::new(move |_| list.counts.with(|counts| count(counts, part)));
        let query = query(part);
        let here = query.clone();
        let href = move || {
            list.query.with(|shown| {
                let EndpointQuery { sort, descending, ref columns, .. } = *shown;
                EndpointQuery { sort, descending, columns: columns.clone(), ..here.clone() }.path()
            })
        };
        view! {
            <a
                class=move || format!("strip__part strip__part--{}", if count.get() == 0 { "none" } else { tone })
                href=href
                aria-current=move || list.query.with(|shown| shown.filters() == query).then_some("true")
            >
                <span class="strip__count">{text(move || count.get().to_string())}</span>
                <span class="strip__name"><Icon shape/>{name}</span>
            </a>
        }
    };
    view! { <nav class="strip" aria-label="Show endpoints by state">{all(PARTS.map(link))}</nav> }
}

fn count(counts: &Counts, part: Part) -> i64 {
    match part {
        Part::All => counts.all,
        Part::Offline => counts.all_offline,
        Part::Group(group) => counts.all_isolation.get(group as usize).copied().unwrap_or(0),
    }
}

fn query(part: Part) -> EndpointQuery {
    let all = EndpointQuery::default();
    match part {
        Part::All => all,
        Part::Offline => all.toggled("status", "offline"),
        Part::Group(group) => all.toggled("isolation", group.word()),
    }
}

fn look(part: Part) -> (&'static str, Shape, &'static str) {
    match part {
        Part::All => ("All", Shape::Hollow, "plain"),
        Part::Offline => ("Offline", Shape::Slash, "plain"),
        Part::Group(group) => {
            let (shape, tone) = match group {
                Group::Attention => (Shape::Triangle, "danger"),
                Group::Failed => (Shape::Octagon, "danger"),
                Group::Changing => (Shape::Arrows, "busy"),
                Group::Isolated => (Shape::ShieldCheck, "ok"),
                Group::Connected => (Shape::Ring, "plain"),
            };
            (group.name(), shape, tone)
        }
    }
}
