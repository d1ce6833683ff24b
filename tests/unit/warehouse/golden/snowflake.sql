-- create: loads in flight
CREATE TABLE "Sales"._cleanlist_loads (
	stage VARCHAR(64),
	list_id TEXT,
	target_table TEXT,
	attempt INTEGER,
	fingerprint VARCHAR(32),
	updated_at VARCHAR(32),
	checkpoint TEXT
);

-- create: staging table
CREATE TABLE "Sales"._cleanlist_stage_d14ef77fd354da91 (
	_page INTEGER,
	_row INTEGER,
	text_0 TEXT,
	text_1 TEXT,
	float_2 FLOAT,
	integer_3 BIGINT,
	boolean_4 BOOLEAN,
	date_5 DATE,
	timestamp_6 TIMESTAMP_TZ,
	json_7 TEXT
);

-- create: target
CREATE TABLE "Sales"."le ads" (
	lead_id TEXT,
	"x'; DROP TABLE ""y"" -- [z] :p ?" TEXT,
	score FLOAT,
	staff BIGINT,
	vip BOOLEAN,
	hired DATE,
	seen TIMESTAMP_TZ,
	tags VARIANT,
	_cleanlist_list_id TEXT,
	_cleanlist_synced_at TIMESTAMP_TZ,
	_cleanlist_run_id TEXT
);

-- add columns
ALTER TABLE "Sales"."le ads" ADD COLUMN lead_id TEXT;
ALTER TABLE "Sales"."le ads" ADD COLUMN "x'; DROP TABLE ""y"" -- [z] :p ?" TEXT;
ALTER TABLE "Sales"."le ads" ADD COLUMN score FLOAT;
ALTER TABLE "Sales"."le ads" ADD COLUMN staff BIGINT;
ALTER TABLE "Sales"."le ads" ADD COLUMN vip BOOLEAN;
ALTER TABLE "Sales"."le ads" ADD COLUMN hired DATE;
ALTER TABLE "Sales"."le ads" ADD COLUMN seen TIMESTAMP_TZ;
ALTER TABLE "Sales"."le ads" ADD COLUMN tags VARIANT;
ALTER TABLE "Sales"."le ads" ADD COLUMN _cleanlist_list_id TEXT;
ALTER TABLE "Sales"."le ads" ADD COLUMN _cleanlist_synced_at TIMESTAMP_TZ;
ALTER TABLE "Sales"."le ads" ADD COLUMN _cleanlist_run_id TEXT;

-- stage: rows
INSERT INTO "Sales"._cleanlist_stage_d14ef77fd354da91 (_page, _row, text_0, text_1, float_2, integer_3, boolean_4, date_5, timestamp_6, json_7) VALUES (%(_page)s, %(_row)s, %(text_0)s, %(text_1)s, %(float_2)s, %(integer_3)s, %(boolean_4)s, %(date_5)s, %(timestamp_6)s, %(json_7)s);

-- checkpoint
UPDATE "Sales"._cleanlist_loads SET attempt=%(attempt)s, checkpoint=%(checkpoint)s WHERE "Sales"._cleanlist_loads.stage = %(stage_1)s AND "Sales"._cleanlist_loads.attempt = %(attempt_1)s;

-- lock
UPDATE "Sales"._cleanlist_loads SET attempt="Sales"._cleanlist_loads.attempt WHERE "Sales"._cleanlist_loads.target_table = %(target_table_1)s;

