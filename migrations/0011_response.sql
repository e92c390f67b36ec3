-- On which terms a host is isolated, what it observes of them, and what it found changed.
ALTER TABLE desired_isolation
  -- Of an isolate: {"exceptions": [..], "allow_dns": ..}; those of the newest change, if there was one.
  ADD COLUMN terms jsonb,
  -- The newest isolation_change. command_id stays the isolate's: rollbacks and batches go by it.
  ADD COLUMN change_id bigint;
ALTER TABLE telemetry_latest
  -- What the observation says besides its state; none when that is nothing.
  ADD COLUMN isolation_facts jsonb,
  -- The drift that was written into the audit log last.
  ADD COLUMN drift_found_at timestamptz,
  ADD COLUMN drift_count bigint;
