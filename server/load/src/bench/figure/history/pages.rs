//! The console's pages, whole, with a million rows of history and with twenty, in turn.

use std::time::Instant;

use anyhow::{Context as _, bail};

use super::{
    super::{Lab, Outcome, Row, Settings, Verdict, commits},
    rows::History,
};
use crate::{operator::Caller, report::Recorder};

const HOSTS: usize = 200;
const FEW_ROWS: u64 = 1_000_000;
const ASKED: u64 = 40;
/// Before the clock runs: each of the server's connections makes its plans anew after partitions came or went, which is once a week
/// where they are not attached by a bench.
const WARM: u64 = 100;
const ROUNDS: usize = 6;
const PROMISED: f64 = 1.30;

pub(in crate::bench) async fn measure(settings: &Settings) -> anyhow::Result<Outcome> {
    let lab = Lab::start(settings).await?;
    lab.enrol(settings.agents(HOSTS)).await?;
    let little = FEW_ROWS.min(settings.history_rows);
    let history = History::fill(&lab.postgres, little, settings.history_rows - little).await?;
    let mut caller = lab.operator.caller().await?;
    let pages = pages(&mut caller, little / 2).await?;
    let mut commits_seen = commits(&lab.postgres).await?;
    let mut with_little = vec![Recorder::default(); pages.len()];
    let mut with_much = with_little.clone();
    for _ in 0..ROUNDS {
        history.detach_much(&lab.postgres).await?;
        ask(&mut caller, &pages, settings, &mut with_little).await?;
        history.attach_much(&lab.postgres).await?;
        ask(&mut caller, &pages, settings, &mut with_much).await?;
    }
    commits_seen.merge(&commits(&lab.postgres).await?);

    let ratio = |page: &usize| with_much[*page].at(0.5) / with_little[*page].at(0.5);
    let worst = (0..pages.len()).max_by(|one, other| ratio(one).total_cmp(&ratio(other)));
    let worst = worst.context("no page was asked for")?;
    let each = |page: usize| format!("{} {:.2}", pages[page], ratio(&page));
    let row = Row {
        figure: "a page with 20 million history rows, p50, the worst of all",
        target: format!("<= {PROMISED} x with 1 million"),
        measured: with_much[worst].at(0.5),
        floor: Some(with_little[worst].at(0.5)),
        unit: "ms",
        verdict: Verdict::of(ratio(&worst) <= PROMISED),
        note: format!(
            "{little} rows, then {} in all, in turn, {ROUNDS} times; the server's HTML, 1 caller, {} of each. Ratios: {}.",
            settings.history_rows,
            with_much[worst].spread().count,
            (0..pages.len()).map(each).collect::<Vec<_>>().join(", ")
        ),
    };
    Ok(Outcome { rows: vec![row], commits: commits_seen })
}

/// Those that show what was ordered, and the others beside them. `command`: an executed one of long ago.
async fn pages(caller: &mut Caller, command: u64) -> anyhow::Result<Vec<String>> {
    let answer = caller.get("/api/endpoints?limit=1").await?;
    let found: serde_json::Value = serde_json::from_slice(&answer.body)?;
    let of =
        |name: &str| found["endpoints"][0][name].as_str().map(str::to_owned).context("no host is enrolled");
    let (id, hostname) = (of("endpoint_id")?, of("hostname")?);
    Ok(vec![
        "/".to_owned(),
        format!("/endpoints/{id}"),
        "/commands".to_owned(),
        format!("/commands?host={hostname}"),
        "/commands?state=executed&kind=agent_check".to_owned(),
        "/commands?state=failed".to_owned(),
        format!("/commands/{command}"),
        "/batches".to_owned(),
        "/schedules".to_owned(),
        "/audit".to_owned(),
        "/health".to_owned(),
    ])
}

async fn ask(
    caller: &mut Caller,
    pages: &[String],
    settings: &Settings,
    took: &mut [Recorder],
) -> anyhow::Result<()> {
    for (page, took) in pages.iter().zip(took) {
        for number in 0..WARM + settings.scaled(ASKED).max(3) {
            let began = Instant::now();
            let answer = caller.get(page).await?;
            if number >= WARM {
                took.record(began.elapsed());
            }
            if answer.status != 200 {
                bail!("{page} was answered with {}", answer.status);
            }
        }
    }
    Ok(())
}
