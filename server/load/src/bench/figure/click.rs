use anyhow::Context as _;

use super::{
    Lab, Meters, Outcome, Row, Settings, Verdict,
    clicks::{Clicker, arrivals},
    commits, connected, mean_note,
};
use crate::agent::Verify;

const AGENTS: usize = 100;
const ORDERS: u64 = 500;

pub(in crate::bench) async fn measure(settings: &Settings) -> anyhow::Result<Outcome> {
    let lab = Lab::start(settings).await?;
    let file = lab.enrol(AGENTS).await?;
    let (watch, arrivals) = arrivals();
    let (fleet, _connected) = connected(&lab, &file, Verify::Always, Some(watch)).await?;
    let mut clicker = Clicker::new(&lab.operator, arrivals).await?;
    let orders = usize::try_from(settings.scaled(ORDERS))?;

    let mut commits_seen = commits(&lab.postgres).await?;
    let bare = clicker.bare_requests(200).await?.spread();
    let meters = Meters::read(&lab.operator).await?;
    let mut clicks = clicker.click(&fleet.hostnames(), orders / 2).await?;
    commits_seen.merge(&commits(&lab.postgres).await?);
    clicks.merge(&clicker.click(&fleet.hostnames(), orders / 2).await?);
    commits_seen.merge(&commits(&lab.postgres).await?);

    let now = Meters::read(&lab.operator).await?;
    let pushed =
        "The server's own meter, from the order's arrival to the frame in the agent's outbox, milliseconds";
    let pushed = mean_note(&meters, &now, "voltaxe_push_seconds", "", 1e3, pushed);

    let written = |q| {
        let seconds = now.quantile_since(&meters, "voltaxe_order_written_seconds", q);
        seconds.map(|seconds| seconds * 1e3).context("the server has no meter voltaxe_order_written_seconds")
    };
    let (written_p50, written_p99) = (written(0.5)?, written(0.99)?);

    let floor = commits_seen.spread();
    let (arrived, told, answered) = (clicks.arrived.spread(), clicks.told.spread(), clicks.answered.spread());
    let count = arrived.count;
    let rows = vec![
        Row {
            figure: "commit of the click to frame at the agent, p50",
            target: "<= F + 0.3 ms".to_owned(),
            measured: arrived.p50,
            floor: Some(floor.p50),
            unit: "ms",
            verdict: Verdict::of(arrived.p50 <= floor.p50 + 0.3),
            note: format!(
                "{count} orders, 1 caller, {AGENTS} agents. From before POST /api/commands is sent to the frame read by the \
                 agent, same clock: an upper bound, with the whole HTTP request (a bare GET takes {:.2} ms) and the order's \
                 signature in it. Its answer: {:.2} ms.{pushed}",
                bare.p50, answered.p50
            ),
        },
        Row {
            figure: "commit of the click to frame at the agent, p99",
            target: "<= 2 x F p99".to_owned(),
            measured: arrived.p99,
            floor: Some(floor.p99),
            unit: "ms",
            verdict: Verdict::of(arrived.p99 <= 2.0 * floor.p99),
            note: String::new(),
        },
        Row {
            figure: "the same from the commit's sending to the frame in the socket, p50",
            target: "<= F + 0.3 ms".to_owned(),
            measured: written_p50,
            floor: Some(floor.p50),
            unit: "ms",
            verdict: Verdict::of(written_p50 <= floor.p50 + 0.3),
            note: "The server's own meter voltaxe_order_written_seconds, of the same orders: from just before the statement \
                   is sent to Postgres, until the agent's frame is handed to its socket. Read from buckets a fifth apart. Each \
                   order comes after a pause of 5 ms; the commits of F follow each other at once."
                .to_owned(),
        },
        Row {
            figure: "the same from the commit's sending to the frame in the socket, p99",
            target: "<= 2 x F p99".to_owned(),
            measured: written_p99,
            floor: Some(floor.p99),
            unit: "ms",
            verdict: Verdict::of(written_p99 <= 2.0 * floor.p99),
            note: String::new(),
        },
        Row {
            figure: "click to result durable and on the event stream, p50",
            target: "<= 2.2 F + 1 ms".to_owned(),
            measured: told.p50,
            floor: Some(floor.p50),
            unit: "ms",
            verdict: Verdict::of(told.p50 <= 2.2 * floor.p50 + 1.0),
            note: format!(
                "The same orders, to the `command` event with state executed on GET /events; p99 {:.2} ms. The simulated \
                 agent has no disk of its own.",
                told.p99
            ),
        },
    ];
    Ok(Outcome { rows, commits: commits_seen })
}
