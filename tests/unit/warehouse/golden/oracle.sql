-- create: loads in flight
CREATE TABLE "Sales"."_cleanlist_loads" (
	stage VARCHAR2(64 CHAR) NOT NULL,
	list_id VARCHAR(4000 CHAR),
	target_table VARCHAR(4000 CHAR),
	attempt INTEGER,
	fingerprint VARCHAR2(32 CHAR),
	updated_at VARCHAR2(32 CHAR),
	checkpoint CLOB,
	PRIMARY KEY (stage)
);

-- create: staging table
CREATE TABLE "Sales"."_cleanlist_stage_d14ef77fd354da91" (
	"_page" INTEGER,
	"_row" INTEGER,
	text_0 VARCHAR(255 CHAR),
	text_1 VARCHAR(4000 CHAR),
	float_2 BINARY_DOUBLE,
	integer_3 NUMBER(19),
	boolean_4 SMALLINT,
	date_5 DATE,
	timestamp_6 TIMESTAMP WITH TIME ZONE,
	json_7 CLOB
);

-- create: target
CREATE TABLE "Sales"."le ads" (
	lead_id VARCHAR(255 CHAR) NOT NULL,
	"x'; DROP TABLE ""y"" -- [z] :p ?" VARCHAR(4000 CHAR),
	score BINARY_DOUBLE,
	staff NUMBER(19),
	vip SMALLINT,
	hired DATE,
	seen TIMESTAMP WITH TIME ZONE,
	tags CLOB,
	"_cleanlist_list_id" VARCHAR(255 CHAR) NOT NULL,
	"_cleanlist_synced_at" TIMESTAMP WITH TIME ZONE,
	"_cleanlist_run_id" VARCHAR(4000 CHAR),
	PRIMARY KEY ("_cleanlist_list_id", lead_id)
);

-- add columns
ALTER TABLE "Sales"."le ads" ADD lead_id VARCHAR(255 CHAR);
ALTER TABLE "Sales"."le ads" ADD "x'; DROP TABLE ""y"" -- [z] :p ?" VARCHAR(4000 CHAR);
ALTER TABLE "Sales"."le ads" ADD score BINARY_DOUBLE;
ALTER TABLE "Sales"."le ads" ADD staff NUMBER(19);
ALTER TABLE "Sales"."le ads" ADD vip SMALLINT;
ALTER TABLE "Sales"."le ads" ADD hired DATE;
ALTER TABLE "Sales"."le ads" ADD seen TIMESTAMP WITH TIME ZONE;
ALTER TABLE "Sales"."le ads" ADD tags CLOB;
ALTER TABLE "Sales"."le ads" ADD "_cleanlist_list_id" VARCHAR(255 CHAR);
ALTER TABLE "Sales"."le ads" ADD "_cleanlist_synced_at" TIMESTAMP WITH TIME ZONE;
ALTER TABLE "Sales"."le ads" ADD "_cleanlist_run_id" VARCHAR(4000 CHAR);

-- stage: rows
INSERT INTO "Sales"."_cleanlist_stage_d14ef77fd354da91" ("_page", "_row", text_0, text_1, float_2, integer_3, boolean_4, date_5, timestamp_6, json_7) VALUES (:"_page", :"_row", :text_0, :text_1, :float_2, :integer_3, :boolean_4, :date_5, :timestamp_6, :json_7);

-- checkpoint
UPDATE "Sales"."_cleanlist_loads" SET attempt=:attempt, checkpoint=:checkpoint WHERE "Sales"."_cleanlist_loads".stage = :stage_1 AND "Sales"."_cleanlist_loads".attempt = :attempt_1;

-- lock
LOCK TABLE "Sales"."le ads" IN EXCLUSIVE MODE;

