use leptos::prelude::*;

use crate::{
    model::{Endpoint, endpoint::Telemetry},
    ui::{Ago, Moment, text, view},
};

#[component]
pub fn Facts(#[prop(into)] endpoint: Signal<Endpoint>) -> impl IntoView {
    let fact = move |name: &'static str, mono: bool, get: fn(&Endpoint) -> Option<String>| {
        let fact = Memo::new(move |_| endpoint.with(get));
        view! {
            <div class="fact">
                <dt>{name}</dt>
                <dd class=if mono { "mono" } else { "" }>{text(move || fact.get().filter(|fact| !fact.is_empty()).unwrap_or_else(|| "not reported yet".to_owned()))}</dd>
            </div>
        }
    };
    let last_seen = Memo::new(move |_| endpoint.with(|endpoint| endpoint.last_seen_at));
    let agent_started = Memo::new(move |_| {
        endpoint.with(|endpoint| endpoint.telemetry.as_ref().map(|now| now.agent_started_at))
    });
    let enrolled = endpoint.with_untracked(|endpoint| endpoint.enrolled_at);
    view! {
        <section class="panel" aria-labelledby="facts-title">
            <h2 id="facts-title">"Host"</h2>
            <dl class="facts">
                {fact("System", false, |endpoint| Some(endpoint.os.clone()))}
                {fact("Kernel", true, |endpoint| of(endpoint, |now| now.kernel.clone()))}
                {fact("Architecture", true, |endpoint| of(endpoint, |now| now.arch.clone()))}
                {fact("Addresses", true, |endpoint| of(endpoint, |now| now.addresses.join(", ")))}
                {fact("Agent", true, |endpoint| Some(endpoint.agent_version.clone()))}
                <div class="fact"><dt>"Agent started"</dt><dd><Ago at=agent_started/></dd></div>
                <div class="fact"><dt>"Last seen"</dt><dd><Ago at=last_seen/></dd></div>
                <div class="fact"><dt>"Enrolled"</dt><dd><Moment at=enrolled/></dd></div>
                {fact("Results to report", false, |endpoint| of(endpoint, |now| now.unreported_results.to_string()))}
            </dl>
        </section>
    }
}

fn of(endpoint: &Endpoint, get: fn(&Telemetry) -> String) -> Option<String> {
    endpoint.telemetry.as_ref().map(get)
}
