-- Events that are told to other systems. What is told stands in the audit log; a cursor over it says how far it has been turned
-- into deliveries.

-- The transaction that wrote a row. Ids are given out before they are committed, so a reader that goes by them alone misses rows;
-- among those of transactions that were all over when it looked, it misses none.
ALTER TABLE audit_log ADD COLUMN written_in xid8;
ALTER TABLE audit_log ALTER COLUMN written_in SET DEFAULT pg_current_xact_id();
CREATE INDEX audit_log_written ON audit_log (written_in, id) WHERE written_in IS NOT NULL;

CREATE TABLE webhooks (
  id uuid PRIMARY KEY,
  name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
  url text NOT NULL CHECK (length(url) BETWEEN 1 AND 2000),
  preset text NOT NULL CHECK (preset IN ('generic', 'slack')),
  events text[] NOT NULL CHECK (cardinality(events) BETWEEN 1 AND 50),
  -- Of events of commands, only those of these kinds; empty: of all.
  kinds text[] NOT NULL CHECK (cardinality(kinds) <= 50),
  -- `gone`: the receiver answered 410.
  state text NOT NULL CHECK (state IN ('active', 'paused', 'gone')),
  -- Nothing from before is told.
  active_since timestamptz NOT NULL,
  -- The secret is made of the server's key, the id and this number: no secret is stored.
  secret_number integer NOT NULL CHECK (secret_number > 0),
  rotated_at timestamptz,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL
);

CREATE TABLE webhook_deliveries (
  -- The header webhook-id: the same with every attempt.
  id uuid PRIMARY KEY,
  webhook_id uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
  event text NOT NULL CHECK (event ~ '^[a-z_.]{1,60}$'),
  body text NOT NULL CHECK (octet_length(body) <= 65536),
  state text NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed')),
  created_at timestamptz NOT NULL,
  attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  next_attempt_at timestamptz,
  -- Until then a server is at it.
  leased_until timestamptz,
  last_attempt_at timestamptz,
  last_status integer,
  -- The beginning of what the receiver answered, or why there was no answer.
  last_answer text CHECK (length(last_answer) <= 10000),
  CHECK ((state = 'waiting') = (next_attempt_at IS NOT NULL)),
  CHECK (state = 'waiting' OR leased_until IS NULL)
) WITH (fillfactor = 70);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, next_attempt_at) WHERE state = 'waiting';
CREATE INDEX webhook_deliveries_leased ON webhook_deliveries (webhook_id, leased_until) WHERE leased_until IS NOT NULL;
CREATE INDEX webhook_deliveries_newest ON webhook_deliveries (webhook_id, created_at DESC, id DESC);
CREATE INDEX webhook_deliveries_age ON webhook_deliveries (created_at);

-- One row: the last row of the audit log that has been turned into deliveries, or that needs none.
CREATE TABLE webhook_cursor (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  written_in xid8 NOT NULL,
  id bigint NOT NULL
);
INSERT INTO webhook_cursor (written_in, id) VALUES (pg_current_xact_id(), 0);