-- publish: merge
MERGE INTO "Sales"."le ads"
USING "Sales"."_cleanlist_stage_d14ef77fd354da91"
ON ("Sales"."le ads"."_cleanlist_list_id" = :param_3 AND "Sales"."le ads".lead_id = "Sales"."_cleanlist_stage_d14ef77fd354da91".text_0)
WHEN MATCHED THEN UPDATE SET "Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" = "Sales"."_cleanlist_stage_d14ef77fd354da91".text_1, "Sales"."le ads".score = "Sales"."_cleanlist_stage_d14ef77fd354da91".float_2, "Sales"."le ads".staff = "Sales"."_cleanlist_stage_d14ef77fd354da91".integer_3, "Sales"."le ads".vip = "Sales"."_cleanlist_stage_d14ef77fd354da91".boolean_4, "Sales"."le ads".hired = "Sales"."_cleanlist_stage_d14ef77fd354da91".date_5, "Sales"."le ads".seen = "Sales"."_cleanlist_stage_d14ef77fd354da91".timestamp_6, "Sales"."le ads".tags = "Sales"."_cleanlist_stage_d14ef77fd354da91".json_7, "Sales"."le ads"."_cleanlist_synced_at" = :param_1, "Sales"."le ads"."_cleanlist_run_id" = :param_2
WHERE "Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" != "Sales"."_cleanlist_stage_d14ef77fd354da91".text_1 OR "Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" IS NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".text_1 IS NOT NULL OR "Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" IS NOT NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".text_1 IS NULL OR "Sales"."le ads".score != "Sales"."_cleanlist_stage_d14ef77fd354da91".float_2 OR "Sales"."le ads".score IS NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".float_2 IS NOT NULL OR "Sales"."le ads".score IS NOT NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".float_2 IS NULL OR "Sales"."le ads".staff != "Sales"."_cleanlist_stage_d14ef77fd354da91".integer_3 OR "Sales"."le ads".staff IS NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".integer_3 IS NOT NULL OR "Sales"."le ads".staff IS NOT NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".integer_3 IS NULL OR "Sales"."le ads".vip != "Sales"."_cleanlist_stage_d14ef77fd354da91".boolean_4 OR "Sales"."le ads".vip IS NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".boolean_4 IS NOT NULL OR "Sales"."le ads".vip IS NOT NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".boolean_4 IS NULL OR "Sales"."le ads".hired != "Sales"."_cleanlist_stage_d14ef77fd354da91".date_5 OR "Sales"."le ads".hired IS NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".date_5 IS NOT NULL OR "Sales"."le ads".hired IS NOT NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".date_5 IS NULL OR "Sales"."le ads".seen != "Sales"."_cleanlist_stage_d14ef77fd354da91".timestamp_6 OR "Sales"."le ads".seen IS NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".timestamp_6 IS NOT NULL OR "Sales"."le ads".seen IS NOT NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".timestamp_6 IS NULL OR dbms_lob.compare("Sales"."le ads".tags, "Sales"."_cleanlist_stage_d14ef77fd354da91".json_7) != :compare_1 OR "Sales"."le ads".tags IS NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".json_7 IS NOT NULL OR "Sales"."le ads".tags IS NOT NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".json_7 IS NULL;
INSERT INTO "Sales"."le ads" (lead_id, "x'; DROP TABLE ""y"" -- [z] :p ?", score, staff, vip, hired, seen, tags, "_cleanlist_list_id", "_cleanlist_synced_at", "_cleanlist_run_id") SELECT "Sales"."_cleanlist_stage_d14ef77fd354da91".text_0, "Sales"."_cleanlist_stage_d14ef77fd354da91".text_1, "Sales"."_cleanlist_stage_d14ef77fd354da91".float_2, "Sales"."_cleanlist_stage_d14ef77fd354da91".integer_3, "Sales"."_cleanlist_stage_d14ef77fd354da91".boolean_4, "Sales"."_cleanlist_stage_d14ef77fd354da91".date_5, "Sales"."_cleanlist_stage_d14ef77fd354da91".timestamp_6, "Sales"."_cleanlist_stage_d14ef77fd354da91".json_7 AS anon_1, :param_1 AS anon_2, :param_2 AS anon_3, :param_3 AS anon_4
FROM "Sales"."_cleanlist_stage_d14ef77fd354da91" LEFT OUTER JOIN "Sales"."le ads" old ON old."_cleanlist_list_id" = :param_4 AND old.lead_id = "Sales"."_cleanlist_stage_d14ef77fd354da91".text_0
WHERE old.lead_id IS NULL;

