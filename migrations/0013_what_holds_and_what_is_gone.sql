-- What holds on a host while a change of its isolation is on its way: the record goes back to it when the change comes to nothing.
ALTER TABLE desired_isolation
  -- Null while no change is on its way.
  ADD COLUMN earlier_terms jsonb,
  ADD COLUMN earlier_change_id bigint,
  -- When the isolation ended by itself then; null when it did not.
  ADD COLUMN earlier_end timestamptz,
  ADD CONSTRAINT desired_isolation_earlier
    CHECK (earlier_terms IS NOT NULL OR (earlier_change_id IS NULL AND earlier_end IS NULL));
CREATE INDEX schedules_rollback_newest ON schedules (rollback_of, created_at DESC) WHERE rollback_of IS NOT NULL;

-- Evidence that somebody has discarded: its row and its custody stay, its bytes go.
ALTER TABLE evidence
  ADD COLUMN discarded_by text,
  ADD COLUMN discarded_at timestamptz,
  ADD COLUMN discard_reason text,
  -- Null while the bytes may still be in the evidence store.
  ADD COLUMN removed_at timestamptz,
  -- How many entries of the custody its agent has caused.
  ADD COLUMN agent_entries integer NOT NULL DEFAULT 0,
  -- When it could not be looked through last.
  ADD COLUMN looked_at timestamptz,
  DROP CONSTRAINT evidence_state_check,
  DROP CONSTRAINT evidence_check1,
  DROP CONSTRAINT evidence_check2,
  ADD CONSTRAINT evidence_state_check
    CHECK (state IN ('announced', 'uploading', 'stored', 'abandoned', 'discarded')),
  ADD CONSTRAINT evidence_claimed
    CHECK (state NOT IN ('uploading', 'stored') OR (claims IS NOT NULL AND agent_key IS NOT NULL)),
  ADD CONSTRAINT evidence_stored_at
    CHECK (CASE state WHEN 'stored' THEN stored_at IS NOT NULL WHEN 'discarded' THEN true ELSE stored_at IS NULL END),
  ADD CONSTRAINT evidence_discarded CHECK (
    CASE state WHEN 'discarded' THEN num_nonnulls(discarded_by, discarded_at, discard_reason) = 3
      ELSE num_nonnulls(discarded_by, discarded_at, discard_reason, removed_at) = 0 END
  );
UPDATE evidence e SET agent_entries = (
  SELECT count(*) FROM evidence_custody c
  WHERE c.command_id = e.command_id AND c.entry::jsonb ->> 'action' IN ('offered', 'resumed', 'rejected')
);
CREATE INDEX evidence_kept ON evidence (sha256) INCLUDE (size_bytes, command_id) WHERE state IN ('uploading', 'stored');
CREATE INDEX evidence_unverified ON evidence (looked_at NULLS FIRST, command_id)
  WHERE state = 'stored' AND problems IS NULL;
CREATE INDEX evidence_unremoved ON evidence (command_id) WHERE state = 'discarded' AND removed_at IS NULL;
