CREATE TABLE audit_log (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL,
  -- An operator's name, `agent`, `server` or `console` (voltaxe-server admin).
  actor text NOT NULL,
  action text NOT NULL CHECK (action ~ '^[a-z_.]{1,60}$'),
  endpoint_id text,
  hostname text,
  command_id bigint,
  reason text,
  detail jsonb
);
CREATE INDEX audit_log_at ON audit_log (at);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'audit_log is append-only';
END $$;
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
