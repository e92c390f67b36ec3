//! The kills.

use std::{fmt, time::Duration};

use tokio::time::sleep;

use super::{Count, orders::Book, server::Server};
use crate::{profile::say, seed};

/// From one being up to the next kill: long enough for work to be under way, at every stage of it.
const LONGEST_LIFE: Duration = Duration::from_millis(900);
const SAY_EVERY: usize = 10;

/// How often each was killed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Struck {
    servers: u32,
    databases: u32,
}

impl fmt::Display for Struck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { servers, databases } = self;
        write!(f, "{} done (server killed {servers} times, Postgres {databases} times)", servers + databases)
    }
}

/// Kills in an order and at times that the seed gives, each when the one before is up again.
pub(super) async fn strike(server: &Server, seed: u64, count: Count, book: &Book) -> anyhow::Result<Struck> {
    let mut random = seed::generator(seed, "kills", 0);
    let mut kills = vec![Victim::Server; count.kills as usize];
    kills.extend(vec![Victim::Database; count.database_kills as usize]);
    random.shuffle(&mut kills);
    let mut struck = Struck::default();
    for (number, victim) in kills.iter().enumerate() {
        sleep(LONGEST_LIFE.mul_f64(random.f64())).await;
        match victim {
            Victim::Server => {
                struck.servers += 1;
                server.kill()?;
                server.start().await?;
            }
            Victim::Database => {
                struck.databases += 1;
                server.kill_database()?;
                sleep(Duration::from_millis(50)).await;
                server.ready().await?;
            }
        }
        if number % SAY_EVERY == SAY_EVERY - 1 {
            say(&format!("{} of {} kills; {} orders acknowledged", number + 1, kills.len(), book.orders()));
        }
    }
    Ok(struck)
}

#[derive(Clone, Copy, Debug)]
enum Victim {
    Server,
    Database,
}
