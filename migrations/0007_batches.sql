-- One order to many endpoints: its commands carry its id.
CREATE TABLE batches (
  id uuid PRIMARY KEY,
  command text NOT NULL CHECK (command ~ '^[a-z_]{1,40}$'),
  params jsonb NOT NULL,
  reason text NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  -- Endpoints it was for, and how many of them got a command; the others were on their way there already.
  total integer NOT NULL CHECK (total > 0),
  queued integer NOT NULL CHECK (queued BETWEEN 0 AND total),
  undo_of uuid REFERENCES batches ON DELETE SET NULL,
  schedule_id uuid,
  cancelled_by text,
  cancelled_at timestamptz,
  idempotency_key uuid,
  CHECK ((cancelled_by IS NULL) = (cancelled_at IS NULL))
);
CREATE UNIQUE INDEX batches_idempotency ON batches (created_by, idempotency_key);
CREATE INDEX batches_newest ON batches (created_at DESC, id DESC);
