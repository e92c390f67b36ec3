-- When each endpoint was heard of last, and how busy it was. A table of its own because both are written every 15
-- seconds: an index on them in `endpoints` would make each change touch all the indexes of that table.
CREATE TABLE endpoint_seen (
  endpoint_id text PRIMARY KEY REFERENCES endpoints,
  last_seen_at timestamptz,
  -- Over the last minute; -1: none was reported.
  load_hundredths integer NOT NULL DEFAULT -1 CHECK (load_hundredths >= -1)
) WITH (fillfactor = 50);

-- By trigger, so that no endpoint is without its row, and first of all: from here to the commit nobody else enrols one.
CREATE FUNCTION endpoints_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO endpoint_seen (endpoint_id) SELECT id FROM added;
  RETURN NULL;
END $$;
CREATE TRIGGER endpoints_inserted AFTER INSERT ON endpoints
  REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION endpoints_added();
INSERT INTO endpoint_seen (endpoint_id, last_seen_at, load_hundredths)
SELECT id, last_seen_at, load_hundredths FROM endpoints;
ALTER TABLE endpoints DROP COLUMN last_seen_at, DROP COLUMN load_hundredths;

-- Never seen counts as seen at the beginning of time.
CREATE INDEX endpoint_seen_by_time ON endpoint_seen (coalesce(last_seen_at, 'epoch'), endpoint_id);
CREATE INDEX endpoint_seen_by_load ON endpoint_seen (load_hundredths, endpoint_id);