-- publish: merge, duplicates, gone leads deleted
DELETE FROM "Sales"."le ads" WHERE "Sales"."le ads"."_cleanlist_list_id" = :param_1 AND NOT ("Sales"."le ads"."_cleanlist_list_id" = :param_2 AND "Sales"."le ads".lead_id IN (SELECT "Sales"."_cleanlist_stage_d14ef77fd354da91".text_0
FROM "Sales"."_cleanlist_stage_d14ef77fd354da91"));
MERGE INTO "Sales"."le ads"
USING (SELECT anon_2.text_0 AS text_0, anon_2.text_1 AS text_1, anon_2.float_2 AS float_2, anon_2.integer_3 AS integer_3, anon_2.boolean_4 AS boolean_4, anon_2.date_5 AS date_5, anon_2.timestamp_6 AS timestamp_6, anon_2.json_7 AS json_7
FROM (SELECT "Sales"."_cleanlist_stage_d14ef77fd354da91".text_0 AS text_0, "Sales"."_cleanlist_stage_d14ef77fd354da91".text_1 AS text_1, "Sales"."_cleanlist_stage_d14ef77fd354da91".float_2 AS float_2, "Sales"."_cleanlist_stage_d14ef77fd354da91".integer_3 AS integer_3, "Sales"."_cleanlist_stage_d14ef77fd354da91".boolean_4 AS boolean_4, "Sales"."_cleanlist_stage_d14ef77fd354da91".date_5 AS date_5, "Sales"."_cleanlist_stage_d14ef77fd354da91".timestamp_6 AS timestamp_6, "Sales"."_cleanlist_stage_d14ef77fd354da91".json_7 AS json_7, row_number() OVER (PARTITION BY "Sales"."_cleanlist_stage_d14ef77fd354da91".text_0 ORDER BY "Sales"."_cleanlist_stage_d14ef77fd354da91"."_page" DESC, "Sales"."_cleanlist_stage_d14ef77fd354da91"."_row" DESC) AS "_rank"
FROM "Sales"."_cleanlist_stage_d14ef77fd354da91") anon_2
WHERE anon_2."_rank" = :rank_1) anon_1
ON ("Sales"."le ads"."_cleanlist_list_id" = :param_3 AND "Sales"."le ads".lead_id = anon_1.text_0)
WHEN MATCHED THEN UPDATE SET "Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" = anon_1.text_1, "Sales"."le ads".score = anon_1.float_2, "Sales"."le ads".staff = anon_1.integer_3, "Sales"."le ads".vip = anon_1.boolean_4, "Sales"."le ads".hired = anon_1.date_5, "Sales"."le ads".seen = anon_1.timestamp_6, "Sales"."le ads".tags = anon_1.json_7, "Sales"."le ads"."_cleanlist_synced_at" = :param_1, "Sales"."le ads"."_cleanlist_run_id" = :param_2
WHERE "Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" != anon_1.text_1 OR "Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" IS NULL AND anon_1.text_1 IS NOT NULL OR "Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" IS NOT NULL AND anon_1.text_1 IS NULL OR "Sales"."le ads".score != anon_1.float_2 OR "Sales"."le ads".score IS NULL AND anon_1.float_2 IS NOT NULL OR "Sales"."le ads".score IS NOT NULL AND anon_1.float_2 IS NULL OR "Sales"."le ads".staff != anon_1.integer_3 OR "Sales"."le ads".staff IS NULL AND anon_1.integer_3 IS NOT NULL OR "Sales"."le ads".staff IS NOT NULL AND anon_1.integer_3 IS NULL OR "Sales"."le ads".vip != anon_1.boolean_4 OR "Sales"."le ads".vip IS NULL AND anon_1.boolean_4 IS NOT NULL OR "Sales"."le ads".vip IS NOT NULL AND anon_1.boolean_4 IS NULL OR "Sales"."le ads".hired != anon_1.date_5 OR "Sales"."le ads".hired IS NULL AND anon_1.date_5 IS NOT NULL OR "Sales"."le ads".hired IS NOT NULL AND anon_1.date_5 IS NULL OR "Sales"."le ads".seen != anon_1.timestamp_6 OR "Sales"."le ads".seen IS NULL AND anon_1.timestamp_6 IS NOT NULL OR "Sales"."le ads".seen IS NOT NULL AND anon_1.timestamp_6 IS NULL OR dbms_lob.compare("Sales"."le ads".tags, anon_1.json_7) != :compare_1 OR "Sales"."le ads".tags IS NULL AND anon_1.json_7 IS NOT NULL OR "Sales"."le ads".tags IS NOT NULL AND anon_1.json_7 IS NULL;
INSERT INTO "Sales"."le ads" (lead_id, "x'; DROP TABLE ""y"" -- [z] :p ?", score, staff, vip, hired, seen, tags, "_cleanlist_list_id", "_cleanlist_synced_at", "_cleanlist_run_id") SELECT anon_1.text_0, anon_1.text_1, anon_1.float_2, anon_1.integer_3, anon_1.boolean_4, anon_1.date_5, anon_1.timestamp_6, anon_1.json_7 AS anon_2, :param_1 AS anon_3, :param_2 AS anon_4, :param_3 AS anon_5
FROM (SELECT anon_6.text_0 AS text_0, anon_6.text_1 AS text_1, anon_6.float_2 AS float_2, anon_6.integer_3 AS integer_3, anon_6.boolean_4 AS boolean_4, anon_6.date_5 AS date_5, anon_6.timestamp_6 AS timestamp_6, anon_6.json_7 AS json_7
FROM (SELECT "Sales"."_cleanlist_stage_d14ef77fd354da91".text_0 AS text_0, "Sales"."_cleanlist_stage_d14ef77fd354da91".text_1 AS text_1, "Sales"."_cleanlist_stage_d14ef77fd354da91".float_2 AS float_2, "Sales"."_cleanlist_stage_d14ef77fd354da91".integer_3 AS integer_3, "Sales"."_cleanlist_stage_d14ef77fd354da91".boolean_4 AS boolean_4, "Sales"."_cleanlist_stage_d14ef77fd354da91".date_5 AS date_5, "Sales"."_cleanlist_stage_d14ef77fd354da91".timestamp_6 AS timestamp_6, "Sales"."_cleanlist_stage_d14ef77fd354da91".json_7 AS json_7, row_number() OVER (PARTITION BY "Sales"."_cleanlist_stage_d14ef77fd354da91".text_0 ORDER BY "Sales"."_cleanlist_stage_d14ef77fd354da91"."_page" DESC, "Sales"."_cleanlist_stage_d14ef77fd354da91"."_row" DESC) AS "_rank"
FROM "Sales"."_cleanlist_stage_d14ef77fd354da91") anon_6
WHERE anon_6."_rank" = :rank_1) anon_1 LEFT OUTER JOIN "Sales"."le ads" old ON old."_cleanlist_list_id" = :param_4 AND old.lead_id = anon_1.text_0
WHERE old.lead_id IS NULL;

