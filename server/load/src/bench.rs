//! Every promised figure, measured with a server of the bench's own, beside what the same machine does without us.

mod bare;
mod figure;
mod lab;
mod meters;
mod postgres;
mod proc;
mod table;

use std::{path::PathBuf, time::Instant};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

pub use self::{bare::Arguments as BareArguments, bare::serve as serve_bare, proc::raise_open_files};
use self::{
    figure::Outcome,
    postgres::Commits,
    table::{Row, Verdict},
};
use crate::{profile::say, report};

#[derive(Args, Debug)]
pub struct Arguments {
    /// Measure only this; may be given several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<Figure>,
    /// Write the figures as JSON too.
    #[arg(long, value_name = "FILE", default_value = "target/bench-delivery.json")]
    json: PathBuf,
    /// The server to measure, a release build.
    #[arg(long, value_name = "FILE", default_value = "target/release/voltaxe-server")]
    server: PathBuf,
    /// A tenth of the size, for a try of about two minutes; its figures prove nothing.
    #[arg(long, env = "BENCH_QUICK", value_parser = clap::builder::FalseyValueParser::new())]
    quick: bool,
    /// The server's log filter. At `info` it writes a line a request.
    #[arg(long, env = "BENCH_LOG", default_value = "warn")]
    log: String,
    /// History rows that the server must not feel.
    #[arg(long, env = "BENCH_HISTORY_ROWS")]
    history_rows: Option<u64>,
    /// How long a snapshot is held.
    #[arg(long, env = "BENCH_SNAPSHOT_SECONDS")]
    snapshot_seconds: Option<u64>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Figure {
    /// One order at a time: to the agent's socket, and to the result on the operator's screen.
    Click,
    /// Single orders by 64 callers at once.
    Enqueue,
    /// Commands a second through their whole life.
    Lifecycle,
    /// A page of the list of endpoints out of 50,000.
    List,
    /// Signed polls that find nothing.
    Polls,
    /// Memory of agents that do nothing.
    Idle,
    /// One batch to the whole fleet.
    Batch,
    /// The same with 20 million rows of history.
    History,
    /// The console's pages with 20 million rows of history.
    Pages,
    /// The same while a snapshot is held.
    Snapshot,
}

/// What the figures need to know.
pub(crate) struct Settings {
    server: PathBuf,
    log: String,
    quick: bool,
    history_rows: u64,
    snapshot_seconds: u64,
}

impl Settings {
    fn new(arguments: &Arguments) -> anyhow::Result<Self> {
        let server = std::path::absolute(&arguments.server)?;
        if !server.is_file() {
            bail!("{} is missing; build it: cargo build --release -p voltaxe-server", server.display());
        }
        let settings = Self {
            server,
            log: arguments.log.clone(),
            quick: arguments.quick,
            history_rows: 0,
            snapshot_seconds: 0,
        };
        Ok(Self {
            history_rows: arguments.history_rows.unwrap_or(settings.scaled(20_000_000)),
            snapshot_seconds: arguments.snapshot_seconds.unwrap_or(settings.scaled(300)),
            ..settings
        })
    }

    /// A tenth in quick mode.
    fn scaled(&self, size: u64) -> u64 {
        if self.quick { size / 10 } else { size }
    }

    fn agents(&self, size: usize) -> usize {
        if self.quick { size / 10 } else { size }
    }
}

#[derive(Serialize)]
struct Results<'a> {
    quick: bool,
    server_log: &'a str,
    seed: u64,
    /// The machine's load average when the run began: above 0.5, something else took part.
    load_before: f64,
    /// Milliseconds of one durable commit, over the whole run.
    one_commit: report::Spread,
    rows: &'a [Row],
    failures: &'a [String],
}

/// Prints the table, also of a run that was ended early, and writes the JSON. Fails when a figure could not be measured, not
/// when it is missed.
pub async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let settings = Settings::new(arguments)?;
    let load_before = proc::load_average()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut measured = Measured::default();
    let ended_early = tokio::select! {
        () = measure(arguments, &settings, &mut measured) => None,
        _ = terminate.recv() => Some("SIGTERM"),
        _ = interrupt.recv() => Some("SIGINT"),
    };
    let Measured { mut rows, commits, failures } = measured;
    let one_commit = commits.spread();
    rows.insert(0, commit_row(&one_commit));
    print(&settings, load_before, &rows);
    let results = Results {
        quick: settings.quick,
        server_log: &settings.log,
        seed: lab::SEED,
        load_before,
        one_commit,
        rows: &rows,
        failures: &failures,
    };
    if let Some(directory) = arguments.json.parent() {
        std::fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    report::write_json(&arguments.json, &results)?;
    if let Some(signal) = ended_early {
        bail!(
            "ended by {signal}: not every figure was measured; the bench's server and its data are removed"
        );
    }
    match failures.as_slice() {
        [] => Ok(()),
        failures => bail!("{} figures could not be measured:\n{}", failures.len(), failures.join("\n")),
    }
}

#[derive(Default)]
struct Measured {
    rows: Vec<Row>,
    commits: Commits,
    failures: Vec<String>,
}

async fn measure(arguments: &Arguments, settings: &Settings, measured: &mut Measured) {
    for figure in Figure::value_variants() {
        if !arguments.only.is_empty() && !arguments.only.contains(figure) {
            continue;
        }
        let name = figure.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        say(&format!("{name}: begins"));
        let began = Instant::now();
        match measure_one(*figure, settings).await {
            Ok(Outcome { rows, commits }) => {
                say(&format!("{name}: done in {:.0} s", began.elapsed().as_secs_f64()));
                measured.rows.extend(rows);
                measured.commits.merge(&commits);
            }
            Err(error) => {
                say(&format!("{name}: could not be measured: {error:#}"));
                measured.failures.push(format!("{name}: {error:#}"));
            }
        }
    }
}

async fn measure_one(figure: Figure, settings: &Settings) -> anyhow::Result<Outcome> {
    match figure {
        Figure::Click => figure::click::measure(settings).await,
        Figure::Enqueue => figure::enqueue::measure(settings).await,
        Figure::Lifecycle => figure::lifecycle::measure(settings).await,
        Figure::List => figure::list::measure(settings).await,
        Figure::Polls => figure::polls::measure(settings).await,
        Figure::Idle => figure::idle::measure(settings).await,
        Figure::Batch => figure::batch::measure(settings).await,
        Figure::History => figure::history::measure(settings).await,
        Figure::Pages => figure::history::pages::measure(settings).await,
        Figure::Snapshot => figure::snapshot::measure(settings).await,
    }
}

fn commit_row(commits: &report::Spread) -> Row {
    Row {
        figure: "F: one durable commit, p50",
        target: String::new(),
        measured: commits.p50,
        floor: None,
        unit: "ms",
        verdict: Verdict::Shown,
        note: format!(
            "pgbench, 1 client, one row of 400 bytes, {} commits between the figures; p99 {:.2} ms. A figure is judged by \
             the commits of its own server, before and after it.",
            commits.count, commits.p99
        ),
    }
}

fn print(settings: &Settings, load_before: f64, rows: &[Row]) {
    use std::io::Write as _;
    let size = if settings.quick { "a TENTH of the size, which proves nothing" } else { "full size" };
    let text = format!(
        "\nfsync, synchronous_commit and full_page_writes are on; server log filter: {}; {size}; the fleet and the callers \
         share the server's cores; load average before: {load_before:.2}\n\n{}",
        settings.log,
        table::table(rows)
    );
    let _ = std::io::stdout().write_all(text.as_bytes());
}
