-- The direct channel, taking a command back after it was handed out, and where a command came from.
ALTER TABLE pending_commands
  DROP CONSTRAINT pending_commands_channel_check,
  ADD CONSTRAINT pending_commands_channel_check CHECK (channel IN ('stream', 'direct', 'polling')),
  ADD COLUMN cancel_requested_by text,
  ADD COLUMN cancel_requested_at timestamptz,
  ADD COLUMN schedule_id uuid,
  ADD CONSTRAINT pending_commands_cancel_check
    CHECK ((cancel_requested_by IS NULL) = (cancel_requested_at IS NULL));
-- Every statement that inserts here reads the endpoint itself, and endpoints are never deleted: the check would cost each
-- command a lock on its endpoint's row.
ALTER TABLE pending_commands DROP CONSTRAINT pending_commands_endpoint_id_fkey;
ALTER TABLE command_history
  ADD COLUMN cancel_requested_by text,
  ADD COLUMN cancel_requested_at timestamptz,
  ADD COLUMN schedule_id uuid;
CREATE INDEX pending_commands_batch ON pending_commands (batch_id, id) WHERE batch_id IS NOT NULL;
CREATE INDEX command_history_batch ON command_history (batch_id, id) WHERE batch_id IS NOT NULL;

CREATE OR REPLACE VIEW commands AS
  SELECT id, hostname, command, params, status, created_at, delivered_at, executed_at, result, created_by, priority,
         endpoint_id, epoch, reason, not_before, expires_at, attempt, channel, started_at, batch_id, idempotency_key,
         NULL::text AS cancelled_by, NULL::timestamptz AS finished_at,
         cancel_requested_by, cancel_requested_at, schedule_id
  FROM pending_commands
  UNION ALL
  SELECT id, hostname, command, params, status, created_at, delivered_at, executed_at, result, created_by, priority,
         endpoint_id, epoch, reason, not_before, expires_at, attempt, channel, started_at, batch_id, idempotency_key,
         cancelled_by, finished_at, cancel_requested_by, cancel_requested_at, schedule_id
  FROM command_history;