-- publish: merge, gone leads marked, columns of somebody else's
UPDATE "Sales"."le ads" SET "_cleanlist_deleted_at"=:"_cleanlist_deleted_at" WHERE "Sales"."le ads"."_cleanlist_list_id" = :param_1 AND NOT ("Sales"."le ads"."_cleanlist_list_id" = :param_2 AND "Sales"."le ads".lead_id IN (SELECT "Sales"."_cleanlist_stage_d14ef77fd354da91".text_0
FROM "Sales"."_cleanlist_stage_d14ef77fd354da91")) AND "Sales"."le ads"."_cleanlist_deleted_at" IS NULL;
MERGE INTO "Sales"."le ads"
USING "Sales"."_cleanlist_stage_d14ef77fd354da91"
ON ("Sales"."le ads"."_cleanlist_list_id" = :param_3 AND "Sales"."le ads".lead_id = "Sales"."_cleanlist_stage_d14ef77fd354da91".text_0)
WHEN MATCHED THEN UPDATE SET "Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" = "Sales"."_cleanlist_stage_d14ef77fd354da91".text_1, "Sales"."le ads".score = "Sales"."_cleanlist_stage_d14ef77fd354da91".float_2, "Sales"."le ads".staff = "Sales"."_cleanlist_stage_d14ef77fd354da91".integer_3, "Sales"."le ads".vip = "Sales"."_cleanlist_stage_d14ef77fd354da91".boolean_4, "Sales"."le ads".hired = "Sales"."_cleanlist_stage_d14ef77fd354da91".date_5, "Sales"."le ads".seen = "Sales"."_cleanlist_stage_d14ef77fd354da91".timestamp_6, "Sales"."le ads".tags = "Sales"."_cleanlist_stage_d14ef77fd354da91".json_7, "Sales"."le ads"."_cleanlist_synced_at" = :param_1, "Sales"."le ads"."_cleanlist_run_id" = :param_2, "Sales"."le ads"."_cleanlist_deleted_at" = NULL
WHERE "Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" != "Sales"."_cleanlist_stage_d14ef77fd354da91".text_1 OR "Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" IS NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".text_1 IS NOT NULL OR "Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" IS NOT NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".text_1 IS NULL OR "Sales"."le ads".score != "Sales"."_cleanlist_stage_d14ef77fd354da91".float_2 OR "Sales"."le ads".score IS NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".float_2 IS NOT NULL OR "Sales"."le ads".score IS NOT NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".float_2 IS NULL OR "Sales"."le ads".staff != "Sales"."_cleanlist_stage_d14ef77fd354da91".integer_3 OR "Sales"."le ads".staff IS NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".integer_3 IS NOT NULL OR "Sales"."le ads".staff IS NOT NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".integer_3 IS NULL OR "Sales"."le ads".vip != "Sales"."_cleanlist_stage_d14ef77fd354da91".boolean_4 OR "Sales"."le ads".vip IS NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".boolean_4 IS NOT NULL OR "Sales"."le ads".vip IS NOT NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".boolean_4 IS NULL OR "Sales"."le ads".hired != "Sales"."_cleanlist_stage_d14ef77fd354da91".date_5 OR "Sales"."le ads".hired IS NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".date_5 IS NOT NULL OR "Sales"."le ads".hired IS NOT NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".date_5 IS NULL OR "Sales"."le ads".seen != "Sales"."_cleanlist_stage_d14ef77fd354da91".timestamp_6 OR "Sales"."le ads".seen IS NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".timestamp_6 IS NOT NULL OR "Sales"."le ads".seen IS NOT NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".timestamp_6 IS NULL OR dbms_lob.compare("Sales"."le ads".tags, "Sales"."_cleanlist_stage_d14ef77fd354da91".json_7) != :compare_1 OR "Sales"."le ads".tags IS NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".json_7 IS NOT NULL OR "Sales"."le ads".tags IS NOT NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".json_7 IS NULL OR "Sales"."le ads"."_cleanlist_deleted_at" IS NOT NULL;
INSERT INTO "Sales"."le ads" (lead_id, "x'; DROP TABLE ""y"" -- [z] :p ?", score, staff, vip, hired, seen, tags, "_cleanlist_list_id", "_cleanlist_synced_at", "_cleanlist_run_id") SELECT "Sales"."_cleanlist_stage_d14ef77fd354da91".text_0, "Sales"."_cleanlist_stage_d14ef77fd354da91".text_1, "Sales"."_cleanlist_stage_d14ef77fd354da91".float_2, "Sales"."_cleanlist_stage_d14ef77fd354da91".integer_3, "Sales"."_cleanlist_stage_d14ef77fd354da91".boolean_4, "Sales"."_cleanlist_stage_d14ef77fd354da91".date_5, "Sales"."_cleanlist_stage_d14ef77fd354da91".timestamp_6, "Sales"."_cleanlist_stage_d14ef77fd354da91".json_7 AS anon_1, :param_1 AS anon_2, :param_2 AS anon_3, :param_3 AS anon_4
FROM "Sales"."_cleanlist_stage_d14ef77fd354da91" LEFT OUTER JOIN "Sales"."le ads" old ON old."_cleanlist_list_id" = :param_4 AND old.lead_id = "Sales"."_cleanlist_stage_d14ef77fd354da91".text_0
WHERE old.lead_id IS NULL;

