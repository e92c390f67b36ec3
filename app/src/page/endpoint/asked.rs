use std::time::Duration;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::{
    model::Order,
    ui::dom::{effect, go_instead},
};

/// An order that the page's address asks for (`?order=isolate`): `ask` opens its dialog, once.
pub fn asked_by_address(ask: impl Fn(Order) + Copy + 'static) {
    let query = use_query_map();
    effect(move || {
        let Some(order) = query.read().get_str("order").and_then(Order::of_verb) else { return };
        // Once the page and its address are in place.
        set_timeout(
            move || {
                ask(order);
                go_instead(&window().location().pathname().unwrap_or_default());
            },
            Duration::from_millis(50),
        );
    });
}
