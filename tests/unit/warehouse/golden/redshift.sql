-- create: loads in flight
CREATE TABLE "Sales"._cleanlist_loads (
	stage VARCHAR(64),
	list_id VARCHAR(max),
	target_table VARCHAR(max),
	attempt INTEGER,
	fingerprint VARCHAR(32),
	updated_at VARCHAR(32),
	checkpoint VARCHAR(max)
);

-- create: staging table
CREATE TABLE "Sales"._cleanlist_stage_d14ef77fd354da91 (
	_page INTEGER,
	_row INTEGER,
	text_0 VARCHAR(max),
	text_1 VARCHAR(max),
	float_2 FLOAT(53),
	integer_3 BIGINT,
	boolean_4 BOOLEAN,
	date_5 DATE,
	timestamp_6 TIMESTAMP WITH TIME ZONE,
	json_7 VARCHAR(max)
);

-- create: target
CREATE TABLE "Sales"."le ads" (
	lead_id VARCHAR(max),
	"x'; DROP TABLE ""y"" -- [z] :p ?" VARCHAR(max),
	score FLOAT(53),
	staff BIGINT,
	vip BOOLEAN,
	hired DATE,
	seen TIMESTAMP WITH TIME ZONE,
	tags SUPER,
	_cleanlist_list_id VARCHAR(max),
	_cleanlist_synced_at TIMESTAMP WITH TIME ZONE,
	_cleanlist_run_id VARCHAR(max)
);

-- add columns
ALTER TABLE "Sales"."le ads" ADD COLUMN lead_id VARCHAR(max);
ALTER TABLE "Sales"."le ads" ADD COLUMN "x'; DROP TABLE ""y"" -- [z] :p ?" VARCHAR(max);
ALTER TABLE "Sales"."le ads" ADD COLUMN score FLOAT(53);
ALTER TABLE "Sales"."le ads" ADD COLUMN staff BIGINT;
ALTER TABLE "Sales"."le ads" ADD COLUMN vip BOOLEAN;
ALTER TABLE "Sales"."le ads" ADD COLUMN hired DATE;
ALTER TABLE "Sales"."le ads" ADD COLUMN seen TIMESTAMP WITH TIME ZONE;
ALTER TABLE "Sales"."le ads" ADD COLUMN tags SUPER;
ALTER TABLE "Sales"."le ads" ADD COLUMN _cleanlist_list_id VARCHAR(max);
ALTER TABLE "Sales"."le ads" ADD COLUMN _cleanlist_synced_at TIMESTAMP WITH TIME ZONE;
ALTER TABLE "Sales"."le ads" ADD COLUMN _cleanlist_run_id VARCHAR(max);

-- stage: one document
INSERT INTO "Sales"._cleanlist_stage_d14ef77fd354da91 (_page, _row, text_0, text_1, float_2, integer_3, boolean_4, date_5, timestamp_6, json_7) SELECT CAST(CAST(cells[0] AS VARCHAR(max)) AS INTEGER) AS "cells[0]", CAST(CAST(cells[1] AS VARCHAR(max)) AS INTEGER) AS "cells[1]", CAST(CAST(cells[2] AS VARCHAR(max)) AS VARCHAR(max)) AS "cells[2]", CAST(CAST(cells[3] AS VARCHAR(max)) AS VARCHAR(max)) AS "cells[3]", CAST(CAST(cells[4] AS VARCHAR(max)) AS FLOAT(53)) AS "cells[4]", CAST(CAST(cells[5] AS VARCHAR(max)) AS BIGINT) AS "cells[5]", CAST(cells[6] AS VARCHAR(max)) = 'true' AS anon_1, CAST(CAST(cells[7] AS VARCHAR(max)) AS DATE) AS "cells[7]", CAST(CAST(cells[8] AS VARCHAR(max)) AS TIMESTAMP WITH TIME ZONE) AS "cells[8]", CAST(CAST(cells[9] AS VARCHAR(max)) AS VARCHAR(max)) AS "cells[9]"
FROM (SELECT json_parse(%s) AS leads) AS batch, batch.leads AS cells;

-- checkpoint
UPDATE "Sales"._cleanlist_loads SET attempt=%s, checkpoint=%s WHERE "Sales"._cleanlist_loads.stage = %s AND "Sales"._cleanlist_loads.attempt = %s;

-- lock
LOCK "Sales"."le ads";

