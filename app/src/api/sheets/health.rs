//! What the server measures of itself.

use voltaxe_orchestrator::health::{Health, Sample};

use super::{fact, facts, table, text};
use crate::{
    api::caller::Caller,
    error::ApiError,
    model::{
        Sheet,
        record::Figure,
        sheet::{Part, Row},
        time,
    },
};

pub(super) async fn health(caller: &Caller) -> Result<Sheet, ApiError> {
    let health = caller.strike.health(&caller.permit()?, caller.now).await?;
    let mut parts: Vec<Part> = health
        .alerts
        .iter()
        .filter(|alert| alert.is_on)
        .map(|alert| {
            Part::Warning(format!("Look here: {} ({}). {}", alert.name, alert.found, alert.what_to_do))
        })
        .collect();
    if parts.is_empty() {
        parts.push(Part::Text("All is well.".to_owned()));
    }
    parts.push(Part::Figures(figures(&health)));
    let rows = health.alerts.iter().map(|alert| Row {
        cells: vec![
            alert.name.to_owned(),
            if alert.is_on { "Look here" } else { "Ok" }.to_owned(),
            alert.found.clone(),
            if alert.is_on { alert.what_to_do } else { "–" }.to_owned(),
        ],
        ..Row::default()
    });
    parts.push(Part::Heading("What is watched".to_owned()));
    parts.push(table("What is watched", &["What", "State", "Found", "What to do"], rows.collect()));
    parts.push(facts("This server", about(caller, &health)));
    Ok(Sheet { title: "Health".to_owned(), parts, ..Sheet::default() })
}

fn about(caller: &Caller, health: &Health) -> Vec<Row> {
    let deployment = &caller.strike.config().deployment;
    let own = if deployment.embedded_postgres { "the server's own" } else { "an external one" };
    vec![
        fact("Version", deployment.version),
        fact("Runs since", text::at(health.started_at)),
        fact("PostgreSQL", format!("{}, {own}", health.now.database.version)),
        fact("Measured at", text::at(health.now.at)),
    ]
}

fn figures(health: &Health) -> Vec<Figure> {
    let now = &health.now;
    let of = |name: &str, words: String, about: &str, point: fn(&Sample) -> u64| Figure {
        name: name.to_owned(),
        words,
        about: about.to_owned(),
        points: health.past.iter().chain(std::iter::once(now)).map(point).collect(),
    };
    let counted = |count: fn(&Sample) -> u64| {
        let first = health.past.first().map_or(0, count);
        let before = if health.past.len() < voltaxe_orchestrator::health::MINUTES { 0 } else { first };
        format!("{} in the last hour", count(now).saturating_sub(before))
    };
    let database = &now.database;
    let mut figures = vec![
        of("Pending commands", now.pending.to_string(), &oldest(now.oldest_pending_seconds), |s| s.pending),
        of("Delivered, unanswered", now.delivered.to_string(), &oldest(now.oldest_delivered_seconds), |s| {
            s.delivered
        }),
        of(
            "A click's commit",
            micros(now.commit_p50_micros),
            &now.commit_p99_micros.map_or_else(
                || "half of them take at most this".to_owned(),
                |p99| format!("half of them within this, 99 % within {}", micros(Some(p99))),
            ),
            |s| s.commit_p99_micros.unwrap_or_default(),
        ),
        of("A push", micros(now.push_p99_micros), "99 % are on their way within this", |s| {
            s.push_p99_micros.unwrap_or_default()
        }),
        of(
            "Connected agents",
            (now.streams + now.polling).to_string(),
            &format!("{} by stream, {} by polling alone", now.streams, now.polling),
            |s| s.streams + s.polling,
        ),
        of(
            "Offered again",
            counted(|s| s.counts.redeliveries),
            "no receipt had come; the line is since the start",
            |s| s.counts.redeliveries,
        ),
        of(
            "Expired",
            counted(|s| s.counts.expiries),
            "without an answer; the line is since the start",
            |s| s.counts.expiries,
        ),
        of("Asked back", now.asked_back.to_string(), "from hosts that have not answered", |s| s.asked_back),
        of(
            "Schedules' lag",
            format!("{} s", now.schedule_lag_seconds),
            &format!("{} schedules wait", now.schedules_waiting),
            |s| s.schedule_lag_seconds,
        ),
        of("Database", time::bytes(database.bytes), "all that it holds", |s| s.database.bytes),
        of(
            "Connections to the database",
            database.connections.to_string(),
            &format!("of {} that it allows", database.connections_allowed),
            |s| s.database.connections,
        ),
    ];
    if now.evidence_allowed_bytes > 0 {
        let about = format!("of {} that are allowed", time::bytes(now.evidence_allowed_bytes));
        figures.push(of("Evidence", time::bytes(now.evidence_bytes), &about, |s| s.evidence_bytes));
    }
    if let (Some(free), Some(all)) = (now.disk_free_bytes, now.disk_bytes) {
        let about = format!("of {}, where the state directory is", time::bytes(all));
        figures.push(of("Free disk", time::bytes(free), &about, |s| s.disk_free_bytes.unwrap_or_default()));
    }
    figures
}

fn oldest(seconds: u64) -> String {
    if seconds == 0 {
        return "none waits".to_owned();
    }
    let millis = i64::try_from(seconds).unwrap_or(i64::MAX / 1_000).saturating_mul(1_000);
    format!("the oldest for {}", time::span(millis))
}

fn micros(amount: Option<u64>) -> String {
    match amount {
        None => "none lately".to_owned(),
        Some(micros) if micros < 10_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        Some(micros) => format!("{} ms", micros / 1_000),
    }
}
