//! A real server on a real Postgres, a fleet at work, operators who order all the time; and both processes are killed again
//! and again. In the end nothing that was acknowledged may be lost, doubled or stuck.

mod console;
mod count;
mod faults;
mod orders;
mod replay;
mod server;
mod verdict;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;
use tokio_util::sync::CancellationToken;

use self::{count::Count, orders::Book, server::Server};
use crate::{
    faults::Faults,
    fleet::{Channel, Connected, Fleet, FleetFile, Habits, Unwatched},
    profile::say,
    target::Target,
};

#[derive(Args, Debug)]
pub struct Arguments {
    /// The server to kill.
    #[arg(
        long,
        env = "VOLTAXE_SERVER_BIN",
        value_name = "FILE",
        default_value = "target/release/voltaxe-server"
    )]
    server: PathBuf,
    /// All chance comes from it; a new one each time when not set.
    #[arg(long, env = "VOLTAXE_SEED")]
    seed: Option<u64>,
    /// Simulated agents: most hold a stream, some poll, some are called.
    #[arg(long, default_value_t = 200)]
    agents: usize,
    /// How often the server is killed (SIGKILL).
    #[arg(long, default_value_t = 200)]
    kills: u32,
    /// How often its Postgres is stopped at once (SIGQUIT).
    #[arg(long, default_value_t = 50)]
    database_kills: u32,
    /// Requests that are sent again, byte for byte.
    #[arg(long, default_value_t = 100_000)]
    replays: u64,
    /// A try in less than a minute: 5 kills, 2 of Postgres, 2,000 replays.
    #[arg(long)]
    short: bool,
    /// Where the server's log and the seed are kept on failure.
    #[arg(long, value_name = "DIR", default_value = "target/chaos")]
    keep: PathBuf,
}

/// Everything must have come to rest so long after the last fault.
const RESTS_WITHIN: Duration = Duration::from_secs(180);

pub async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..1 << 48));
    say(&format!("chaos with VOLTAXE_SEED={seed}"));
    let count = Count::of(arguments);
    let server = Arc::new(Server::prepare(&arguments.server)?);
    let outcome = tokio::select! {
        outcome = unleash(seed, count, &server) => outcome,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    let clean = matches!(&outcome, Ok(true));
    if !clean {
        let kept = server.keep_log(&arguments.keep, seed)?;
        say(&format!("failed; repeat it with VOLTAXE_SEED={seed}; the server's log is {}", kept.display()));
    }
    server.end().await;
    match outcome {
        Ok(true) => Ok(()),
        Ok(false) => anyhow::bail!("the chaos run with seed {seed} broke an invariant"),
        Err(error) => Err(error).with_context(|| format!("the chaos run with seed {seed}")),
    }
}

/// Whether all held.
async fn unleash(seed: u64, count: Count, server: &Arc<Server>) -> anyhow::Result<bool> {
    server.start().await?;
    let target = server.target().clone();
    let console = console::Console::sign_in(server).await?;
    let file = server.enrol(seed, count.agents).await?;
    say(&format!("{} agents are enrolled", count.agents));
    let replayed = replay::run(server, &file, seed, count.replays).await?;
    let fleets = fleets(&target, &file, count)?;
    let connected = connect(&fleets);
    let book = Arc::new(Book::default());
    let stop = CancellationToken::new();
    let operators = orders::operators(&console, &fleets[0].hostnames(), seed, &book, &stop);
    let began = Instant::now();
    let struck = faults::strike(server, seed, count, &book).await?;
    stop.cancel();
    operators.wait().await;
    say("no more faults and no more orders; waiting for everything to come to rest");
    let verdict = verdict::reach(&console, &book, &fleets, RESTS_WITHIN).await?;
    for fleet in connected {
        fleet.end().await;
    }
    let seconds = began.elapsed().as_secs();
    for line in [
        format!("chaos: server chaos: seed {seed} {struck} in {seconds} s: {verdict}"),
        format!("chaos: replayed requests: seed {seed} {replayed}"),
    ] {
        print_line(&line);
    }
    Ok(verdict.is_clean() && replayed.accepted() == 0)
}

/// Streams that lose, repeat and delay; pollers; and pollers that are called as well. Each fleet knows all agents and
/// connects its own part.
fn fleets(target: &Target, file: &FleetFile, count: Count) -> anyhow::Result<[Fleet; 3]> {
    let bad = Faults { lose: count.lose, repeat: 0.05, delay: 0.1, delay_up_to: Duration::from_millis(300) };
    let streams = Habits {
        inbound: bad,
        outbound: bad,
        effect_takes: Duration::from_millis(50),
        report_again_after: Duration::from_secs(3),
        stream_lasts: Some(Duration::from_secs(30)),
        ..Habits::default()
    };
    let every = Duration::from_secs(2);
    let polls =
        Habits { channel: Channel::Poll { every, wait_seconds: 0 }, inbound: bad, ..Habits::default() };
    let called =
        Habits { direct: true, channel: Channel::Poll { every, wait_seconds: 10 }, ..Habits::default() };
    let fleet = |habits| Fleet::new(target, file, file.len(), habits, Arc::new(Unwatched));
    Ok([fleet(streams)?, fleet(polls)?, fleet(called)?])
}

fn connect(fleets: &[Fleet; 3]) -> Vec<Connected> {
    let size = fleets[0].agents().len();
    let parts = [0..size * 6 / 10, size * 6 / 10..size * 8 / 10, size * 8 / 10..size];
    fleets.iter().zip(parts).map(|(fleet, part)| fleet.connect(part)).collect()
}

fn print_line(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{line}");
}
