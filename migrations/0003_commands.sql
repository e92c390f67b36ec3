CREATE SEQUENCE command_ids;

-- Small and hot: only what is not final yet.
CREATE TABLE pending_commands (
  id bigint PRIMARY KEY DEFAULT nextval('command_ids'),
  hostname text NOT NULL,
  command text NOT NULL CHECK (command ~ '^[a-z_]{1,40}$'),
  params jsonb NOT NULL,
  status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered')),
  created_at timestamptz NOT NULL DEFAULT now(),
  delivered_at timestamptz,
  executed_at timestamptz CHECK (executed_at IS NULL),
  result jsonb CHECK (result IS NULL),
  created_by text NOT NULL,
  priority smallint NOT NULL DEFAULT 5,
  endpoint_id text NOT NULL REFERENCES endpoints,
  epoch integer NOT NULL,
  reason text NOT NULL,
  not_before timestamptz,
  expires_at timestamptz NOT NULL,
  -- How often it was handed out, and until when the last hand-out is waited for.
  attempt integer NOT NULL DEFAULT 0 CHECK (attempt >= 0),
  leased_until timestamptz,
  channel text CHECK (channel IN ('stream', 'polling')),
  started_at timestamptz,
  batch_id uuid,
  idempotency_key uuid,
  CHECK ((status = 'delivered') = (delivered_at IS NOT NULL)),
  CHECK (expires_at > created_at),
  CHECK (not_before IS NULL OR not_before < expires_at)
) WITH (
  fillfactor = 70,
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_cost_delay = 0
);
ALTER SEQUENCE command_ids OWNED BY pending_commands.id;
CREATE INDEX pending_commands_order ON pending_commands (endpoint_id, priority DESC, id);
CREATE INDEX pending_commands_expiry ON pending_commands (expires_at);

-- Final commands; the columns stand in the same order as above, then those that only a final one has.
CREATE TABLE command_history (
  id bigint NOT NULL,
  hostname text NOT NULL,
  command text NOT NULL,
  params jsonb NOT NULL,
  status text NOT NULL CHECK (status IN ('executed', 'failed', 'expired', 'cancelled')),
  created_at timestamptz NOT NULL,
  delivered_at timestamptz,
  executed_at timestamptz,
  result jsonb,
  created_by text NOT NULL,
  priority smallint NOT NULL,
  endpoint_id text NOT NULL,
  epoch integer NOT NULL,
  reason text NOT NULL,
  not_before timestamptz,
  expires_at timestamptz NOT NULL,
  attempt integer NOT NULL,
  channel text,
  started_at timestamptz,
  batch_id uuid,
  idempotency_key uuid,
  cancelled_by text,
  finished_at timestamptz NOT NULL,
  CHECK ((status IN ('executed', 'failed')) = (result IS NOT NULL AND executed_at IS NOT NULL)),
  CHECK ((status = 'cancelled') = (cancelled_by IS NOT NULL))
) PARTITION BY RANGE (finished_at);
CREATE TABLE command_history_default PARTITION OF command_history DEFAULT;
CREATE INDEX command_history_id ON command_history (id);
CREATE INDEX command_history_endpoint ON command_history (endpoint_id, id DESC);

CREATE VIEW commands AS
  SELECT id, hostname, command, params, status, created_at, delivered_at, executed_at, result, created_by, priority,
         endpoint_id, epoch, reason, not_before, expires_at, attempt, channel, started_at, batch_id, idempotency_key,
         NULL::text AS cancelled_by, NULL::timestamptz AS finished_at
  FROM pending_commands
  UNION ALL
  SELECT id, hostname, command, params, status, created_at, delivered_at, executed_at, result, created_by, priority,
         endpoint_id, epoch, reason, not_before, expires_at, attempt, channel, started_at, batch_id, idempotency_key,
         cancelled_by, finished_at
  FROM command_history;

-- What the console asked of a host last: written with the command itself, in the same statement.
CREATE TABLE desired_isolation (
  endpoint_id text PRIMARY KEY REFERENCES endpoints,
  command_id bigint NOT NULL,
  direction text NOT NULL CHECK (direction IN ('isolate', 'restore')),
  state text NOT NULL CHECK (state IN ('pending', 'delivered', 'executed', 'failed', 'expired', 'cancelled')),
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  reason text NOT NULL,
  expires_at timestamptz NOT NULL,
  message text
) WITH (fillfactor = 70);

CREATE TABLE idempotency_keys (
  operator text NOT NULL,
  key uuid NOT NULL,
  endpoint_id text NOT NULL,
  command text NOT NULL,
  command_id bigint NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (operator, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
