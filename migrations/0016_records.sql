-- What the pages that look back ask for: an index for each filter, and sessions that can be named without their token.
CREATE INDEX command_history_state ON command_history (status, id) WHERE status <> 'executed';
CREATE INDEX command_history_by ON command_history (created_by, id);
CREATE INDEX command_history_kind ON command_history (command, id);

CREATE INDEX audit_log_actor ON audit_log (actor, id);
CREATE INDEX audit_log_action ON audit_log (action, id);
CREATE INDEX audit_log_endpoint ON audit_log (endpoint_id, id) WHERE endpoint_id IS NOT NULL;

ALTER TABLE operators
  -- By the minute.
  ADD COLUMN last_seen_at timestamptz;
ALTER TABLE sessions
  ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid(),
  -- Where it was opened from, when that is known.
  ADD COLUMN client text CHECK (length(client) <= 64);
CREATE UNIQUE INDEX sessions_id ON sessions (id);