-- publish: merge by two fields
MERGE INTO "Sales"."le ads"
USING "Sales"."_cleanlist_stage_d14ef77fd354da91"
ON ("Sales"."le ads"."_cleanlist_list_id" = :param_3 AND "Sales"."le ads".lead_id = "Sales"."_cleanlist_stage_d14ef77fd354da91".text_0 AND "Sales"."le ads".staff = "Sales"."_cleanlist_stage_d14ef77fd354da91".integer_1)
WHEN MATCHED THEN UPDATE SET "Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" = "Sales"."_cleanlist_stage_d14ef77fd354da91".text_2, "Sales"."le ads".score = "Sales"."_cleanlist_stage_d14ef77fd354da91".float_3, "Sales"."le ads".vip = "Sales"."_cleanlist_stage_d14ef77fd354da91".boolean_4, "Sales"."le ads".hired = "Sales"."_cleanlist_stage_d14ef77fd354da91".date_5, "Sales"."le ads".seen = "Sales"."_cleanlist_stage_d14ef77fd354da91".timestamp_6, "Sales"."le ads".tags = "Sales"."_cleanlist_stage_d14ef77fd354da91".json_7, "Sales"."le ads"."_cleanlist_synced_at" = :param_1, "Sales"."le ads"."_cleanlist_run_id" = :param_2
WHERE "Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" != "Sales"."_cleanlist_stage_d14ef77fd354da91".text_2 OR "Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" IS NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".text_2 IS NOT NULL OR "Sales"."le ads"."x'; DROP TABLE ""y"" -- [z] :p ?" IS NOT NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".text_2 IS NULL OR "Sales"."le ads".score != "Sales"."_cleanlist_stage_d14ef77fd354da91".float_3 OR "Sales"."le ads".score IS NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".float_3 IS NOT NULL OR "Sales"."le ads".score IS NOT NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".float_3 IS NULL OR "Sales"."le ads".vip != "Sales"."_cleanlist_stage_d14ef77fd354da91".boolean_4 OR "Sales"."le ads".vip IS NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".boolean_4 IS NOT NULL OR "Sales"."le ads".vip IS NOT NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".boolean_4 IS NULL OR "Sales"."le ads".hired != "Sales"."_cleanlist_stage_d14ef77fd354da91".date_5 OR "Sales"."le ads".hired IS NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".date_5 IS NOT NULL OR "Sales"."le ads".hired IS NOT NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".date_5 IS NULL OR "Sales"."le ads".seen != "Sales"."_cleanlist_stage_d14ef77fd354da91".timestamp_6 OR "Sales"."le ads".seen IS NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".timestamp_6 IS NOT NULL OR "Sales"."le ads".seen IS NOT NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".timestamp_6 IS NULL OR dbms_lob.compare("Sales"."le ads".tags, "Sales"."_cleanlist_stage_d14ef77fd354da91".json_7) != :compare_1 OR "Sales"."le ads".tags IS NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".json_7 IS NOT NULL OR "Sales"."le ads".tags IS NOT NULL AND "Sales"."_cleanlist_stage_d14ef77fd354da91".json_7 IS NULL;
INSERT INTO "Sales"."le ads" (lead_id, staff, "x'; DROP TABLE ""y"" -- [z] :p ?", score, vip, hired, seen, tags, "_cleanlist_list_id", "_cleanlist_synced_at", "_cleanlist_run_id") SELECT "Sales"."_cleanlist_stage_d14ef77fd354da91".text_0, "Sales"."_cleanlist_stage_d14ef77fd354da91".integer_1, "Sales"."_cleanlist_stage_d14ef77fd354da91".text_2, "Sales"."_cleanlist_stage_d14ef77fd354da91".float_3, "Sales"."_cleanlist_stage_d14ef77fd354da91".boolean_4, "Sales"."_cleanlist_stage_d14ef77fd354da91".date_5, "Sales"."_cleanlist_stage_d14ef77fd354da91".timestamp_6, "Sales"."_cleanlist_stage_d14ef77fd354da91".json_7 AS anon_1, :param_1 AS anon_2, :param_2 AS anon_3, :param_3 AS anon_4
FROM "Sales"."_cleanlist_stage_d14ef77fd354da91" LEFT OUTER JOIN "Sales"."le ads" old ON old."_cleanlist_list_id" = :param_4 AND old.lead_id = "Sales"."_cleanlist_stage_d14ef77fd354da91".text_0 AND old.staff = "Sales"."_cleanlist_stage_d14ef77fd354da91".integer_1
WHERE old.staff IS NULL;

