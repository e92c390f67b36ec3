use leptos::prelude::*;

use super::fleet::{Fleet, Part};
use crate::{
    model::isolation::Group,
    ui::{Icon, Shape, all, text, view},
};

/// The fleet by state; each count is a button that shows just these.
#[component]
pub fn Strip(fleet: Fleet, show: RwSignal<Part>) -> impl IntoView {
    view! {
        <div class="strip" role="group" aria-label="Show endpoints by state">
            {all(Part::ALL
                .map(|part| {
                    let (name, shape, tone) = look(part);
                    let count = Memo::new(move |_| fleet.count(part));
                    view! {
                        <button
                            type="button"
                            class=move || format!("strip__part strip__part--{}", if count.get() == 0 { "none" } else { tone })
                            aria-pressed=move || if show.get() == part { "true" } else { "false" }
                            on:click=move |_| show.set(part)
                        >
                            <span class="strip__count">{text(move || count.get().to_string())}</span>
                            <span class="strip__name"><Icon shape/>{name}</span>
                        </button>
                    }
                }))}
        </div>
    }
}

fn look(part: Part) -> (&'static str, Shape, &'static str) {
    match part {
        Part::All => ("All", Shape::Hollow, "plain"),
        Part::Group(Group::Attention) => ("Attention", Shape::Triangle, "danger"),
        Part::Group(Group::Changing) => ("Changing", Shape::Arrows, "busy"),
        Part::Group(Group::Isolated) => ("Isolated", Shape::ShieldCheck, "ok"),
        Part::Group(Group::Connected) => ("Connected", Shape::Ring, "plain"),
        Part::Offline => ("Offline", Shape::Slash, "plain"),
    }
}
