-- The revision of an endpoint's labels and note rises with each change: whoever writes them says which one was read, so that
-- nobody writes over what somebody else has written meanwhile.
ALTER TABLE endpoints
  ADD COLUMN annotation integer NOT NULL DEFAULT 0 CHECK (annotation >= 0),
  ADD COLUMN annotated_at timestamptz,
  ADD COLUMN annotated_by text;
-- What happened to an endpoint besides its commands. Partial, so that a click pays nothing for it.
CREATE INDEX audit_log_events ON audit_log (endpoint_id, id DESC) WHERE action NOT LIKE 'command.%';
