-- Bundles of evidence, one a collection: the bytes are in the evidence store, under their digest.
CREATE TABLE evidence (
  -- The collection's command. It outlives the command's row in the history, so what matters of it stands here.
  command_id bigint PRIMARY KEY,
  endpoint_id text NOT NULL REFERENCES endpoints,
  epoch integer NOT NULL,
  hostname text NOT NULL,
  requested_by text NOT NULL,
  requested_at timestamptz NOT NULL,
  reason text NOT NULL,
  profile text NOT NULL CHECK (profile ~ '^[a-z_]{1,20}$'),
  state text NOT NULL CHECK (state IN ('announced', 'uploading', 'stored', 'abandoned')),
  sha256 bytea NOT NULL CHECK (length(sha256) = 32),
  size_bytes bigint NOT NULL CHECK (size_bytes > 0),
  received_bytes bigint NOT NULL DEFAULT 0 CHECK (received_bytes BETWEEN 0 AND size_bytes),
  -- From the collection's result, once that is here.
  is_reported boolean NOT NULL,
  files integer CHECK (files >= 0),
  errors integer CHECK (errors >= 0),
  partial text,
  -- As the agent signed them, and the key that verified them.
  claims jsonb,
  agent_key bytea CHECK (length(agent_key) = 32),
  announced_at timestamptz NOT NULL,
  -- The last message of the agent about it.
  touched_at timestamptz NOT NULL,
  stored_at timestamptz,
  -- What the server found wrong with the stored bundle; null until it has looked.
  problems jsonb CHECK (jsonb_typeof(problems) = 'array'),
  CHECK (state IN ('announced', 'abandoned') OR (claims IS NOT NULL AND agent_key IS NOT NULL)),
  CHECK ((state = 'stored') = (stored_at IS NOT NULL)),
  CHECK (state <> 'stored' OR received_bytes = size_bytes)
);
CREATE INDEX evidence_endpoint ON evidence (endpoint_id, command_id DESC);
CREATE INDEX evidence_unfinished ON evidence (touched_at) WHERE state IN ('announced', 'uploading');

-- Who had to do with a bundle, from the request on: a chain of hashes, of which nothing can be taken out unseen.
CREATE TABLE evidence_custody (
  command_id bigint NOT NULL REFERENCES evidence,
  sequence integer NOT NULL CHECK (sequence > 0),
  -- The exact text that is hashed: JSON with its keys in order and without blanks (RFC 8785).
  entry text NOT NULL,
  sha256 bytea NOT NULL CHECK (sha256 = sha256(convert_to(entry, 'UTF8'))),
  previous_sha256 bytea CHECK (length(previous_sha256) = 32),
  PRIMARY KEY (command_id, sequence),
  UNIQUE (command_id, sha256),
  FOREIGN KEY (command_id, previous_sha256) REFERENCES evidence_custody (command_id, sha256),
  CHECK ((sequence = 1) = (previous_sha256 IS NULL)),
  CHECK ((entry::jsonb ->> 'command_id')::bigint = command_id),
  CHECK ((entry::jsonb ->> 'sequence')::integer = sequence),
  CHECK ((entry::jsonb ->> 'previous') = coalesce(encode(previous_sha256, 'hex'), ''))
);

CREATE FUNCTION refuse_custody_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'evidence_custody is append-only';
END $$;
CREATE TRIGGER evidence_custody_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON evidence_custody
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_custody_change();