-- publish: merge
UPDATE "Sales"."le ads" SET "x'; DROP TABLE ""y"" -- [z] :p ?"="Sales"._cleanlist_stage_d14ef77fd354da91.text_1, score="Sales"._cleanlist_stage_d14ef77fd354da91.float_2, staff="Sales"._cleanlist_stage_d14ef77fd354da91.integer_3, vip="Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4, hired="Sales"._cleanlist_stage_d14ef77fd354da91.date_5, seen="Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6, tags=JSON_PARSE("Sales"._cleanlist_stage_d14ef77fd354da91.json_7), _cleanlist_synced_at=%s, _cleanlist_run_id=%s FROM "Sales"._cleanlist_stage_d14ef77fd354da91 WHERE "Sales"."le ads"._cleanlist_list_id = %s AND "Sales"."le ads".lead_id = "Sales"._cleanlist_stage_d14ef77fd354da91.text_0 AND ("Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" != "Sales"._cleanlist_stage_d14ef77fd354da91.text_1 OR "Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" IS NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.text_1 IS NOT NULL OR "Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" IS NOT NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.text_1 IS NULL OR "Sales"."le ads".score != "Sales"._cleanlist_stage_d14ef77fd354da91.float_2 OR "Sales"."le ads".score IS NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.float_2 IS NOT NULL OR "Sales"."le ads".score IS NOT NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.float_2 IS NULL OR "Sales"."le ads".staff != "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3 OR "Sales"."le ads".staff IS NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3 IS NOT NULL OR "Sales"."le ads".staff IS NOT NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3 IS NULL OR "Sales"."le ads".vip != "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4 OR "Sales"."le ads".vip IS NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4 IS NOT NULL OR "Sales"."le ads".vip IS NOT NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4 IS NULL OR "Sales"."le ads".hired != "Sales"._cleanlist_stage_d14ef77fd354da91.date_5 OR "Sales"."le ads".hired IS NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.date_5 IS NOT NULL OR "Sales"."le ads".hired IS NOT NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.date_5 IS NULL OR "Sales"."le ads".seen != "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6 OR "Sales"."le ads".seen IS NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6 IS NOT NULL OR "Sales"."le ads".seen IS NOT NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6 IS NULL OR json_serialize("Sales"."le ads".tags) != json_serialize(JSON_PARSE("Sales"._cleanlist_stage_d14ef77fd354da91.json_7)) OR "Sales"."le ads".tags IS NULL AND JSON_PARSE("Sales"._cleanlist_stage_d14ef77fd354da91.json_7) IS NOT NULL OR "Sales"."le ads".tags IS NOT NULL AND JSON_PARSE("Sales"._cleanlist_stage_d14ef77fd354da91.json_7) IS NULL);
INSERT INTO "Sales"."le ads" (lead_id, "x'; DROP TABLE ""y"" -- [z] :p ?", score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0, "Sales"._cleanlist_stage_d14ef77fd354da91.text_1, "Sales"._cleanlist_stage_d14ef77fd354da91.float_2, "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3, "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4, "Sales"._cleanlist_stage_d14ef77fd354da91.date_5, "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6, JSON_PARSE("Sales"._cleanlist_stage_d14ef77fd354da91.json_7) AS anon_1, %s AS anon_2, %s AS anon_3, %s AS anon_4
FROM "Sales"._cleanlist_stage_d14ef77fd354da91 LEFT OUTER JOIN "Sales"."le ads" AS "old" ON "old"._cleanlist_list_id = %s AND "old".lead_id = "Sales"._cleanlist_stage_d14ef77fd354da91.text_0
WHERE "old".lead_id IS NULL;

-- publish: merge, duplicates, gone leads deleted
DELETE FROM "Sales"."le ads" WHERE "Sales"."le ads"._cleanlist_list_id = %s AND NOT ("Sales"."le ads"._cleanlist_list_id = %s AND "Sales"."le ads".lead_id IN (SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0
FROM "Sales"._cleanlist_stage_d14ef77fd354da91));
UPDATE "Sales"."le ads" SET "x'; DROP TABLE ""y"" -- [z] :p ?"=anon_1.text_1, score=anon_1.float_2, staff=anon_1.integer_3, vip=anon_1.boolean_4, hired=anon_1.date_5, seen=anon_1.timestamp_6, tags=JSON_PARSE(anon_1.json_7), _cleanlist_synced_at=%s, _cleanlist_run_id=%s FROM (SELECT anon_2.text_0 AS text_0, anon_2.text_1 AS text_1, anon_2.float_2 AS float_2, anon_2.integer_3 AS integer_3, anon_2.boolean_4 AS boolean_4, anon_2.date_5 AS date_5, anon_2.timestamp_6 AS timestamp_6, anon_2.json_7 AS json_7
FROM (SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0 AS text_0, "Sales"._cleanlist_stage_d14ef77fd354da91.text_1 AS text_1, "Sales"._cleanlist_stage_d14ef77fd354da91.float_2 AS float_2, "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3 AS integer_3, "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4 AS boolean_4, "Sales"._cleanlist_stage_d14ef77fd354da91.date_5 AS date_5, "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6 AS timestamp_6, "Sales"._cleanlist_stage_d14ef77fd354da91.json_7 AS json_7, row_number() OVER (PARTITION BY "Sales"._cleanlist_stage_d14ef77fd354da91.text_0 ORDER BY "Sales"._cleanlist_stage_d14ef77fd354da91._page DESC, "Sales"._cleanlist_stage_d14ef77fd354da91._row DESC) AS _rank
FROM "Sales"._cleanlist_stage_d14ef77fd354da91) AS anon_2
WHERE anon_2._rank = %s) AS anon_1 WHERE "Sales"."le ads"._cleanlist_list_id = %s AND "Sales"."le ads".lead_id = anon_1.text_0 AND ("Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" != anon_1.text_1 OR "Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" IS NULL AND anon_1.text_1 IS NOT NULL OR "Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" IS NOT NULL AND anon_1.text_1 IS NULL OR "Sales"."le ads".score != anon_1.float_2 OR "Sales"."le ads".score IS NULL AND anon_1.float_2 IS NOT NULL OR "Sales"."le ads".score IS NOT NULL AND anon_1.float_2 IS NULL OR "Sales"."le ads".staff != anon_1.integer_3 OR "Sales"."le ads".staff IS NULL AND anon_1.integer_3 IS NOT NULL OR "Sales"."le ads".staff IS NOT NULL AND anon_1.integer_3 IS NULL OR "Sales"."le ads".vip != anon_1.boolean_4 OR "Sales"."le ads".vip IS NULL AND anon_1.boolean_4 IS NOT NULL OR "Sales"."le ads".vip IS NOT NULL AND anon_1.boolean_4 IS NULL OR "Sales"."le ads".hired != anon_1.date_5 OR "Sales"."le ads".hired IS NULL AND anon_1.date_5 IS NOT NULL OR "Sales"."le ads".hired IS NOT NULL AND anon_1.date_5 IS NULL OR "Sales"."le ads".seen != anon_1.timestamp_6 OR "Sales"."le ads".seen IS NULL AND anon_1.timestamp_6 IS NOT NULL OR "Sales"."le ads".seen IS NOT NULL AND anon_1.timestamp_6 IS NULL OR json_serialize("Sales"."le ads".tags) != json_serialize(JSON_PARSE(anon_1.json_7)) OR "Sales"."le ads".tags IS NULL AND JSON_PARSE(anon_1.json_7) IS NOT NULL OR "Sales"."le ads".tags IS NOT NULL AND JSON_PARSE(anon_1.json_7) IS NULL);
INSERT INTO "Sales"."le ads" (lead_id, "x'; DROP TABLE ""y"" -- [z] :p ?", score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) SELECT anon_1.text_0, anon_1.text_1, anon_1.float_2, anon_1.integer_3, anon_1.boolean_4, anon_1.date_5, anon_1.timestamp_6, JSON_PARSE(anon_1.json_7) AS anon_2, %s AS anon_3, %s AS anon_4, %s AS anon_5
FROM (SELECT anon_6.text_0 AS text_0, anon_6.text_1 AS text_1, anon_6.float_2 AS float_2, anon_6.integer_3 AS integer_3, anon_6.boolean_4 AS boolean_4, anon_6.date_5 AS date_5, anon_6.timestamp_6 AS timestamp_6, anon_6.json_7 AS json_7
FROM (SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0 AS text_0, "Sales"._cleanlist_stage_d14ef77fd354da91.text_1 AS text_1, "Sales"._cleanlist_stage_d14ef77fd354da91.float_2 AS float_2, "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3 AS integer_3, "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4 AS boolean_4, "Sales"._cleanlist_stage_d14ef77fd354da91.date_5 AS date_5, "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6 AS timestamp_6, "Sales"._cleanlist_stage_d14ef77fd354da91.json_7 AS json_7, row_number() OVER (PARTITION BY "Sales"._cleanlist_stage_d14ef77fd354da91.text_0 ORDER BY "Sales"._cleanlist_stage_d14ef77fd354da91._page DESC, "Sales"._cleanlist_stage_d14ef77fd354da91._row DESC) AS _rank
FROM "Sales"._cleanlist_stage_d14ef77fd354da91) AS anon_6
WHERE anon_6._rank = %s) AS anon_1 LEFT OUTER JOIN "Sales"."le ads" AS "old" ON "old"._cleanlist_list_id = %s AND "old".lead_id = anon_1.text_0
WHERE "old".lead_id IS NULL;

-- publish: merge, gone leads marked, columns of somebody else's
UPDATE "Sales"."le ads" SET _cleanlist_deleted_at=%s WHERE "Sales"."le ads"._cleanlist_list_id = %s AND NOT ("Sales"."le ads"._cleanlist_list_id = %s AND "Sales"."le ads".lead_id IN (SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0
FROM "Sales"._cleanlist_stage_d14ef77fd354da91)) AND "Sales"."le ads"._cleanlist_deleted_at IS NULL;
UPDATE "Sales"."le ads" SET "x'; DROP TABLE ""y"" -- [z] :p ?"="Sales"._cleanlist_stage_d14ef77fd354da91.text_1, score="Sales"._cleanlist_stage_d14ef77fd354da91.float_2, staff="Sales"._cleanlist_stage_d14ef77fd354da91.integer_3, vip="Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4, hired="Sales"._cleanlist_stage_d14ef77fd354da91.date_5, seen="Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6, tags=JSON_PARSE("Sales"._cleanlist_stage_d14ef77fd354da91.json_7), _cleanlist_synced_at=%s, _cleanlist_run_id=%s, _cleanlist_deleted_at=NULL FROM "Sales"._cleanlist_stage_d14ef77fd354da91 WHERE "Sales"."le ads"._cleanlist_list_id = %s AND "Sales"."le ads".lead_id = "Sales"._cleanlist_stage_d14ef77fd354da91.text_0 AND ("Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" != "Sales"._cleanlist_stage_d14ef77fd354da91.text_1 OR "Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" IS NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.text_1 IS NOT NULL OR "Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" IS NOT NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.text_1 IS NULL OR "Sales"."le ads".score != "Sales"._cleanlist_stage_d14ef77fd354da91.float_2 OR "Sales"."le ads".score IS NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.float_2 IS NOT NULL OR "Sales"."le ads".score IS NOT NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.float_2 IS NULL OR "Sales"."le ads".staff != "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3 OR "Sales"."le ads".staff IS NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3 IS NOT NULL OR "Sales"."le ads".staff IS NOT NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3 IS NULL OR "Sales"."le ads".vip != "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4 OR "Sales"."le ads".vip IS NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4 IS NOT NULL OR "Sales"."le ads".vip IS NOT NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4 IS NULL OR "Sales"."le ads".hired != "Sales"._cleanlist_stage_d14ef77fd354da91.date_5 OR "Sales"."le ads".hired IS NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.date_5 IS NOT NULL OR "Sales"."le ads".hired IS NOT NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.date_5 IS NULL OR "Sales"."le ads".seen != "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6 OR "Sales"."le ads".seen IS NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6 IS NOT NULL OR "Sales"."le ads".seen IS NOT NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6 IS NULL OR json_serialize("Sales"."le ads".tags) != json_serialize(JSON_PARSE("Sales"._cleanlist_stage_d14ef77fd354da91.json_7)) OR "Sales"."le ads".tags IS NULL AND JSON_PARSE("Sales"._cleanlist_stage_d14ef77fd354da91.json_7) IS NOT NULL OR "Sales"."le ads".tags IS NOT NULL AND JSON_PARSE("Sales"._cleanlist_stage_d14ef77fd354da91.json_7) IS NULL OR "Sales"."le ads"._cleanlist_deleted_at IS NOT NULL);
INSERT INTO "Sales"."le ads" (lead_id, "x'; DROP TABLE ""y"" -- [z] :p ?", score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0, "Sales"._cleanlist_stage_d14ef77fd354da91.text_1, "Sales"._cleanlist_stage_d14ef77fd354da91.float_2, "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3, "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4, "Sales"._cleanlist_stage_d14ef77fd354da91.date_5, "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6, JSON_PARSE("Sales"._cleanlist_stage_d14ef77fd354da91.json_7) AS anon_1, %s AS anon_2, %s AS anon_3, %s AS anon_4
FROM "Sales"._cleanlist_stage_d14ef77fd354da91 LEFT OUTER JOIN "Sales"."le ads" AS "old" ON "old"._cleanlist_list_id = %s AND "old".lead_id = "Sales"._cleanlist_stage_d14ef77fd354da91.text_0
WHERE "old".lead_id IS NULL;

-- publish: merge by two fields
UPDATE "Sales"."le ads" SET "x'; DROP TABLE ""y"" -- [z] :p ?"="Sales"._cleanlist_stage_d14ef77fd354da91.text_2, score="Sales"._cleanlist_stage_d14ef77fd354da91.float_3, vip="Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4, hired="Sales"._cleanlist_stage_d14ef77fd354da91.date_5, seen="Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6, tags=JSON_PARSE("Sales"._cleanlist_stage_d14ef77fd354da91.json_7), _cleanlist_synced_at=%s, _cleanlist_run_id=%s FROM "Sales"._cleanlist_stage_d14ef77fd354da91 WHERE "Sales"."le ads"._cleanlist_list_id = %s AND "Sales"."le ads".lead_id = "Sales"._cleanlist_stage_d14ef77fd354da91.text_0 AND "Sales"."le ads".staff = "Sales"._cleanlist_stage_d14ef77fd354da91.integer_1 AND ("Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" != "Sales"._cleanlist_stage_d14ef77fd354da91.text_2 OR "Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" IS NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.text_2 IS NOT NULL OR "Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" IS NOT NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.text_2 IS NULL OR "Sales"."le ads".score != "Sales"._cleanlist_stage_d14ef77fd354da91.float_3 OR "Sales"."le ads".score IS NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.float_3 IS NOT NULL OR "Sales"."le ads".score IS NOT NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.float_3 IS NULL OR "Sales"."le ads".vip != "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4 OR "Sales"."le ads".vip IS NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4 IS NOT NULL OR "Sales"."le ads".vip IS NOT NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4 IS NULL OR "Sales"."le ads".hired != "Sales"._cleanlist_stage_d14ef77fd354da91.date_5 OR "Sales"."le ads".hired IS NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.date_5 IS NOT NULL OR "Sales"."le ads".hired IS NOT NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.date_5 IS NULL OR "Sales"."le ads".seen != "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6 OR "Sales"."le ads".seen IS NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6 IS NOT NULL OR "Sales"."le ads".seen IS NOT NULL AND "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6 IS NULL OR json_serialize("Sales"."le ads".tags) != json_serialize(JSON_PARSE("Sales"._cleanlist_stage_d14ef77fd354da91.json_7)) OR "Sales"."le ads".tags IS NULL AND JSON_PARSE("Sales"._cleanlist_stage_d14ef77fd354da91.json_7) IS NOT NULL OR "Sales"."le ads".tags IS NOT NULL AND JSON_PARSE("Sales"._cleanlist_stage_d14ef77fd354da91.json_7) IS NULL);
INSERT INTO "Sales"."le ads" (lead_id, staff, "x'; DROP TABLE ""y"" -- [z] :p ?", score, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0, "Sales"._cleanlist_stage_d14ef77fd354da91.integer_1, "Sales"._cleanlist_stage_d14ef77fd354da91.text_2, "Sales"._cleanlist_stage_d14ef77fd354da91.float_3, "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4, "Sales"._cleanlist_stage_d14ef77fd354da91.date_5, "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6, JSON_PARSE("Sales"._cleanlist_stage_d14ef77fd354da91.json_7) AS anon_1, %s AS anon_2, %s AS anon_3, %s AS anon_4
FROM "Sales"._cleanlist_stage_d14ef77fd354da91 LEFT OUTER JOIN "Sales"."le ads" AS "old" ON "old"._cleanlist_list_id = %s AND "old".lead_id = "Sales"._cleanlist_stage_d14ef77fd354da91.text_0 AND "old".staff = "Sales"._cleanlist_stage_d14ef77fd354da91.integer_1
WHERE "old".staff IS NULL;

-- publish: replace
DELETE FROM "Sales"."le ads" WHERE "Sales"."le ads"._cleanlist_list_id = %s;
INSERT INTO "Sales"."le ads" (lead_id, "x'; DROP TABLE ""y"" -- [z] :p ?", score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0, "Sales"._cleanlist_stage_d14ef77fd354da91.text_1, "Sales"._cleanlist_stage_d14ef77fd354da91.float_2, "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3, "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4, "Sales"._cleanlist_stage_d14ef77fd354da91.date_5, "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6, JSON_PARSE("Sales"._cleanlist_stage_d14ef77fd354da91.json_7) AS anon_1, %s AS anon_2, %s AS anon_3, %s AS anon_4
FROM "Sales"._cleanlist_stage_d14ef77fd354da91;

-- publish: replace in a table of people
DELETE FROM "Sales"."le ads" WHERE "Sales"."le ads"._cleanlist_list_id = %s OR "Sales"."le ads".lead_id IN (SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0
FROM "Sales"._cleanlist_stage_d14ef77fd354da91);
INSERT INTO "Sales"."le ads" (lead_id, "x'; DROP TABLE ""y"" -- [z] :p ?", score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0, "Sales"._cleanlist_stage_d14ef77fd354da91.text_1, "Sales"._cleanlist_stage_d14ef77fd354da91.float_2, "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3, "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4, "Sales"._cleanlist_stage_d14ef77fd354da91.date_5, "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6, JSON_PARSE("Sales"._cleanlist_stage_d14ef77fd354da91.json_7) AS anon_1, %s AS anon_2, %s AS anon_3, %s AS anon_4
FROM "Sales"._cleanlist_stage_d14ef77fd354da91;

-- publish: replace the whole table
DELETE FROM "Sales"."le ads";
INSERT INTO "Sales"."le ads" (lead_id, "x'; DROP TABLE ""y"" -- [z] :p ?", score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0, "Sales"._cleanlist_stage_d14ef77fd354da91.text_1, "Sales"._cleanlist_stage_d14ef77fd354da91.float_2, "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3, "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4, "Sales"._cleanlist_stage_d14ef77fd354da91.date_5, "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6, JSON_PARSE("Sales"._cleanlist_stage_d14ef77fd354da91.json_7) AS anon_1, %s AS anon_2, %s AS anon_3, %s AS anon_4
FROM "Sales"._cleanlist_stage_d14ef77fd354da91;

-- publish: append
DELETE FROM "Sales"."le ads" WHERE "Sales"."le ads"._cleanlist_list_id = %s AND "Sales"."le ads"._cleanlist_run_id = %s;
INSERT INTO "Sales"."le ads" (lead_id, "x'; DROP TABLE ""y"" -- [z] :p ?", score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0, "Sales"._cleanlist_stage_d14ef77fd354da91.text_1, "Sales"._cleanlist_stage_d14ef77fd354da91.float_2, "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3, "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4, "Sales"._cleanlist_stage_d14ef77fd354da91.date_5, "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6, JSON_PARSE("Sales"._cleanlist_stage_d14ef77fd354da91.json_7) AS anon_1, %s AS anon_2, %s AS anon_3, %s AS anon_4
FROM "Sales"._cleanlist_stage_d14ef77fd354da91;

-- publish: snapshot
DELETE FROM "Sales"."le ads" WHERE "Sales"."le ads"._cleanlist_snapshot_date = %s AND "Sales"."le ads"._cleanlist_list_id = %s;
INSERT INTO "Sales"."le ads" (lead_id, "x'; DROP TABLE ""y"" -- [z] :p ?", score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id, _cleanlist_snapshot_date) SELECT "Sales"._cleanlist_stage_d14ef77fd354da91.text_0, "Sales"._cleanlist_stage_d14ef77fd354da91.text_1, "Sales"._cleanlist_stage_d14ef77fd354da91.float_2, "Sales"._cleanlist_stage_d14ef77fd354da91.integer_3, "Sales"._cleanlist_stage_d14ef77fd354da91.boolean_4, "Sales"._cleanlist_stage_d14ef77fd354da91.date_5, "Sales"._cleanlist_stage_d14ef77fd354da91.timestamp_6, JSON_PARSE("Sales"._cleanlist_stage_d14ef77fd354da91.json_7) AS anon_1, %s AS anon_2, %s AS anon_3, %s AS anon_4, %s AS anon_5
FROM "Sales"._cleanlist_stage_d14ef77fd354da91;

-- drop
DROP TABLE IF EXISTS "Sales"._cleanlist_stage_d14ef77fd354da91;
