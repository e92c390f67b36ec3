use leptos::prelude::*;

use crate::{
    model::{Endpoint, endpoint::Telemetry, time},
    ui::{Bar, all, part, percent, view},
};

/// Load, memory, disks and uptime as of the newest telemetry.
#[component]
pub fn Resources(#[prop(into)] endpoint: Signal<Endpoint>) -> impl IntoView {
    view! {
        <section class="panel" aria-labelledby="resources-title">
            <h2 id="resources-title">"Resources"</h2>
            {part(move || match endpoint.with(|endpoint| endpoint.telemetry.clone()) {
                None => view! { <p class="muted">"No telemetry yet. The agent sends it every 15 s."</p> },
                Some(now) => view! { <Measured now/> },
            })}
        </section>
    }
}

#[component]
fn Measured(now: Telemetry) -> impl IntoView {
    let cpus = now.cpus.max(1);
    let of_cpus = if cpus == 1 { "of 1 CPU".to_owned() } else { format!("of {cpus} CPUs") };
    let load = |index: usize| format!("{}.{:02}", now.load[index] / 100, now.load[index] % 100);
    let used_memory = now.memory_total.saturating_sub(now.memory_available);
    let disks = now.disks.iter().map(|disk| {
        let used = disk.total.saturating_sub(disk.available);
        view! {
            <Bar
                label=format!("Disk {}", disk.mount) percent=percent(used, disk.total)
                words=format!("{} of {}", time::bytes(used), time::bytes(disk.total))
            />
        }
    });
    view! {
        <div class="bars">
            <Bar
                label="Load, 1 min".to_owned() percent=percent(now.load[0].into(), u64::from(cpus) * 100)
                words=format!("{} {of_cpus}", load(0))
            />
            <p class="bars__note">{format!("5 min {} · 15 min {}", load(1), load(2))}</p>
            <Bar
                label="Memory".to_owned() percent=percent(used_memory, now.memory_total)
                words=format!("{} of {}", time::bytes(used_memory), time::bytes(now.memory_total))
            />
            {all(disks)}
            <div class="bar__head">
                <span class="bar__label">"Uptime"</span>
                <span class="bar__words">{time::span(i64::try_from(now.uptime_seconds).unwrap_or(0).saturating_mul(1000))}</span>
            </div>
        </div>
    }
}
