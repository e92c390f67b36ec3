//! Local time or UTC. The choice is in the address, so that a link shows what its sender saw, goes along from page to page,
//! and is kept in this browser.

use leptos::prelude::*;
use wasm_bindgen::JsValue;

use super::{
    dom::{effect, storage},
    view,
};
use crate::clock::{Clock, Zone};

const KEY: &str = "voltaxe-zone";
const PARAMETER: &str = "tz=";

#[component]
pub fn ZoneSwitch() -> impl IntoView {
    let zone = Clock::expect().zone();
    effect(move || {
        if zone.get_untracked().is_none() {
            let search = window().location().search().unwrap_or_default();
            zone.set(asked_for(&search).or_else(|| Zone::of_word(&storage()?.get_item(KEY).ok()??)));
        }
    });
    let word = move || zone.get().unwrap_or_default().word();
    view! {
        <label class="theme">
            <span class="visually-hidden">"Times in"</span>
            <select
                class="select select--small" prop:value=word
                on:change=move |event| choose(Zone::of_word(&event_target_value(&event)))
            >
                <option value="local">"Local time"</option>
                <option value="utc">"UTC"</option>
            </select>
        </label>
    }
}

/// In the browser only.
pub fn choose(chosen: Option<Zone>) {
    let Some(clock) = use_context::<Clock>() else { return };
    if let (Some(storage), Some(chosen)) = (storage(), chosen) {
        let _ = storage.set_item(KEY, chosen.word());
    }
    clock.zone().set(chosen);
    keep_in_address(chosen);
}

/// To be called when another page is there: links do not name the zone.
pub fn keep_in_address(chosen: Option<Zone>) {
    let location = window().location();
    let (Ok(path), Ok(search), Ok(hash)) = (location.pathname(), location.search(), location.hash()) else {
        return;
    };
    let wanted = with_zone(&search, chosen);
    if wanted != search {
        replace(&format!("{path}{wanted}{hash}"));
    }
}

fn replace(address: &str) {
    if let Ok(history) = window().history() {
        let state = history.state().unwrap_or(JsValue::NULL);
        let _ = history.replace_state_with_url(&state, "", Some(address));
    }
}

impl Zone {
    fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Utc => "utc",
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        [Self::Local, Self::Utc].into_iter().find(|zone| zone.word() == word)
    }
}

fn pairs(search: &str) -> impl Iterator<Item = &str> {
    search.trim_start_matches('?').split('&').filter(|pair| !pair.is_empty())
}

fn asked_for(search: &str) -> Option<Zone> {
    pairs(search).find_map(|pair| Zone::of_word(pair.strip_prefix(PARAMETER)?))
}

/// The search part of an address, with its question mark if there is anything.
fn with_zone(search: &str, zone: Option<Zone>) -> String {
    let Some(zone) = zone else { return search.to_owned() };
    let others = pairs(search).filter(|pair| !pair.starts_with(PARAMETER));
    let mut search = String::new();
    for (pair, value) in others.map(|pair| (pair, "")).chain([(PARAMETER, zone.word())]) {
        search.push(if search.is_empty() { '?' } else { '&' });
        search.push_str(pair);
        search.push_str(value);
    }
    search
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zone_is_read_from_the_address() {
        assert_eq!(asked_for("?q=web&tz=utc"), Some(Zone::Utc));
        assert_eq!(asked_for("?tz=local"), Some(Zone::Local));
        assert_eq!(asked_for("?tz=mars&xtz=utc"), None);
        assert_eq!(asked_for(""), None);
    }

    #[test]
    fn the_zone_goes_into_an_address_once() {
        assert_eq!(with_zone("", Some(Zone::Utc)), "?tz=utc");
        assert_eq!(with_zone("?q=a%26b&show=all", Some(Zone::Local)), "?q=a%26b&show=all&tz=local");
        assert_eq!(with_zone("?tz=local&q=web", Some(Zone::Utc)), "?q=web&tz=utc");
        assert_eq!(with_zone("?tz=utc", Some(Zone::Utc)), "?tz=utc");
        assert_eq!(with_zone("?q=web", None), "?q=web");
    }
}
