//! A page of the list of endpoints out of many, by every order and filter that the page offers.

use std::time::Instant;

use anyhow::bail;

use super::{Lab, Outcome, Row, Settings, Verdict, commits};
use crate::{operator::Caller, report::Recorder};

const ENDPOINTS: u64 = 50_000;
const ASKED_EACH: u64 = 60;
const PROMISED_MS: f64 = 20.0;
/// Pages that are followed from the first one on.
const PAGES: usize = 4;
const QUERIES: [&str; 14] = [
    "",
    "sort=-host",
    "sort=-seen",
    "sort=isolation",
    "sort=os",
    "sort=version",
    "sort=-load",
    "q=web-049",
    "q=debian+db",
    "q=10.0.77.9",
    "label=team-7",
    "status=offline",
    "isolation=isolated&isolation=attention",
    "os=AlmaLinux%209&seen=15m&version=0.3.0",
];

pub(in crate::bench) async fn measure(settings: &Settings) -> anyhow::Result<Outcome> {
    let lab = Lab::start(settings).await?;
    lab.postgres.execute(&fill(settings.scaled(ENDPOINTS))).await?;
    lab.postgres.execute("VACUUM (ANALYZE) endpoints, endpoint_seen, telemetry_latest").await?;
    let mut caller = lab.operator.caller().await?;
    let mut commits_seen = commits(&lab.postgres).await?;
    let (mut pages, mut single) = (Recorder::default(), Recorder::default());
    let mut slowest = (0.0, "");
    for query in QUERIES {
        let mut of_query = Recorder::default();
        ask(&mut caller, query, 100, &mut Recorder::default()).await?;
        for _ in 0..(settings.scaled(ASKED_EACH) / PAGES as u64).max(1) {
            ask(&mut caller, query, 100, &mut of_query).await?;
            ask(&mut caller, "", 1, &mut single).await?;
        }
        let p95 = of_query.at(0.95);
        if p95 > slowest.0 {
            slowest = (p95, query);
        }
        pages.merge(&of_query);
    }
    commits_seen.merge(&commits(&lab.postgres).await?);
    let (p95, floor) = (pages.at(0.95), single.at(0.95));
    let row = Row {
        figure: "a page of 100 out of 50,000 endpoints, p95",
        target: format!("<= {PROMISED_MS} ms"),
        measured: p95,
        floor: Some(floor),
        unit: "ms",
        verdict: Verdict::of(p95 <= PROMISED_MS),
        note: format!(
            "GET /api/endpoints, 1 caller, {} orders and filters, up to {PAGES} pages of each in turn, {} answers; p50 {:.2} ms; \
             the slowest by itself: {:.2} ms for {:?}. Floor: a page of one row, by name.",
            QUERIES.len(),
            pages.spread().count,
            pages.spread().p50,
            slowest.0,
            slowest.1
        ),
    };
    Ok(Outcome { rows: vec![row], commits: commits_seen })
}

/// The first pages, one behind the other.
async fn ask(caller: &mut Caller, query: &str, limit: u32, took: &mut Recorder) -> anyhow::Result<()> {
    let mut cursor = String::new();
    for _ in 0..PAGES {
        let path = format!("/api/endpoints?{query}&limit={limit}{cursor}");
        let began = Instant::now();
        let answer = caller.get(&path).await?;
        took.record(began.elapsed());
        if answer.status != 200 {
            bail!("{path} was answered with {}: {}", answer.status, answer.text());
        }
        let page: serde_json::Value = serde_json::from_slice(&answer.body)?;
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    Ok(())
}

/// A fleet as it is on an ordinary day: one in twenty is away, one in two hundred isolated.
fn fill(endpoints: u64) -> String {
    format!(
        "INSERT INTO endpoints
           (id, hostname, epoch, public_key, machine_id, status, agent_version, os, enrolled_at, labels, addresses)
         SELECT 'ep_' || md5(n::text), (ARRAY['web', 'db', 'app', 'mail', 'build'])[1 + n % 5] || '-' || lpad(n::text, 6, '0'),
                1, decode(md5(n::text) || md5((n + 1)::text), 'hex'), 'm' || n, 'active', '0.' || n % 4 || '.0',
                (ARRAY['Debian GNU/Linux 12 (bookworm)', 'Ubuntu 24.04.1 LTS', 'Red Hat Enterprise Linux 9.4 (Plow)',
                       'AlmaLinux 9'])[1 + n / 7 % 4],
                now(), ARRAY['team-' || n % 30, (ARRAY['prod', 'test'])[1 + n % 2]],
                '10.' || n / 65536 || '.' || n / 256 % 256 || '.' || n % 256
         FROM generate_series(1, {endpoints}) AS n;
         UPDATE endpoint_seen SET
           last_seen_at = now() + CASE WHEN n / 7 % 20 = 0 THEN interval '-3 hours' ELSE interval '1 hour' END,
           load_hundredths = n % 800
         FROM generate_series(1, {endpoints}) AS n WHERE endpoint_id = 'ep_' || md5(n::text);
         INSERT INTO desired_isolation
           (endpoint_id, command_id, direction, state, created_by, created_at, reason, expires_at)
         SELECT 'ep_' || md5(n::text), n, 'isolate', 'executed', 'bench', now(), 'bench', now() + interval '7 days'
         FROM generate_series(1, {endpoints}, 200) AS n;
         INSERT INTO telemetry_latest
           (endpoint_id, observed_at, received_at, isolation_state, isolation_observed_at, isolation_received_at, body)
         SELECT 'ep_' || md5(n::text), now(), now(), CASE n % 200 WHEN 1 THEN 'isolated' ELSE 'not_isolated' END, now(),
                now(), jsonb_build_object('padding', repeat(md5(n::text), 40))
         FROM generate_series(1, {endpoints}) AS n;"
    )
}
