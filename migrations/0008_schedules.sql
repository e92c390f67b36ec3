-- Commands that are to be made later: once, again and again, or to take an isolation back.
CREATE TABLE schedules (
  id uuid PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('once', 'cron', 'rollback')),
  state text NOT NULL CHECK (state IN ('waiting', 'done', 'cancelled')),
  command text NOT NULL CHECK (command ~ '^[a-z_]{1,40}$'),
  params jsonb NOT NULL,
  reason text NOT NULL,
  endpoint_ids text[] NOT NULL CHECK (cardinality(endpoint_ids) > 0),
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  -- A rollback waits without a time until its isolation has taken effect.
  next_run_at timestamptz,
  -- No run after this; a command that it made expires after lifetime_seconds.
  ends_at timestamptz NOT NULL,
  lifetime_seconds integer NOT NULL CHECK (lifetime_seconds > 0),
  cron text,
  time_zone text,
  rollback_of bigint,
  rollback_after_seconds integer CHECK (rollback_after_seconds > 0),
  runs integer NOT NULL DEFAULT 0,
  last_run_at timestamptz,
  last_batch_id uuid,
  -- Why the last run made no command, or why it ended.
  note text,
  ended_by text,
  ended_at timestamptz,
  idempotency_key uuid,
  CHECK ((kind = 'cron') = (cron IS NOT NULL AND time_zone IS NOT NULL)),
  CHECK ((kind = 'rollback') = (rollback_of IS NOT NULL AND rollback_after_seconds IS NOT NULL)),
  CHECK (state = 'waiting' OR next_run_at IS NULL),
  CHECK (kind = 'rollback' OR state <> 'waiting' OR next_run_at IS NOT NULL),
  CHECK ((state = 'waiting') = (ended_at IS NULL))
);
CREATE INDEX schedules_due ON schedules (next_run_at) WHERE state = 'waiting';
CREATE INDEX schedules_end ON schedules (ends_at) WHERE state = 'waiting';
CREATE INDEX schedules_rollback ON schedules (rollback_of) WHERE state = 'waiting';
CREATE INDEX schedules_newest ON schedules (created_at DESC, id DESC);
CREATE UNIQUE INDEX schedules_idempotency ON schedules (created_by, idempotency_key);
CREATE INDEX schedules_rollback_endpoint ON schedules ((endpoint_ids[1])) WHERE state = 'waiting' AND kind = 'rollback';
