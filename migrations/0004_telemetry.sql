CREATE TABLE telemetry_latest (
  endpoint_id text PRIMARY KEY REFERENCES endpoints,
  -- By the host's clock, and by ours.
  observed_at timestamptz NOT NULL,
  received_at timestamptz NOT NULL,
  isolation_state text NOT NULL CHECK (isolation_state IN ('not_isolated', 'isolated', 'partial', 'unknown')),
  isolation_generation bigint,
  isolation_detail text,
  isolation_observed_at timestamptz NOT NULL,
  isolation_received_at timestamptz NOT NULL,
  -- The newest telemetry message, whole; none yet when only a result told of the isolation.
  body jsonb
) WITH (fillfactor = 50);

CREATE TABLE telemetry_samples (
  endpoint_id text NOT NULL,
  received_at timestamptz NOT NULL,
  load_one real NOT NULL,
  memory_total_bytes bigint NOT NULL,
  memory_available_bytes bigint NOT NULL,
  disk_fullest_percent real,
  isolated boolean NOT NULL
) PARTITION BY RANGE (received_at);
CREATE TABLE telemetry_samples_default PARTITION OF telemetry_samples DEFAULT;
CREATE INDEX telemetry_samples_endpoint ON telemetry_samples (endpoint_id, received_at DESC);