-- publish: merge
UPDATE "Sales"."le ads" SET "x'; DROP TABLE ""y"" -- [z] :p ?"="Sales"._cleanlist_stage_d14ef77fd354da91.text_1, score="Sales"._cleanlist_stage_d14ef77fd354da91.float_2, staff="Sales"._cleanlist_stage_d14ef77fd354da91.integer_3, vip="Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4, hired="Sales"._cleanlist_stage_d14ef77fd354da91.date_5, seen="Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6, tags=PARSE_JSON("Sales"._cleanlist_stage_d14ef77fd354da91.json_7), _cleanlist_synced_at=%(_cleanlist_synced_at)s, _cleanlist_run_id=%(_cleanlist_run_id)s FROM "Sales"._cleanlist_stage_d14ef77fd354da91 WHERE "Sales"."le ads"._cleanlist_list_id = %(param_1)s AND "Sales"."le ads".lead_id = "Sales"._cleanlist_stage_d14ef77fd354da91.text_0 AND ("Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" IS DISTINCT FROM "Sales"._cleanlist_stage_d14ef77fd354da91.text_1 OR "Sales"."le ads".score IS DISTINCT FROM "Sales"._cleanlist_stage_d14ef77fd354da91.float_2 OR "Sales"."le ads".staff IS DISTINCT FROM "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3 OR "Sales"."le ads".vip IS DISTINCT FROM "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4 OR "Sales"."le ads".hired IS DISTINCT FROM "Sales"._cleanlist_stage_d14ef77fd354da91.date_5 OR "Sales"."le ads".seen IS DISTINCT FROM "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6 OR to_json("Sales"."le ads".tags) IS DISTINCT FROM to_json(PARSE_JSON("Sales"._cleanlist_stage_d14ef77fd354da91.json_7)));
INSERT INTO "Sales"."le ads" (lead_id, "x'; DROP TABLE ""y"" -- [z] :p ?", score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0, "Sales"._cleanlist_stage_d14ef77fd354da91.text_1, "Sales"._cleanlist_stage_d14ef77fd354da91.float_2, "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3, "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4, "Sales"._cleanlist_stage_d14ef77fd354da91.date_5, "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6, PARSE_JSON("Sales"._cleanlist_stage_d14ef77fd354da91.json_7) AS anon_1, %(param_1)s AS anon_2, %(param_2)s AS anon_3, %(param_3)s AS anon_4
FROM "Sales"._cleanlist_stage_d14ef77fd354da91 LEFT OUTER JOIN "Sales"."le ads" AS old ON old._cleanlist_list_id = %(param_4)s AND old.lead_id = "Sales"._cleanlist_stage_d14ef77fd354da91.text_0
WHERE old.lead_id IS NULL;

-- publish: merge, duplicates, gone leads deleted
DELETE FROM "Sales"."le ads" WHERE "Sales"."le ads"._cleanlist_list_id = %(param_1)s AND NOT ("Sales"."le ads"._cleanlist_list_id = %(param_2)s AND "Sales"."le ads".lead_id IN (SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0
FROM "Sales"._cleanlist_stage_d14ef77fd354da91));
UPDATE "Sales"."le ads" SET "x'; DROP TABLE ""y"" -- [z] :p ?"=anon_1.text_1, score=anon_1.float_2, staff=anon_1.integer_3, vip=anon_1.boolean_4, hired=anon_1.date_5, seen=anon_1.timestamp_6, tags=PARSE_JSON(anon_1.json_7), _cleanlist_synced_at=%(_cleanlist_synced_at)s, _cleanlist_run_id=%(_cleanlist_run_id)s FROM (SELECT anon_2.text_0 AS text_0, anon_2.text_1 AS text_1, anon_2.float_2 AS float_2, anon_2.integer_3 AS integer_3, anon_2.boolean_4 AS boolean_4, anon_2.date_5 AS date_5, anon_2.timestamp_6 AS timestamp_6, anon_2.json_7 AS json_7
FROM (SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0 AS text_0, "Sales"._cleanlist_stage_d14ef77fd354da91.text_1 AS text_1, "Sales"._cleanlist_stage_d14ef77fd354da91.float_2 AS float_2, "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3 AS integer_3, "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4 AS boolean_4, "Sales"._cleanlist_stage_d14ef77fd354da91.date_5 AS date_5, "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6 AS timestamp_6, "Sales"._cleanlist_stage_d14ef77fd354da91.json_7 AS json_7, row_number() OVER (PARTITION BY "Sales"._cleanlist_stage_d14ef77fd354da91.text_0 ORDER BY "Sales"._cleanlist_stage_d14ef77fd354da91._page DESC, "Sales"._cleanlist_stage_d14ef77fd354da91._row DESC) AS _rank
FROM "Sales"._cleanlist_stage_d14ef77fd354da91) AS anon_2
WHERE anon_2._rank = %(rank_1)s) AS anon_1 WHERE "Sales"."le ads"._cleanlist_list_id = %(param_1)s AND "Sales"."le ads".lead_id = anon_1.text_0 AND ("Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" IS DISTINCT FROM anon_1.text_1 OR "Sales"."le ads".score IS DISTINCT FROM anon_1.float_2 OR "Sales"."le ads".staff IS DISTINCT FROM anon_1.integer_3 OR "Sales"."le ads".vip IS DISTINCT FROM anon_1.boolean_4 OR "Sales"."le ads".hired IS DISTINCT FROM anon_1.date_5 OR "Sales"."le ads".seen IS DISTINCT FROM anon_1.timestamp_6 OR to_json("Sales"."le ads".tags) IS DISTINCT FROM to_json(PARSE_JSON(anon_1.json_7)));
INSERT INTO "Sales"."le ads" (lead_id, "x'; DROP TABLE ""y"" -- [z] :p ?", score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) SELECT anon_1.text_0, anon_1.text_1, anon_1.float_2, anon_1.integer_3, anon_1.boolean_4, anon_1.date_5, anon_1.timestamp_6, PARSE_JSON(anon_1.json_7) AS anon_2, %(param_1)s AS anon_3, %(param_2)s AS anon_4, %(param_3)s AS anon_5
FROM (SELECT anon_6.text_0 AS text_0, anon_6.text_1 AS text_1, anon_6.float_2 AS float_2, anon_6.integer_3 AS integer_3, anon_6.boolean_4 AS boolean_4, anon_6.date_5 AS date_5, anon_6.timestamp_6 AS timestamp_6, anon_6.json_7 AS json_7
FROM (SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0 AS text_0, "Sales"._cleanlist_stage_d14ef77fd354da91.text_1 AS text_1, "Sales"._cleanlist_stage_d14ef77fd354da91.float_2 AS float_2, "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3 AS integer_3, "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4 AS boolean_4, "Sales"._cleanlist_stage_d14ef77fd354da91.date_5 AS date_5, "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6 AS timestamp_6, "Sales"._cleanlist_stage_d14ef77fd354da91.json_7 AS json_7, row_number() OVER (PARTITION BY "Sales"._cleanlist_stage_d14ef77fd354da91.text_0 ORDER BY "Sales"._cleanlist_stage_d14ef77fd354da91._page DESC, "Sales"._cleanlist_stage_d14ef77fd354da91._row DESC) AS _rank
FROM "Sales"._cleanlist_stage_d14ef77fd354da91) AS anon_6
WHERE anon_6._rank = %(rank_1)s) AS anon_1 LEFT OUTER JOIN "Sales"."le ads" AS old ON old._cleanlist_list_id = %(param_4)s AND old.lead_id = anon_1.text_0
WHERE old.lead_id IS NULL;

-- publish: merge, gone leads marked, columns of somebody else's
UPDATE "Sales"."le ads" SET _cleanlist_deleted_at=%(_cleanlist_deleted_at)s WHERE "Sales"."le ads"._cleanlist_list_id = %(param_1)s AND NOT ("Sales"."le ads"._cleanlist_list_id = %(param_2)s AND "Sales"."le ads".lead_id IN (SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0
FROM "Sales"._cleanlist_stage_d14ef77fd354da91)) AND "Sales"."le ads"._cleanlist_deleted_at IS NULL;
UPDATE "Sales"."le ads" SET "x'; DROP TABLE ""y"" -- [z] :p ?"="Sales"._cleanlist_stage_d14ef77fd354da91.text_1, score="Sales"._cleanlist_stage_d14ef77fd354da91.float_2, staff="Sales"._cleanlist_stage_d14ef77fd354da91.integer_3, vip="Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4, hired="Sales"._cleanlist_stage_d14ef77fd354da91.date_5, seen="Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6, tags=PARSE_JSON("Sales"._cleanlist_stage_d14ef77fd354da91.json_7), _cleanlist_synced_at=%(_cleanlist_synced_at)s, _cleanlist_run_id=%(_cleanlist_run_id)s, _cleanlist_deleted_at=NULL FROM "Sales"._cleanlist_stage_d14ef77fd354da91 WHERE "Sales"."le ads"._cleanlist_list_id = %(param_1)s AND "Sales"."le ads".lead_id = "Sales"._cleanlist_stage_d14ef77fd354da91.text_0 AND ("Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" IS DISTINCT FROM "Sales"._cleanlist_stage_d14ef77fd354da91.text_1 OR "Sales"."le ads".score IS DISTINCT FROM "Sales"._cleanlist_stage_d14ef77fd354da91.float_2 OR "Sales"."le ads".staff IS DISTINCT FROM "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3 OR "Sales"."le ads".vip IS DISTINCT FROM "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4 OR "Sales"."le ads".hired IS DISTINCT FROM "Sales"._cleanlist_stage_d14ef77fd354da91.date_5 OR "Sales"."le ads".seen IS DISTINCT FROM "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6 OR to_json("Sales"."le ads".tags) IS DISTINCT FROM to_json(PARSE_JSON("Sales"._cleanlist_stage_d14ef77fd354da91.json_7)) OR "Sales"."le ads"._cleanlist_deleted_at IS NOT NULL);
INSERT INTO "Sales"."le ads" (lead_id, "x'; DROP TABLE ""y"" -- [z] :p ?", score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0, "Sales"._cleanlist_stage_d14ef77fd354da91.text_1, "Sales"._cleanlist_stage_d14ef77fd354da91.float_2, "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3, "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4, "Sales"._cleanlist_stage_d14ef77fd354da91.date_5, "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6, PARSE_JSON("Sales"._cleanlist_stage_d14ef77fd354da91.json_7) AS anon_1, %(param_1)s AS anon_2, %(param_2)s AS anon_3, %(param_3)s AS anon_4
FROM "Sales"._cleanlist_stage_d14ef77fd354da91 LEFT OUTER JOIN "Sales"."le ads" AS old ON old._cleanlist_list_id = %(param_4)s AND old.lead_id = "Sales"._cleanlist_stage_d14ef77fd354da91.text_0
WHERE old.lead_id IS NULL;

-- publish: merge by two fields
UPDATE "Sales"."le ads" SET "x'; DROP TABLE ""y"" -- [z] :p ?"="Sales"._cleanlist_stage_d14ef77fd354da91.text_2, score="Sales"._cleanlist_stage_d14ef77fd354da91.float_3, vip="Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4, hired="Sales"._cleanlist_stage_d14ef77fd354da91.date_5, seen="Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6, tags=PARSE_JSON("Sales"._cleanlist_stage_d14ef77fd354da91.json_7), _cleanlist_synced_at=%(_cleanlist_synced_at)s, _cleanlist_run_id=%(_cleanlist_run_id)s FROM "Sales"._cleanlist_stage_d14ef77fd354da91 WHERE "Sales"."le ads"._cleanlist_list_id = %(param_1)s AND "Sales"."le ads".lead_id = "Sales"._cleanlist_stage_d14ef77fd354da91.text_0 AND "Sales"."le ads".staff = "Sales"._cleanlist_stage_d14ef77fd354da91.integer_1 AND ("Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" IS DISTINCT FROM "Sales"._cleanlist_stage_d14ef77fd354da91.text_2 OR "Sales"."le ads".score IS DISTINCT FROM "Sales"._cleanlist_stage_d14ef77fd354da91.float_3 OR "Sales"."le ads".vip IS DISTINCT FROM "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4 OR "Sales"."le ads".hired IS DISTINCT FROM "Sales"._cleanlist_stage_d14ef77fd354da91.date_5 OR "Sales"."le ads".seen IS DISTINCT FROM "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6 OR to_json("Sales"."le ads".tags) IS DISTINCT FROM to_json(PARSE_JSON("Sales"._cleanlist_stage_d14ef77fd354da91.json_7)));
INSERT INTO "Sales"."le ads" (lead_id, staff, "x'; DROP TABLE ""y"" -- [z] :p ?", score, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0, "Sales"._cleanlist_stage_d14ef77fd354da91.integer_1, "Sales"._cleanlist_stage_d14ef77fd354da91.text_2, "Sales"._cleanlist_stage_d14ef77fd354da91.float_3, "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4, "Sales"._cleanlist_stage_d14ef77fd354da91.date_5, "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6, PARSE_JSON("Sales"._cleanlist_stage_d14ef77fd354da91.json_7) AS anon_1, %(param_1)s AS anon_2, %(param_2)s AS anon_3, %(param_3)s AS anon_4
FROM "Sales"._cleanlist_stage_d14ef77fd354da91 LEFT OUTER JOIN "Sales"."le ads" AS old ON old._cleanlist_list_id = %(param_4)s AND old.lead_id = "Sales"._cleanlist_stage_d14ef77fd354da91.text_0 AND old.staff = "Sales"._cleanlist_stage_d14ef77fd354da91.integer_1
WHERE old.staff IS NULL;

-- publish: replace
DELETE FROM "Sales"."le ads" WHERE "Sales"."le ads"._cleanlist_list_id = %(param_1)s;
INSERT INTO "Sales"."le ads" (lead_id, "x'; DROP TABLE ""y"" -- [z] :p ?", score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0, "Sales"._cleanlist_stage_d14ef77fd354da91.text_1, "Sales"._cleanlist_stage_d14ef77fd354da91.float_2, "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3, "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4, "Sales"._cleanlist_stage_d14ef77fd354da91.date_5, "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6, PARSE_JSON("Sales"._cleanlist_stage_d14ef77fd354da91.json_7) AS anon_1, %(param_1)s AS anon_2, %(param_2)s AS anon_3, %(param_3)s AS anon_4
FROM "Sales"._cleanlist_stage_d14ef77fd354da91;

-- publish: replace in a table of people
DELETE FROM "Sales"."le ads" WHERE "Sales"."le ads"._cleanlist_list_id = %(param_1)s OR "Sales"."le ads".lead_id IN (SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0
FROM "Sales"._cleanlist_stage_d14ef77fd354da91);
INSERT INTO "Sales"."le ads" (lead_id, "x'; DROP TABLE ""y"" -- [z] :p ?", score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0, "Sales"._cleanlist_stage_d14ef77fd354da91.text_1, "Sales"._cleanlist_stage_d14ef77fd354da91.float_2, "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3, "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4, "Sales"._cleanlist_stage_d14ef77fd354da91.date_5, "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6, PARSE_JSON("Sales"._cleanlist_stage_d14ef77fd354da91.json_7) AS anon_1, %(param_1)s AS anon_2, %(param_2)s AS anon_3, %(param_3)s AS anon_4
FROM "Sales"._cleanlist_stage_d14ef77fd354da91;

-- publish: replace the whole table
DELETE FROM "Sales"."le ads";
INSERT INTO "Sales"."le ads" (lead_id, "x'; DROP TABLE ""y"" -- [z] :p ?", score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0, "Sales"._cleanlist_stage_d14ef77fd354da91.text_1, "Sales"._cleanlist_stage_d14ef77fd354da91.float_2, "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3, "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4, "Sales"._cleanlist_stage_d14ef77fd354da91.date_5, "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6, PARSE_JSON("Sales"._cleanlist_stage_d14ef77fd354da91.json_7) AS anon_1, %(param_1)s AS anon_2, %(param_2)s AS anon_3, %(param_3)s AS anon_4
FROM "Sales"._cleanlist_stage_d14ef77fd354da91;

-- publish: append
DELETE FROM "Sales"."le ads" WHERE "Sales"."le ads"._cleanlist_list_id = %(param_1)s AND "Sales"."le ads"._cleanlist_run_id = %(param_2)s;
INSERT INTO "Sales"."le ads" (lead_id, "x'; DROP TABLE ""y"" -- [z] :p ?", score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0, "Sales"._cleanlist_stage_d14ef77fd354da91.text_1, "Sales"._cleanlist_stage_d14ef77fd354da91.float_2, "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3, "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4, "Sales"._cleanlist_stage_d14ef77fd354da91.date_5, "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6, PARSE_JSON("Sales"._cleanlist_stage_d14ef77fd354da91.json_7) AS anon_1, %(param_1)s AS anon_2, %(param_2)s AS anon_3, %(param_3)s AS anon_4
FROM "Sales"._cleanlist_stage_d14ef77fd354da91;

-- publish: snapshot
DELETE FROM "Sales"."le ads" WHERE "Sales"."le ads"._cleanlist_snapshot_date = %(param_1)s AND "Sales"."le ads"._cleanlist_list_id = %(param_2)s;
INSERT INTO "Sales"."le ads" (lead_id, "x'; DROP TABLE ""y"" -- [z] :p ?", score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id, _cleanlist_snapshot_date) SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0, "Sales"._cleanlist_stage_d14ef77fd354da91.text_1, "Sales"._cleanlist_stage_d14ef77fd354da91.float_2, "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3, "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4, "Sales"._cleanlist_stage_d14ef77fd354da91.date_5, "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6, PARSE_JSON("Sales"._cleanlist_stage_d14ef77fd354da91.json_7) AS anon_1, %(param_1)s AS anon_2, %(param_2)s AS anon_3, %(param_3)s AS anon_4, %(param_4)s AS anon_5
FROM "Sales"._cleanlist_stage_d14ef77fd354da91;

-- drop
DROP TABLE IF EXISTS "Sales"._cleanlist_stage_d14ef77fd354da91;
