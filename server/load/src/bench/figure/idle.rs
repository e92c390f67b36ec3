use std::{sync::Arc, time::Duration};

use super::{JOIN_WITHIN, Lab, Outcome, Row, Settings, Verdict, commits};
use crate::{
    agent::Verify,
    bench::proc,
    fleet::{Fleet, Habits, Unwatched},
};

const FEW: usize = 5_000;
const MANY: usize = 15_000;
const PROMISED_KILOBYTES: f64 = 10.0;
/// A ping of the server has passed on every stream by then.
const SETTLE: Duration = Duration::from_secs(20);

pub(in crate::bench) async fn measure(settings: &Settings) -> anyhow::Result<Outcome> {
    let (few, many) = (settings.agents(FEW), settings.agents(MANY));
    let lab = Lab::start(settings).await?;
    let file = lab.enrol(many).await?;
    let mut commits_seen = commits(&lab.postgres).await?;
    let habits = Habits { telemetry: false, verify: Verify::Always, ..Habits::default() };
    let fleet = Fleet::new(&lab.target, &file, many, habits, Arc::new(Unwatched))?;
    let _first = fleet.connect(0..few);
    fleet.joined(few, JOIN_WITHIN).await?;
    let at_few = Memory::after_rest(&lab).await?;
    let _rest = fleet.connect(few..many);
    fleet.joined(many, JOIN_WITHIN).await?;
    let at_many = Memory::after_rest(&lab).await?;
    fleet.joined(many, Duration::ZERO).await?;
    commits_seen.merge(&commits(&lab.postgres).await?);

    let slope = |few_bytes: u64, many_bytes: u64| {
        (many_bytes as f64 - few_bytes as f64) / (many - few) as f64 / 1000.0
    };
    let user = slope(at_few.user, at_many.user);
    // Half of it belongs to the fleet's ends of the connections.
    let kernel = slope(at_few.kernel, at_many.kernel) / 2.0;
    let rows = vec![
        Row {
            figure: "idle agent on a stream: the server's own memory",
            target: format!("<= {PROMISED_KILOBYTES} kB"),
            measured: user,
            floor: None,
            unit: "kB",
            verdict: Verdict::of(user <= PROMISED_KILOBYTES),
            note: format!(
                "Slope of RssAnon between {few} ({:.1} MB) and {many} agents ({:.1} MB), each {} s after the last had joined \
                 and sent telemetry.",
                at_few.user as f64 / 1e6,
                at_many.user as f64 / 1e6,
                SETTLE.as_secs()
            ),
        },
        Row {
            figure: "idle agent on a stream: kernel memory, apart",
            target: format!("<= {PROMISED_KILOBYTES} kB"),
            measured: kernel,
            floor: None,
            unit: "kB",
            verdict: Verdict::of(kernel <= PROMISED_KILOBYTES),
            note:
                "Slope of slabs and TCP pages of the machine, halved: both ends of each connection are on it."
                    .to_owned(),
        },
    ];
    Ok(Outcome { rows, commits: commits_seen })
}

struct Memory {
    user: u64,
    kernel: u64,
}

impl Memory {
    async fn after_rest(lab: &Lab) -> anyhow::Result<Self> {
        tokio::time::sleep(SETTLE).await;
        Ok(Self { user: proc::anonymous_bytes(lab.server_pid())?, kernel: proc::kernel_bytes()? })
    }
}
