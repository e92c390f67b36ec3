//! The ways to put load on a server that runs already.

mod churn;
mod idle;
mod populate;
mod reconnect_storm;
mod storm;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use clap::{Args, Subcommand};

use crate::{
    agent::Verify,
    fleet::{Counters, Fleet, FleetFile, Habits, Watch},
    report::{self, Count, Latency, Recorder, Report},
    target::Target,
};

#[derive(Debug, Subcommand)]
pub enum Profile {
    /// Enrol a fleet, and write the fleet file that the other profiles read.
    Populate(populate::Arguments),
    /// Hold the streams of a fleet that has nothing to do.
    Idle(idle::Arguments),
    /// Order as much as the server takes, and let the fleet execute it.
    Storm(storm::Arguments),
    /// Streams that end and begin all the time.
    Churn(churn::Arguments),
    /// The whole fleet loses its streams at once and returns at once, again and again.
    ReconnectStorm(reconnect_storm::Arguments),
}

impl Profile {
    pub async fn run(&self) -> anyhow::Result<()> {
        match self {
            Self::Populate(arguments) => populate::run(arguments).await,
            Self::Idle(arguments) => idle::run(arguments).await,
            Self::Storm(arguments) => storm::run(arguments).await,
            Self::Churn(arguments) => churn::run(arguments).await,
            Self::ReconnectStorm(arguments) => reconnect_storm::run(arguments).await,
        }
    }
}

/// What the profiles with an enrolled fleet share.
#[derive(Args, Debug)]
struct Common {
    /// The server's address: http://127.0.0.1:8080. Only loopback is allowed.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    server: Target,
    /// The fleet file that `populate` wrote; it holds the seed.
    #[arg(long, value_name = "FILE", default_value = "fleet.json")]
    fleet: PathBuf,
    /// How many of the fleet's agents take part [default: all].
    #[arg(long)]
    agents: Option<usize>,
    /// How long to measure, after everybody is connected.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Send no telemetry after the first message.
    #[arg(long)]
    without_telemetry: bool,
    /// Check the signature of one command in so many; simulated agents share the server's machine.
    #[arg(long, value_name = "N", default_value_t = 1)]
    verify_one_of: u32,
    /// Write the report as JSON too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A fleet at work.
struct Run<'a> {
    common: &'a Common,
    file: FleetFile,
    fleet: Fleet,
    joins: Arc<Joins>,
}

/// How long streams took from the first packet to the welcome.
#[derive(Default)]
struct Joins(Mutex<Recorder>);

impl Watch for Joins {
    fn joined(&self, _agent: usize, took: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).record(took);
    }
}

impl<'a> Run<'a> {
    fn new(common: &'a Common, habits: Habits) -> anyhow::Result<Self> {
        let file = FleetFile::read(&common.fleet)?;
        let size = common.agents.unwrap_or(file.len());
        let joins = Arc::new(Joins::default());
        let habits = Habits {
            telemetry: !common.without_telemetry,
            verify: if common.verify_one_of > 1 {
                Verify::OneOf(common.verify_one_of)
            } else {
                Verify::Always
            },
            ..habits
        };
        let fleet = Fleet::new(&common.server, &file, size, habits, joins.clone())?;
        Ok(Self { common, file, fleet, joins })
    }

    fn duration(&self) -> Duration {
        Duration::from_secs(self.common.seconds)
    }

    /// A line every 2 s until the time is over.
    async fn pass_time(&self) {
        let began = Instant::now();
        while began.elapsed() < self.duration() {
            let left = self.duration().saturating_sub(began.elapsed());
            tokio::time::sleep(left.min(Duration::from_secs(2))).await;
            self.say_progress(began);
        }
    }

    fn say_progress(&self, began: Instant) {
        let counters = self.fleet.counters();
        let [streams, offers, recorded, failures] =
            [&counters.streams, &counters.offers, &counters.recorded, &counters.join_failures]
                .map(Counters::read);
        say(&format!(
            "{:>4} s: {streams} streams, {offers} offers, {recorded} results recorded, {failures} failures",
            began.elapsed().as_secs()
        ));
    }

    fn report(
        &self,
        profile: &'static str,
        took: Duration,
        milliseconds: Vec<Latency>,
    ) -> anyhow::Result<()> {
        let counters = self.fleet.counters();
        let counts = [
            ("streams opened", &counters.joins),
            ("attempts that failed", &counters.join_failures),
            ("refusals", &counters.refusals),
            ("commands offered", &counters.offers),
            ("  of them known already", &counters.repeats),
            ("  of them thrown away", &counters.rejected),
            ("receipts", &counters.receipts),
            ("effects", &counters.effects),
            ("results recorded", &counters.recorded),
            ("telemetry messages", &counters.telemetry),
        ];
        let mut all = vec![Latency {
            what: "stream: connect to welcome",
            spread: self.joins.0.lock().unwrap_or_else(PoisonError::into_inner).spread(),
        }];
        all.extend(milliseconds);
        let report = Report {
            profile,
            seed: self.file.seed,
            agents: self.fleet.agents().len(),
            seconds: took.as_secs_f64(),
            counts: counts.map(|(what, counter)| Count { what, count: Counters::read(counter) }).into(),
            milliseconds: all,
        };
        publish(&report, self.common.json.as_deref())?;
        match self.fleet.doubled().as_slice() {
            [] => Ok(()),
            doubled => anyhow::bail!("{} commands took effect more than once: {doubled:?}", doubled.len()),
        }
    }
}

fn publish(report: &Report, json: Option<&std::path::Path>) -> anyhow::Result<()> {
    print(&report.text());
    json.map_or(Ok(()), |path| report::write_json(path, report))
}

fn print(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// A line about how it goes; standard output is for reports.
pub(crate) fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "==> {text}");
}
