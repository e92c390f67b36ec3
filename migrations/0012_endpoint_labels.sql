-- What operators write about an endpoint: labels to find it by, and a note for whoever is on duty next.
CREATE FUNCTION are_labels(labels text[]) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT cardinality(labels) <= 20 AND coalesce(bool_and(l ~ '^[a-z0-9][a-z0-9._:=/-]{0,49}$'), true) FROM unnest(labels) AS l
$$;
ALTER TABLE endpoints
  ADD COLUMN labels text[] NOT NULL DEFAULT '{}' CHECK (are_labels(labels)),
  ADD COLUMN note text NOT NULL DEFAULT '' CHECK (length(note) <= 4000);
CREATE INDEX endpoints_labels ON endpoints USING gin (labels);