-- publish: replace
DELETE FROM "Sales"."le ads" WHERE "Sales"."le ads"."_cleanlist_list_id" = :param_1;
INSERT INTO "Sales"."le ads" (lead_id, "x'; DROP TABLE ""y"" -- [z] :p ?", score, staff, vip, hired, seen, tags, "_cleanlist_list_id", "_cleanlist_synced_at", "_cleanlist_run_id") SELECT "Sales"."_cleanlist_stage_d14ef77fd354da91".text_0, "Sales"."_cleanlist_stage_d14ef77fd354da91".text_1, "Sales"."_cleanlist_stage_d14ef77fd354da91".float_2, "Sales"."_cleanlist_stage_d14ef77fd354da91".integer_3, "Sales"."_cleanlist_stage_d14ef77fd354da91".boolean_4, "Sales"."_cleanlist_stage_d14ef77fd354da91".date_5, "Sales"."_cleanlist_stage_d14ef77fd354da91".timestamp_6, "Sales"."_cleanlist_stage_d14ef77fd354da91".json_7 AS anon_1, :param_1 AS anon_2, :param_2 AS anon_3, :param_3 AS anon_4
FROM "Sales"."_cleanlist_stage_d14ef77fd354da91";

-- publish: replace in a table of people
DELETE FROM "Sales"."le ads" WHERE "Sales"."le ads"."_cleanlist_list_id" = :param_1 OR "Sales"."le ads".lead_id IN (SELECT "Sales"."_cleanlist_stage_d14ef77fd354da91".text_0
FROM "Sales"."_cleanlist_stage_d14ef77fd354da91");
INSERT INTO "Sales"."le ads" (lead_id, "x'; DROP TABLE ""y"" -- [z] :p ?", score, staff, vip, hired, seen, tags, "_cleanlist_list_id", "_cleanlist_synced_at", "_cleanlist_run_id") SELECT "Sales"."_cleanlist_stage_d14ef77fd354da91".text_0, "Sales"."_cleanlist_stage_d14ef77fd354da91".text_1, "Sales"."_cleanlist_stage_d14ef77fd354da91".float_2, "Sales"."_cleanlist_stage_d14ef77fd354da91".integer_3, "Sales"."_cleanlist_stage_d14ef77fd354da91".boolean_4, "Sales"."_cleanlist_stage_d14ef77fd354da91".date_5, "Sales"."_cleanlist_stage_d14ef77fd354da91".timestamp_6, "Sales"."_cleanlist_stage_d14ef77fd354da91".json_7 AS anon_1, :param_1 AS anon_2, :param_2 AS anon_3, :param_3 AS anon_4
FROM "Sales"."_cleanlist_stage_d14ef77fd354da91";

