CREATE TABLE enrolment_tokens (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  token_sha256 bytea NOT NULL UNIQUE CHECK (length(token_sha256) = 32),
  label text NOT NULL CHECK (length(label) <= 100),
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL CHECK (expires_at > created_at),
  uses_left integer NOT NULL CHECK (uses_left >= 0)
);

CREATE TABLE endpoints (
  id text PRIMARY KEY CHECK (id ~ '^ep_[0-9a-f]{32}$'),
  hostname text NOT NULL CHECK (length(hostname) BETWEEN 1 AND 253),
  epoch integer NOT NULL CHECK (epoch > 0),
  public_key bytea NOT NULL CHECK (length(public_key) = 32),
  machine_id text NOT NULL CHECK (length(machine_id) BETWEEN 1 AND 128),
  status text NOT NULL CHECK (status IN ('active', 'awaiting_approval', 'revoked')),
  label text NOT NULL DEFAULT '',
  -- Rises with every stream an agent opens; one that does not rise shows a copied key.
  join_counter bigint NOT NULL DEFAULT 0,
  agent_version text NOT NULL,
  os text NOT NULL,
  enrolled_at timestamptz NOT NULL,
  last_seen_at timestamptz
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX endpoints_active_hostname ON endpoints (hostname) WHERE status = 'active';
CREATE UNIQUE INDEX endpoints_active_machine ON endpoints (machine_id) WHERE status = 'active';
