use std::time::Duration;

use leptos::prelude::*;

use crate::{
    api,
    clock::mounted,
    error::ApiError,
    model::{
        Millis, Series,
        series::{Point, Spread, hundredths, percent_of_thousandths},
    },
    page::problem,
    ui::{
        Moment, all, cell,
        chart::{Chart, Scale, chart},
        dom::{effect, every, spawn},
        maybe, part, row, table, text, view, words,
    },
};

const RENEWED: Duration = Duration::from_secs(60);
/// A week's stretches are an hour long, and its 40,000 samples cost the database 75 ms (a day's 6,000: 7 ms).
const WEEK_RENEWED_AFTER: u32 = 10;

/// Load, memory and the fullest disk of the last day or week, and when the host was isolated.
pub fn charts(endpoint_id: String) -> AnyView {
    let week = RwSignal::new(false);
    let series = RwSignal::new(None::<Series>);
    let error = RwSignal::new(None::<ApiError>);
    let chosen = RwSignal::new(None::<u32>);
    let load = move || {
        let (id, is_week) = (endpoint_id.clone(), week.get());
        spawn(async move {
            match api::series(id, is_week).await {
                // Another window was asked for meanwhile.
                Ok(_) if week.try_get_untracked() != Some(is_week) => {}
                Ok(found) => {
                    error.try_set(None);
                    series.try_set(Some(found));
                }
                Err(refused) => _ = error.try_set(Some(refused)),
            }
        });
    };
    effect(load.clone());
    let mut skipped = 0;
    every(RENEWED, move || {
        skipped += 1;
        if !week.get_untracked() || skipped >= WEEK_RENEWED_AFTER {
            skipped = 0;
            untrack(&load);
        }
    });
    let has_points = Memo::new(move |_| Some(!series.read().as_ref()?.points.is_empty()));
    let mounted = mounted();
    let choice = move |name: &'static str, is_week: bool| {
        let choose = move |_| {
            chosen.set(None);
            week.set(is_week);
        };
        view! {
            <button
                class="button button--small" type="button" on:click=choose disabled=move || !mounted.get()
                aria-pressed=move || if week.get() == is_week { "true" } else { "false" }
            >
                {name}
            </button>
        }
    };
    view! {
        <div class="asks charts__range" role="group" aria-label="How far back">
            {choice("24 h", false)} {choice("7 d", true)}
        </div>
        {problem(error)}
        {part(move || match has_points.get() {
            None => words("p", "muted", "Loading…"),
            Some(false) => words("p", "muted", "The host reported nothing in this time."),
            Some(true) => view! { <Drawn series chosen/> },
        })}
    }
}

/// Stays while its data is renewed, so that neither the focus nor an open table is lost.
#[component]
fn Drawn(series: RwSignal<Option<Series>>, chosen: RwSignal<Option<u32>>) -> impl IntoView {
    let with =
        move |get: &dyn Fn(&Series) -> AnyView| series.read().as_ref().map_or_else(|| ().into_any(), get);
    let last = move || series.read().as_ref().map_or(0, |series| series.count.saturating_sub(1));
    let at = move || chosen.get().unwrap_or(u32::MAX).min(last());
    let readout = move || line(series.read().as_ref().and_then(|series| series.at(at())));
    view! {
        {part(move || with(&|series| drawn(series, chosen)))}
        <div class="charts__readout">
            <label class="charts__pick">
                "Moment"
                <input
                    class="charts__slider" type="range" min="0" max=move || last().to_string()
                    prop:value=move || at().to_string() aria-valuetext=readout
                    on:input=move |event| chosen.set(event_target_value(&event).parse().ok())
                />
            </label>
            <p>
                {part(move || with(&|series| view! { <Moment at=series.time(at()) relative=false/> }))}
                ": " {text(readout)}
            </p>
        </div>
        {as_table(series)}
    }
}

fn drawn(series: &Series, chosen: RwSignal<Option<u32>>) -> AnyView {
    let isolated: Vec<u32> =
        series.points.iter().filter(|point| point.isolated).map(|point| point.at).collect();
    let most_load = series.points.iter().map(|point| point.load[2]).max().unwrap_or(0).max(100);
    let one = |name: &'static str, most: i32, top: String, get: fn(&Point) -> Option<Spread>| {
        let points = series.points.iter().filter_map(|point| Some((point.at, get(point)?))).collect();
        let scale = Scale { count: series.count, most, top };
        chart(Chart { name, scale, points, isolated: isolated.clone() }, chosen)
    };
    let legend = (!isolated.is_empty()).then(|| {
        view! {
            <p class="charts__legend"><span class="charts__band" aria-hidden="true"></span>"The host was isolated"</p>
        }
    });
    let axis = view! {
        <p class="charts__axis">
            <Moment at=series.start relative=false/>
            <Moment at=series.time(series.count) relative=false/>
        </p>
    };
    let charts = [
        one("Load, 1 min", most_load, hundredths(most_load), |point| Some(point.load)),
        one("Memory", 1000, "100 %".to_owned(), |point| point.memory),
        one("Fullest disk", 1000, "100 %".to_owned(), |point| point.disk),
        axis,
    ];
    all(charts.into_iter().chain(legend))
}

fn line(point: Option<&Point>) -> String {
    let Some(point) = point else { return "nothing was reported".to_owned() };
    let share = |name: &str, spread: Option<Spread>| {
        spread.map(|[_, mean, _]| format!("{name} {}", percent_of_thousandths(mean)))
    };
    let [least, mean, most] = point.load.map(hundredths);
    let parts = [
        Some(format!("load {mean} ({least} to {most})")),
        share("memory", point.memory),
        share("disk", point.disk),
        point.isolated.then(|| "isolated".to_owned()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// The same in numbers. Its rows are made when it is opened.
fn as_table(series: RwSignal<Option<Series>>) -> AnyView {
    let is_open = RwSignal::new(false);
    let rows = move || {
        let series = series.read();
        let series = series.as_ref().filter(|_| is_open.get())?;
        let columns = ["From", "Load", "Memory", "Fullest disk", "Isolated"];
        let rows = all(series.points.iter().rev().map(|point| numbers(series.time(point.at), point)));
        Some(table("Telemetry", &columns, rows))
    };
    view! {
        <details class="fold" on:toggle=move |_| is_open.set(true)>
            <summary>"The same as a table"</summary>
            {maybe(rows)}
        </details>
    }
}

fn numbers(from: Millis, point: &Point) -> AnyView {
    let words = |[mid, low, high]: [String; 3]| format!("{mid} ({low} to {high})");
    let of = |[least, mean, most]: Spread| [mean, least, most];
    let share = |spread: Option<Spread>| match spread {
        Some(spread) => words(of(spread).map(percent_of_thousandths)),
        None => "–".to_owned(),
    };
    let cells = vec![
        cell("Load", words(of(point.load).map(hundredths)).into_any()),
        cell("Memory", share(point.memory).into_any()),
        cell("Fullest disk", share(point.disk).into_any()),
        cell("Isolated", (if point.isolated { "yes" } else { "no" }).into_any()),
    ];
    row(view! { <Moment at=from relative=false/> }, cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_read_out_in_words() {
        let point = Point {
            load: [7, 125, 200],
            memory: Some([500, 625, 700]),
            disk: None,
            isolated: true,
            ..Point::default()
        };
        assert_eq!(line(Some(&point)), "load 1.25 (0.07 to 2.00) · memory 63 % · isolated");
        assert_eq!(line(None), "nothing was reported");
    }
}
