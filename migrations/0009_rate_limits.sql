-- A token bucket for each kind of command, and one for all ('*'): shared by every server on this database.
CREATE TABLE rate_limits (
  kind text PRIMARY KEY CHECK (kind = '*' OR kind ~ '^[a-z_]{1,40}$'),
  per_minute double precision NOT NULL CHECK (per_minute > 0),
  burst integer NOT NULL CHECK (burst > 0),
  tokens double precision NOT NULL CHECK (tokens >= 0 AND tokens <= burst),
  refilled_at timestamptz NOT NULL
);
