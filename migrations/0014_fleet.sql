-- The list of endpoints, for 100,000 of them: what it is searched, filtered and sorted by stands in the row itself.
CREATE FUNCTION search_words(hostname text, os text, addresses text, labels text[]) RETURNS text
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  AS $$ SELECT lower(hostname || ' ' || os || ' ' || addresses || ' ' || array_to_string(labels, ' ')) $$;

-- Every three characters in a row. pg_trgm does the same, and a managed Postgres may not have it.
CREATE FUNCTION trigrams(words text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT coalesce(array_agg(DISTINCT substr(words, n, 3)), '{}') FROM generate_series(1, length(words) - 2) AS n
$$;

ALTER TABLE endpoints
  -- As the host reported them last, with spaces between them.
  ADD COLUMN addresses text NOT NULL DEFAULT '',
  -- Of the last minute, as it was flushed together with last_seen_at; -1: none was reported.
  ADD COLUMN load_hundredths integer NOT NULL DEFAULT -1 CHECK (load_hundredths >= -1),
  -- 0 attention, 1 failed, 2 changing, 3 isolated, 4 connected: what isolation_group_of says, kept by the triggers below.
  ADD COLUMN isolation_group smallint NOT NULL DEFAULT 0 CHECK (isolation_group BETWEEN 0 AND 4);
UPDATE endpoints e SET addresses = a.addresses
FROM (SELECT t.endpoint_id, string_agg(a.address, ' ') AS addresses
      FROM telemetry_latest t, jsonb_array_elements_text(t.body->'host'->'addresses') AS a(address)
      WHERE jsonb_typeof(t.body->'host'->'addresses') = 'array' GROUP BY 1) AS a
WHERE a.endpoint_id = e.id;
ALTER TABLE endpoints
  ADD COLUMN search text NOT NULL GENERATED ALWAYS AS (search_words(hostname, os, addresses, labels)) STORED;

-- None on last_seen_at or load_hundredths: they change all the time, and with an index every change would touch all of them.
CREATE INDEX endpoints_by_hostname ON endpoints (hostname, id) WHERE status <> 'revoked';
CREATE INDEX endpoints_by_os ON endpoints (os, id) WHERE status <> 'revoked';
CREATE INDEX endpoints_by_version ON endpoints (agent_version, id) WHERE status <> 'revoked';
CREATE INDEX endpoints_by_isolation ON endpoints (isolation_group, id) WHERE status <> 'revoked';
CREATE INDEX endpoints_search ON endpoints USING gin (trigrams(search));

-- As the dashboard's `Isolation::group`; a test holds them together.
CREATE FUNCTION isolation_group_of(direction text, state text, has_ended boolean, observed text, is_provisional boolean)
RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT (CASE
    WHEN observed = 'isolated' AND direction = 'isolate' AND is_provisional THEN 2
    WHEN observed = 'isolated' AND direction = 'isolate' AND state IN ('failed', 'expired', 'cancelled') THEN 0
    WHEN observed = 'isolated' AND direction = 'isolate' THEN 3
    WHEN state IN ('pending', 'delivered') THEN 2
    WHEN observed IS NULL AND state IN ('failed', 'expired') THEN 1
    WHEN observed = 'not_isolated' AND (direction IS NULL OR direction = 'restore') THEN 4
    WHEN observed = 'not_isolated' OR (observed = 'isolated' AND direction = 'restore') THEN CASE
      WHEN state IN ('failed', 'expired') THEN 1
      WHEN direction = 'isolate' AND state = 'executed' AND has_ended THEN 2
      WHEN direction = 'isolate' AND state = 'cancelled' THEN 4
      WHEN direction = 'restore' AND state = 'cancelled' THEN 3
      ELSE 0 END
    ELSE 0 END)::smallint
$$;

-- Locks first and looks afterwards: of two that change the same endpoint, the later one sees what the earlier one did.
CREATE FUNCTION keep_isolation_group(ids text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM endpoints WHERE id = ANY(ids) ORDER BY id FOR NO KEY UPDATE;
  UPDATE endpoints e SET isolation_group = g.isolation_group
  FROM (SELECT i.id, isolation_group_of(d.direction, d.state,
          (SELECT t.isolation_received_at >= s.next_run_at - interval '5 seconds' FROM schedules s
           WHERE s.rollback_of = d.command_id AND s.state = 'waiting' LIMIT 1),
          t.isolation_state, coalesce((t.isolation_facts->>'is_provisional')::boolean, false)) AS isolation_group
        FROM unnest(ids) AS i(id)
        LEFT JOIN desired_isolation d ON d.endpoint_id = i.id
        LEFT JOIN telemetry_latest t ON t.endpoint_id = i.id) AS g
  WHERE e.id = g.id AND e.isolation_group <> g.isolation_group;
END $$;

CREATE FUNCTION desired_isolation_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE ids text[];
BEGIN
  SELECT array_agg(endpoint_id) INTO ids FROM changed;
  IF ids IS NOT NULL THEN PERFORM keep_isolation_group(ids); END IF;
  RETURN NULL;
END $$;
-- Once a statement: a batch changes thousands.
CREATE TRIGGER desired_isolation_inserted AFTER INSERT ON desired_isolation
  REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION desired_isolation_changed();
CREATE TRIGGER desired_isolation_updated AFTER UPDATE ON desired_isolation
  REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION desired_isolation_changed();

CREATE FUNCTION observed_isolation_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM keep_isolation_group(ARRAY[NEW.endpoint_id]);
  RETURN NULL;
END $$;
-- Once a row, and only for those that changed: almost no message of a host says anything new here.
CREATE TRIGGER observed_isolation_inserted AFTER INSERT ON telemetry_latest
  FOR EACH ROW EXECUTE FUNCTION observed_isolation_changed();
CREATE TRIGGER observed_isolation_updated AFTER UPDATE ON telemetry_latest
  FOR EACH ROW WHEN (OLD.isolation_state <> NEW.isolation_state
    OR OLD.isolation_facts->'is_provisional' IS DISTINCT FROM NEW.isolation_facts->'is_provisional')
  EXECUTE FUNCTION observed_isolation_changed();
SELECT keep_isolation_group(array_agg(id)) FROM endpoints HAVING count(*) > 0;

-- Lists that an operator comes back to: the query of the page's address.
CREATE TABLE saved_views (
  id uuid PRIMARY KEY,
  operator text NOT NULL,
  name text NOT NULL CHECK (length(name) BETWEEN 1 AND 60),
  query text NOT NULL CHECK (length(query) <= 2000),
  is_shared boolean NOT NULL,
  created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX saved_views_name ON saved_views (operator, name);

-- Hosts that were taken out of a batch before it was sent, each with a reason: [{"endpoint_id", "hostname", "reason"}].
ALTER TABLE batches ADD COLUMN excluded jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(excluded) = 'array');