-- publish: replace the whole table
DELETE FROM "Sales"."le ads";
INSERT INTO "Sales"."le ads" (lead_id, "x'; DROP TABLE ""y"" -- [z] :p ?", score, staff, vip, hired, seen, tags, "_cleanlist_list_id", "_cleanlist_synced_at", "_cleanlist_run_id") SELECT "Sales"."_cleanlist_stage_d14ef77fd354da91".text_0, "Sales"."_cleanlist_stage_d14ef77fd354da91".text_1, "Sales"."_cleanlist_stage_d14ef77fd354da91".float_2, "Sales"."_cleanlist_stage_d14ef77fd354da91".integer_3, "Sales"."_cleanlist_stage_d14ef77fd354da91".boolean_4, "Sales"."_cleanlist_stage_d14ef77fd354da91".date_5, "Sales"."_cleanlist_stage_d14ef77fd354da91".timestamp_6, "Sales"."_cleanlist_stage_d14ef77fd354da91".json_7 AS anon_1, :param_1 AS anon_2, :param_2 AS anon_3, :param_3 AS anon_4
FROM "Sales"."_cleanlist_stage_d14ef77fd354da91";

-- publish: append
DELETE FROM "Sales"."le ads" WHERE "Sales"."le ads"."_cleanlist_list_id" = :param_1 AND "Sales"."le ads"."_cleanlist_run_id" = :param_2;
INSERT INTO "Sales"."le ads" (lead_id, "x'; DROP TABLE ""y"" -- [z] :p ?", score, staff, vip, hired, seen, tags, "_cleanlist_list_id", "_cleanlist_synced_at", "_cleanlist_run_id") SELECT "Sales"."_cleanlist_stage_d14ef77fd354da91".text_0, "Sales"."_cleanlist_stage_d14ef77fd354da91".text_1, "Sales"."_cleanlist_stage_d14ef77fd354da91".float_2, "Sales"."_cleanlist_stage_d14ef77fd354da91".integer_3, "Sales"."_cleanlist_stage_d14ef77fd354da91".boolean_4, "Sales"."_cleanlist_stage_d14ef77fd354da91".date_5, "Sales"."_cleanlist_stage_d14ef77fd354da91".timestamp_6, "Sales"."_cleanlist_stage_d14ef77fd354da91".json_7 AS anon_1, :param_1 AS anon_2, :param_2 AS anon_3, :param_3 AS anon_4
FROM "Sales"."_cleanlist_stage_d14ef77fd354da91";

