-- Credentials for machines: each acts by a role of its own until it expires or is revoked.
CREATE TABLE api_tokens (
  id uuid PRIMARY KEY,
  -- With a prefix it is the actor in the audit log, where no operator's name can be like it.
  name text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]{1,47}$'),
  role text NOT NULL CHECK (role IN ('viewer', 'responder', 'admin')),
  token_sha256 bytea NOT NULL UNIQUE CHECK (length(token_sha256) = 32),
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL CHECK (expires_at > created_at AND expires_at <= created_at + interval '366 days'),
  last_used_at timestamptz,
  revoked_by text,
  revoked_at timestamptz,
  CHECK ((revoked_by IS NULL) = (revoked_at IS NULL))
);
-- A name is never given twice, so that the audit log's actor is one token.
CREATE UNIQUE INDEX api_tokens_name ON api_tokens (name);
