use anyhow::Context as _;

use crate::{bench::postgres::Postgres, profile::say};

/// Rows of commands that were executed in past weeks: as many weeks back as the retention keeps, a partition each.
pub(super) struct History {
    /// From and to, as days before today, and the table.
    much: Vec<Part>,
}

struct Part {
    table: String,
    /// The range of `finished_at`, in days before today.
    days_ago: (u64, u64),
}

const WEEKS: u64 = 10;
const DAYS_OF_LITTLE: (u64, u64) = (15, 8);

impl History {
    /// Fills the tables, and attaches those with `little`; `much` is added by [`History::attach_much`].
    pub(super) async fn fill(postgres: &Postgres, little: u64, much: u64) -> anyhow::Result<Self> {
        // Ids below those of the commands to come, as they would be.
        let next = little + much + 1_000_000;
        postgres.execute(&format!("SELECT setval('command_ids', {next})")).await?;
        let few = Part { table: "bench_history_little".to_owned(), days_ago: DAYS_OF_LITTLE };
        few.fill(postgres, 1, little).await?;
        few.attach(postgres).await?;

        let each = much / WEEKS;
        let much = (0..WEEKS)
            .map(|week| Part {
                table: format!("bench_history_{week}"),
                days_ago: (DAYS_OF_LITTLE.0 + 7 * (week + 1), DAYS_OF_LITTLE.0 + 7 * week),
            })
            .collect::<Vec<_>>();
        for pair in much.chunks(2) {
            let from = |part: &Part| little + part.days_ago.1 / 7 * each;
            let [one, other] = pair else { continue };
            tokio::try_join!(one.fill(postgres, from(one), each), other.fill(postgres, from(other), each))?;
        }
        let history = Self { much };
        // The first time makes the indexes; they stay.
        history.attach_much(postgres).await?;
        postgres.execute("ANALYZE command_history").await?;
        let size = postgres.ask(
            "SELECT pg_size_pretty(sum(pg_total_relation_size(inhrelid)))
                                 FROM pg_inherits WHERE inhparent = 'command_history'::regclass",
        );
        say(&format!("history: {little} rows and {} more, {}", each * WEEKS, size.await?));
        Ok(history)
    }

    pub(super) async fn attach_much(&self, postgres: &Postgres) -> anyhow::Result<()> {
        for part in &self.much {
            part.attach(postgres).await?;
        }
        Ok(())
    }

    pub(super) async fn detach_much(&self, postgres: &Postgres) -> anyhow::Result<()> {
        for part in &self.much {
            postgres.execute(&format!("ALTER TABLE command_history DETACH PARTITION {}", part.table)).await?;
        }
        Ok(())
    }
}

impl Part {
    /// Unlogged, as nothing is written to it afterwards; its CHECK spares the scan when it is attached.
    async fn fill(&self, postgres: &Postgres, first_id: u64, rows: u64) -> anyhow::Result<()> {
        let Self { table, .. } = self;
        let (from, to) = self.bounds(postgres).await?;
        let sql = format!(
            "CREATE UNLOGGED TABLE {table} (LIKE command_history INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
               WITH (autovacuum_enabled = off);
             WITH hosts AS (SELECT array_agg(id ORDER BY id) AS ids, array_agg(hostname ORDER BY id) AS names FROM endpoints),
                  -- Rounded down, or the last ones would be too late.
                  span AS (SELECT '{from}'::timestamptz AS begins, floor(extract(epoch FROM
                             '{to}'::timestamptz - '{from}'::timestamptz) * 1000000 / {rows}) * interval '1 microsecond' AS step)
             INSERT INTO {table}
               (id, hostname, command, params, status, created_at, delivered_at, executed_at, result, created_by, priority,
                endpoint_id, epoch, reason, expires_at, attempt, channel, started_at, finished_at)
             SELECT {first_id} + n, names[1 + n % cardinality(names)], 'agent_check', '{{}}', 'executed',
                    at, at, at, '{{\"success\": true, \"message\": \"ok\"}}', 'bench', 5,
                    ids[1 + n % cardinality(ids)], 1, 'bench', at + interval '7 days', 1, 'stream', at, at
             FROM hosts, span, generate_series(0, {rows} - 1) AS n, LATERAL (SELECT begins + n * step AS at) AS t;
             ALTER TABLE {table} ADD CHECK (finished_at IS NOT NULL AND finished_at >= '{from}' AND finished_at < '{to}');
             VACUUM (FREEZE, ANALYZE) {table};"
        );
        postgres.execute(&sql).await.with_context(|| format!("{table} could not be filled"))
    }

    async fn attach(&self, postgres: &Postgres) -> anyhow::Result<()> {
        let (from, to) = self.bounds(postgres).await?;
        let table = &self.table;
        let sql = format!(
            "ALTER TABLE command_history ATTACH PARTITION {table} FOR VALUES FROM ('{from}') TO ('{to}')"
        );
        postgres.execute(&sql).await.with_context(|| format!("{table} could not be attached"))
    }

    async fn bounds(&self, postgres: &Postgres) -> anyhow::Result<(String, String)> {
        let (from, to) = self.days_ago;
        let text = postgres.ask(&format!("SELECT current_date - {from}, current_date - {to}")).await?;
        let (from, to) = text.split_once('|').context("psql answered no pair of dates")?;
        Ok((from.to_owned(), to.to_owned()))
    }
}