-- publish: snapshot
DELETE FROM "Sales"."le ads" WHERE "Sales"."le ads"."_cleanlist_snapshot_date" = :param_1 AND "Sales"."le ads"."_cleanlist_list_id" = :param_2;
INSERT INTO "Sales"."le ads" (lead_id, "x'; DROP TABLE ""y"" -- [z] :p ?", score, staff, vip, hired, seen, tags, "_cleanlist_list_id", "_cleanlist_synced_at", "_cleanlist_run_id", "_cleanlist_snapshot_date") SELECT "Sales"."_cleanlist_stage_d14ef77fd354da91".text_0, "Sales"."_cleanlist_stage_d14ef77fd354da91".text_1, "Sales"."_cleanlist_stage_d14ef77fd354da91".float_2, "Sales"."_cleanlist_stage_d14ef77fd354da91".integer_3, "Sales"."_cleanlist_stage_d14ef77fd354da91".boolean_4, "Sales"."_cleanlist_stage_d14ef77fd354da91".date_5, "Sales"."_cleanlist_stage_d14ef77fd354da91".timestamp_6, "Sales"."_cleanlist_stage_d14ef77fd354da91".json_7 AS anon_1, :param_1 AS anon_2, :param_2 AS anon_3, :param_3 AS anon_4, :param_4 AS anon_5
FROM "Sales"."_cleanlist_stage_d14ef77fd354da91";

-- drop
DROP TABLE IF EXISTS "Sales"."_cleanlist_stage_d14ef77fd354da91";
