-- create: loads in flight
CREATE TABLE `Sales`._cleanlist_loads (
	stage STRING,
	list_id STRING,
	target_table STRING,
	attempt INT,
	fingerprint STRING,
	updated_at STRING,
	checkpoint STRING
) USING DELTA
TBLPROPERTIES('delta.feature.allowColumnDefaults' = 'enabled');

-- create: staging table
CREATE TABLE `Sales`._cleanlist_stage_d14ef77fd354da91 (
	_page INT,
	_row INT,
	text_0 STRING,
	text_1 STRING,
	float_2 DOUBLE,
	integer_3 BIGINT,
	boolean_4 BOOLEAN,
	date_5 DATE,
	timestamp_6 TIMESTAMP,
	json_7 STRING
) USING DELTA
TBLPROPERTIES('delta.feature.allowColumnDefaults' = 'enabled');

-- create: target
CREATE TABLE `Sales`.`le ads` (
	lead_id STRING,
	`x'; DROP TABLE "y" -- [z] :p ?` STRING,
	score DOUBLE,
	staff BIGINT,
	vip BOOLEAN,
	hired DATE,
	seen TIMESTAMP,
	tags STRING,
	_cleanlist_list_id STRING,
	_cleanlist_synced_at TIMESTAMP,
	_cleanlist_run_id STRING
) USING DELTA
TBLPROPERTIES('delta.feature.allowColumnDefaults' = 'enabled');

-- add columns
ALTER TABLE `Sales`.`le ads` ADD COLUMN lead_id STRING;
ALTER TABLE `Sales`.`le ads` ADD COLUMN `x'; DROP TABLE "y" -- [z] :p ?` STRING;
ALTER TABLE `Sales`.`le ads` ADD COLUMN score DOUBLE;
ALTER TABLE `Sales`.`le ads` ADD COLUMN staff BIGINT;
ALTER TABLE `Sales`.`le ads` ADD COLUMN vip BOOLEAN;
ALTER TABLE `Sales`.`le ads` ADD COLUMN hired DATE;
ALTER TABLE `Sales`.`le ads` ADD COLUMN seen TIMESTAMP;
ALTER TABLE `Sales`.`le ads` ADD COLUMN tags STRING;
ALTER TABLE `Sales`.`le ads` ADD COLUMN _cleanlist_list_id STRING;
ALTER TABLE `Sales`.`le ads` ADD COLUMN _cleanlist_synced_at TIMESTAMP;
ALTER TABLE `Sales`.`le ads` ADD COLUMN _cleanlist_run_id STRING;

-- stage: one document
INSERT INTO `Sales`._cleanlist_stage_d14ef77fd354da91 (_page, _row, text_0, text_1, float_2, integer_3, boolean_4, date_5, timestamp_6, json_7) SELECT CAST(cells[0] AS INT) AS `cells[0]`, CAST(cells[1] AS INT) AS `cells[1]`, CAST(cells[2] AS STRING) AS `cells[2]`, CAST(cells[3] AS STRING) AS `cells[3]`, CAST(cells[4] AS DOUBLE) AS `cells[4]`, CAST(cells[5] AS BIGINT) AS `cells[5]`, CAST(cells[6] AS BOOLEAN) AS `cells[6]`, CAST(cells[7] AS DATE) AS `cells[7]`, CAST(cells[8] AS TIMESTAMP) AS `cells[8]`, CAST(cells[9] AS STRING) AS `cells[9]`
FROM (SELECT explode(from_json(:`document`, 'array<array<string>>')) AS cells) AS batch;

-- checkpoint
UPDATE `Sales`._cleanlist_loads SET attempt=:`attempt`, checkpoint=:`checkpoint` WHERE `Sales`._cleanlist_loads.stage = :`stage_1` AND `Sales`._cleanlist_loads.attempt = :`attempt_1`;

-- publish: merge
MERGE INTO `Sales`.`le ads` AS t
USING (SELECT `Sales`._cleanlist_stage_d14ef77fd354da91.text_0 AS lead_id, `Sales`._cleanlist_stage_d14ef77fd354da91.text_1 AS `x'; DROP TABLE "y" -- [z] :p ?`, `Sales`._cleanlist_stage_d14ef77fd354da91.float_2 AS score, `Sales`._cleanlist_stage_d14ef77fd354da91.integer_3 AS staff, `Sales`._cleanlist_stage_d14ef77fd354da91.boolean_4 AS vip, `Sales`._cleanlist_stage_d14ef77fd354da91.date_5 AS hired, `Sales`._cleanlist_stage_d14ef77fd354da91.timestamp_6 AS seen, `Sales`._cleanlist_stage_d14ef77fd354da91.json_7 AS tags, :`param_1` AS _cleanlist_list_id, :`param_2` AS _cleanlist_synced_at, :`param_3` AS _cleanlist_run_id, CAST(NULL AS STRING) AS _drop
FROM `Sales`._cleanlist_stage_d14ef77fd354da91
WHERE (SELECT count(*) AS count_1
FROM `Sales`._cleanlist_stage_d14ef77fd354da91 AS counted) = :`param_4`) AS s
ON t._cleanlist_list_id = s._cleanlist_list_id AND t.lead_id = s.lead_id
WHEN MATCHED AND (t.`x'; DROP TABLE "y" -- [z] :p ?` IS DISTINCT FROM s.`x'; DROP TABLE "y" -- [z] :p ?` OR t.score IS DISTINCT FROM s.score OR t.staff IS DISTINCT FROM s.staff OR t.vip IS DISTINCT FROM s.vip OR t.hired IS DISTINCT FROM s.hired OR t.seen IS DISTINCT FROM s.seen OR t.tags IS DISTINCT FROM s.tags) THEN UPDATE SET `x'; DROP TABLE "y" -- [z] :p ?` = s.`x'; DROP TABLE "y" -- [z] :p ?`, score = s.score, staff = s.staff, vip = s.vip, hired = s.hired, seen = s.seen, tags = s.tags, _cleanlist_synced_at = s._cleanlist_synced_at, _cleanlist_run_id = s._cleanlist_run_id
WHEN NOT MATCHED AND s._drop IS NULL THEN INSERT (lead_id, `x'; DROP TABLE "y" -- [z] :p ?`, score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) VALUES (s.lead_id, s.`x'; DROP TABLE "y" -- [z] :p ?`, s.score, s.staff, s.vip, s.hired, s.seen, s.tags, s._cleanlist_list_id, s._cleanlist_synced_at, s._cleanlist_run_id);

-- publish: merge, duplicates, gone leads deleted
MERGE INTO `Sales`.`le ads` AS t
USING (SELECT anon_1.text_0 AS lead_id, anon_1.text_1 AS `x'; DROP TABLE "y" -- [z] :p ?`, anon_1.float_2 AS score, anon_1.integer_3 AS staff, anon_1.boolean_4 AS vip, anon_1.date_5 AS hired, anon_1.timestamp_6 AS seen, anon_1.json_7 AS tags, :`param_1` AS _cleanlist_list_id, :`param_2` AS _cleanlist_synced_at, :`param_3` AS _cleanlist_run_id, CAST(NULL AS STRING) AS _drop
FROM (SELECT anon_2.text_0 AS text_0, anon_2.text_1 AS text_1, anon_2.float_2 AS float_2, anon_2.integer_3 AS integer_3, anon_2.boolean_4 AS boolean_4, anon_2.date_5 AS date_5, anon_2.timestamp_6 AS timestamp_6, anon_2.json_7 AS json_7
FROM (SELECT `Sales`._cleanlist_stage_d14ef77fd354da91.text_0 AS text_0, `Sales`._cleanlist_stage_d14ef77fd354da91.text_1 AS text_1, `Sales`._cleanlist_stage_d14ef77fd354da91.float_2 AS float_2, `Sales`._cleanlist_stage_d14ef77fd354da91.integer_3 AS integer_3, `Sales`._cleanlist_stage_d14ef77fd354da91.boolean_4 AS boolean_4, `Sales`._cleanlist_stage_d14ef77fd354da91.date_5 AS date_5, `Sales`._cleanlist_stage_d14ef77fd354da91.timestamp_6 AS timestamp_6, `Sales`._cleanlist_stage_d14ef77fd354da91.json_7 AS json_7, row_number() OVER (PARTITION BY `Sales`._cleanlist_stage_d14ef77fd354da91.text_0 ORDER BY `Sales`._cleanlist_stage_d14ef77fd354da91._page DESC, `Sales`._cleanlist_stage_d14ef77fd354da91._row DESC) AS _rank
FROM `Sales`._cleanlist_stage_d14ef77fd354da91) AS anon_2
WHERE anon_2._rank = :`rank_1`) AS anon_1
WHERE (SELECT count(*) AS count_1
FROM `Sales`._cleanlist_stage_d14ef77fd354da91 AS counted) = :`param_4` UNION ALL SELECT going.lead_id AS lead_id, CAST(NULL AS STRING) AS `x'; DROP TABLE "y" -- [z] :p ?`, CAST(NULL AS DOUBLE) AS score, CAST(NULL AS BIGINT) AS staff, CAST(NULL AS BOOLEAN) AS vip, CAST(NULL AS DATE) AS hired, CAST(NULL AS TIMESTAMP) AS seen, CAST(NULL AS STRING) AS tags, going._cleanlist_list_id AS _cleanlist_list_id, CAST(NULL AS TIMESTAMP) AS _cleanlist_synced_at, CAST(NULL AS STRING) AS _cleanlist_run_id, going._drop AS _drop
FROM (SELECT DISTINCT `old`._cleanlist_list_id AS _cleanlist_list_id, `old`.lead_id AS lead_id, :`param_5` AS _drop
FROM `Sales`.`le ads` AS `old` LEFT OUTER JOIN (SELECT anon_3.text_0 AS text_0, anon_3.text_1 AS text_1, anon_3.float_2 AS float_2, anon_3.integer_3 AS integer_3, anon_3.boolean_4 AS boolean_4, anon_3.date_5 AS date_5, anon_3.timestamp_6 AS timestamp_6, anon_3.json_7 AS json_7
FROM (SELECT `Sales`._cleanlist_stage_d14ef77fd354da91.text_0 AS text_0, `Sales`._cleanlist_stage_d14ef77fd354da91.text_1 AS text_1, `Sales`._cleanlist_stage_d14ef77fd354da91.float_2 AS float_2, `Sales`._cleanlist_stage_d14ef77fd354da91.integer_3 AS integer_3, `Sales`._cleanlist_stage_d14ef77fd354da91.boolean_4 AS boolean_4, `Sales`._cleanlist_stage_d14ef77fd354da91.date_5 AS date_5, `Sales`._cleanlist_stage_d14ef77fd354da91.timestamp_6 AS timestamp_6, `Sales`._cleanlist_stage_d14ef77fd354da91.json_7 AS json_7, row_number() OVER (PARTITION BY `Sales`._cleanlist_stage_d14ef77fd354da91.text_0 ORDER BY `Sales`._cleanlist_stage_d14ef77fd354da91._page DESC, `Sales`._cleanlist_stage_d14ef77fd354da91._row DESC) AS _rank
FROM `Sales`._cleanlist_stage_d14ef77fd354da91) AS anon_3
WHERE anon_3._rank = :`rank_2`) AS staged ON `old`._cleanlist_list_id = :`param_6` AND `old`.lead_id = staged.text_0
WHERE `old`._cleanlist_list_id = :`param_7` AND staged.text_0 IS NULL) AS going
WHERE (SELECT count(*) AS count_1
FROM `Sales`._cleanlist_stage_d14ef77fd354da91 AS counted) = :`param_4`) AS s
ON t._cleanlist_list_id = s._cleanlist_list_id AND t.lead_id = s.lead_id
WHEN MATCHED AND s._drop IS NOT NULL THEN DELETE
WHEN MATCHED AND (t.`x'; DROP TABLE "y" -- [z] :p ?` IS DISTINCT FROM s.`x'; DROP TABLE "y" -- [z] :p ?` OR t.score IS DISTINCT FROM s.score OR t.staff IS DISTINCT FROM s.staff OR t.vip IS DISTINCT FROM s.vip OR t.hired IS DISTINCT FROM s.hired OR t.seen IS DISTINCT FROM s.seen OR t.tags IS DISTINCT FROM s.tags) THEN UPDATE SET `x'; DROP TABLE "y" -- [z] :p ?` = s.`x'; DROP TABLE "y" -- [z] :p ?`, score = s.score, staff = s.staff, vip = s.vip, hired = s.hired, seen = s.seen, tags = s.tags, _cleanlist_synced_at = s._cleanlist_synced_at, _cleanlist_run_id = s._cleanlist_run_id
WHEN NOT MATCHED AND s._drop IS NULL THEN INSERT (lead_id, `x'; DROP TABLE "y" -- [z] :p ?`, score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) VALUES (s.lead_id, s.`x'; DROP TABLE "y" -- [z] :p ?`, s.score, s.staff, s.vip, s.hired, s.seen, s.tags, s._cleanlist_list_id, s._cleanlist_synced_at, s._cleanlist_run_id);

-- publish: merge, gone leads marked, columns of somebody else's
MERGE INTO `Sales`.`le ads` AS t
USING (SELECT `Sales`._cleanlist_stage_d14ef77fd354da91.text_0 AS lead_id, `Sales`._cleanlist_stage_d14ef77fd354da91.text_1 AS `x'; DROP TABLE "y" -- [z] :p ?`, `Sales`._cleanlist_stage_d14ef77fd354da91.float_2 AS score, `Sales`._cleanlist_stage_d14ef77fd354da91.integer_3 AS staff, `Sales`._cleanlist_stage_d14ef77fd354da91.boolean_4 AS vip, `Sales`._cleanlist_stage_d14ef77fd354da91.date_5 AS hired, `Sales`._cleanlist_stage_d14ef77fd354da91.timestamp_6 AS seen, `Sales`._cleanlist_stage_d14ef77fd354da91.json_7 AS tags, :`param_1` AS _cleanlist_list_id, :`param_2` AS _cleanlist_synced_at, :`param_3` AS _cleanlist_run_id, CAST(NULL AS STRING) AS _drop
FROM `Sales`._cleanlist_stage_d14ef77fd354da91
WHERE (SELECT count(*) AS count_1
FROM `Sales`._cleanlist_stage_d14ef77fd354da91 AS counted) = :`param_4` UNION ALL SELECT going.lead_id AS lead_id, CAST(NULL AS STRING) AS `x'; DROP TABLE "y" -- [z] :p ?`, CAST(NULL AS DOUBLE) AS score, CAST(NULL AS BIGINT) AS staff, CAST(NULL AS BOOLEAN) AS vip, CAST(NULL AS DATE) AS hired, CAST(NULL AS TIMESTAMP) AS seen, CAST(NULL AS STRING) AS tags, going._cleanlist_list_id AS _cleanlist_list_id, CAST(NULL AS TIMESTAMP) AS _cleanlist_synced_at, CAST(NULL AS STRING) AS _cleanlist_run_id, going._drop AS _drop
FROM (SELECT DISTINCT `old`._cleanlist_list_id AS _cleanlist_list_id, `old`.lead_id AS lead_id, :`param_5` AS _drop
FROM `Sales`.`le ads` AS `old` LEFT OUTER JOIN `Sales`._cleanlist_stage_d14ef77fd354da91 AS staged ON `old`._cleanlist_list_id = :`param_6` AND `old`.lead_id = staged.text_0
WHERE `old`._cleanlist_list_id = :`param_7` AND staged.text_0 IS NULL AND `old`._cleanlist_deleted_at IS NULL) AS going
WHERE (SELECT count(*) AS count_1
FROM `Sales`._cleanlist_stage_d14ef77fd354da91 AS counted) = :`param_4`) AS s
ON t._cleanlist_list_id = s._cleanlist_list_id AND t.lead_id = s.lead_id
WHEN MATCHED AND s._drop IS NOT NULL THEN UPDATE SET _cleanlist_deleted_at = :`param_8`
WHEN MATCHED AND (t.`x'; DROP TABLE "y" -- [z] :p ?` IS DISTINCT FROM s.`x'; DROP TABLE "y" -- [z] :p ?` OR t.score IS DISTINCT FROM s.score OR t.staff IS DISTINCT FROM s.staff OR t.vip IS DISTINCT FROM s.vip OR t.hired IS DISTINCT FROM s.hired OR t.seen IS DISTINCT FROM s.seen OR t.tags IS DISTINCT FROM s.tags OR t._cleanlist_deleted_at IS NOT NULL) THEN UPDATE SET `x'; DROP TABLE "y" -- [z] :p ?` = s.`x'; DROP TABLE "y" -- [z] :p ?`, score = s.score, staff = s.staff, vip = s.vip, hired = s.hired, seen = s.seen, tags = s.tags, _cleanlist_synced_at = s._cleanlist_synced_at, _cleanlist_run_id = s._cleanlist_run_id, _cleanlist_deleted_at = NULL
WHEN NOT MATCHED AND s._drop IS NULL THEN INSERT (lead_id, `x'; DROP TABLE "y" -- [z] :p ?`, score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) VALUES (s.lead_id, s.`x'; DROP TABLE "y" -- [z] :p ?`, s.score, s.staff, s.vip, s.hired, s.seen, s.tags, s._cleanlist_list_id, s._cleanlist_synced_at, s._cleanlist_run_id);

-- publish: merge by two fields
MERGE INTO `Sales`.`le ads` AS t
USING (SELECT `Sales`._cleanlist_stage_d14ef77fd354da91.text_0 AS lead_id, `Sales`._cleanlist_stage_d14ef77fd354da91.integer_1 AS staff, `Sales`._cleanlist_stage_d14ef77fd354da91.text_2 AS `x'; DROP TABLE "y" -- [z] :p ?`, `Sales`._cleanlist_stage_d14ef77fd354da91.float_3 AS score, `Sales`._cleanlist_stage_d14ef77fd354da91.boolean_4 AS vip, `Sales`._cleanlist_stage_d14ef77fd354da91.date_5 AS hired, `Sales`._cleanlist_stage_d14ef77fd354da91.timestamp_6 AS seen, `Sales`._cleanlist_stage_d14ef77fd354da91.json_7 AS tags, :`param_1` AS _cleanlist_list_id, :`param_2` AS _cleanlist_synced_at, :`param_3` AS _cleanlist_run_id, CAST(NULL AS STRING) AS _drop
FROM `Sales`._cleanlist_stage_d14ef77fd354da91
WHERE (SELECT count(*) AS count_1
FROM `Sales`._cleanlist_stage_d14ef77fd354da91 AS counted) = :`param_4`) AS s
ON t._cleanlist_list_id = s._cleanlist_list_id AND t.lead_id = s.lead_id AND t.staff = s.staff
WHEN MATCHED AND (t.`x'; DROP TABLE "y" -- [z] :p ?` IS DISTINCT FROM s.`x'; DROP TABLE "y" -- [z] :p ?` OR t.score IS DISTINCT FROM s.score OR t.vip IS DISTINCT FROM s.vip OR t.hired IS DISTINCT FROM s.hired OR t.seen IS DISTINCT FROM s.seen OR t.tags IS DISTINCT FROM s.tags) THEN UPDATE SET `x'; DROP TABLE "y" -- [z] :p ?` = s.`x'; DROP TABLE "y" -- [z] :p ?`, score = s.score, vip = s.vip, hired = s.hired, seen = s.seen, tags = s.tags, _cleanlist_synced_at = s._cleanlist_synced_at, _cleanlist_run_id = s._cleanlist_run_id
WHEN NOT MATCHED AND s._drop IS NULL THEN INSERT (lead_id, staff, `x'; DROP TABLE "y" -- [z] :p ?`, score, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) VALUES (s.lead_id, s.staff, s.`x'; DROP TABLE "y" -- [z] :p ?`, s.score, s.vip, s.hired, s.seen, s.tags, s._cleanlist_list_id, s._cleanlist_synced_at, s._cleanlist_run_id);

-- publish: replace
MERGE INTO `Sales`.`le ads` AS t
USING (SELECT `Sales`._cleanlist_stage_d14ef77fd354da91.text_0 AS lead_id, `Sales`._cleanlist_stage_d14ef77fd354da91.text_1 AS `x'; DROP TABLE "y" -- [z] :p ?`, `Sales`._cleanlist_stage_d14ef77fd354da91.float_2 AS score, `Sales`._cleanlist_stage_d14ef77fd354da91.integer_3 AS staff, `Sales`._cleanlist_stage_d14ef77fd354da91.boolean_4 AS vip, `Sales`._cleanlist_stage_d14ef77fd354da91.date_5 AS hired, `Sales`._cleanlist_stage_d14ef77fd354da91.timestamp_6 AS seen, `Sales`._cleanlist_stage_d14ef77fd354da91.json_7 AS tags, :`param_1` AS _cleanlist_list_id, :`param_2` AS _cleanlist_synced_at, :`param_3` AS _cleanlist_run_id, CAST(NULL AS STRING) AS _drop
FROM `Sales`._cleanlist_stage_d14ef77fd354da91
WHERE (SELECT count(*) AS count_1
FROM `Sales`._cleanlist_stage_d14ef77fd354da91 AS counted) = :`param_4` UNION ALL SELECT CAST(NULL AS STRING) AS lead_id, CAST(NULL AS STRING) AS `x'; DROP TABLE "y" -- [z] :p ?`, CAST(NULL AS DOUBLE) AS score, CAST(NULL AS BIGINT) AS staff, CAST(NULL AS BOOLEAN) AS vip, CAST(NULL AS DATE) AS hired, CAST(NULL AS TIMESTAMP) AS seen, CAST(NULL AS STRING) AS tags, CAST(NULL AS STRING) AS _cleanlist_list_id, CAST(NULL AS TIMESTAMP) AS _cleanlist_synced_at, CAST(NULL AS STRING) AS _cleanlist_run_id, going._drop AS _drop
FROM (SELECT DISTINCT coalesce(`old`._cleanlist_list_id, :`param_5`) AS _drop
FROM `Sales`.`le ads` AS `old`
WHERE `old`._cleanlist_list_id = :`param_6`) AS going
WHERE (SELECT count(*) AS count_1
FROM `Sales`._cleanlist_stage_d14ef77fd354da91 AS counted) = :`param_4`) AS s
ON coalesce(t._cleanlist_list_id, :`param_7`) = s._drop AND t._cleanlist_list_id = :`param_8`
WHEN MATCHED THEN DELETE
WHEN NOT MATCHED AND s._drop IS NULL THEN INSERT (lead_id, `x'; DROP TABLE "y" -- [z] :p ?`, score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) VALUES (s.lead_id, s.`x'; DROP TABLE "y" -- [z] :p ?`, s.score, s.staff, s.vip, s.hired, s.seen, s.tags, s._cleanlist_list_id, s._cleanlist_synced_at, s._cleanlist_run_id);

-- publish: replace in a table of people
MERGE INTO `Sales`.`le ads` AS t
USING (SELECT `Sales`._cleanlist_stage_d14ef77fd354da91.text_0 AS lead_id, `Sales`._cleanlist_stage_d14ef77fd354da91.text_1 AS `x'; DROP TABLE "y" -- [z] :p ?`, `Sales`._cleanlist_stage_d14ef77fd354da91.float_2 AS score, `Sales`._cleanlist_stage_d14ef77fd354da91.integer_3 AS staff, `Sales`._cleanlist_stage_d14ef77fd354da91.boolean_4 AS vip, `Sales`._cleanlist_stage_d14ef77fd354da91.date_5 AS hired, `Sales`._cleanlist_stage_d14ef77fd354da91.timestamp_6 AS seen, `Sales`._cleanlist_stage_d14ef77fd354da91.json_7 AS tags, :`param_1` AS _cleanlist_list_id, :`param_2` AS _cleanlist_synced_at, :`param_3` AS _cleanlist_run_id, CAST(NULL AS STRING) AS _drop
FROM `Sales`._cleanlist_stage_d14ef77fd354da91
WHERE (SELECT count(*) AS count_1
FROM `Sales`._cleanlist_stage_d14ef77fd354da91 AS counted) = :`param_4` UNION ALL SELECT going.lead_id AS lead_id, CAST(NULL AS STRING) AS `x'; DROP TABLE "y" -- [z] :p ?`, CAST(NULL AS DOUBLE) AS score, CAST(NULL AS BIGINT) AS staff, CAST(NULL AS BOOLEAN) AS vip, CAST(NULL AS DATE) AS hired, CAST(NULL AS TIMESTAMP) AS seen, CAST(NULL AS STRING) AS tags, CAST(NULL AS STRING) AS _cleanlist_list_id, CAST(NULL AS TIMESTAMP) AS _cleanlist_synced_at, CAST(NULL AS STRING) AS _cleanlist_run_id, going._drop AS _drop
FROM (SELECT DISTINCT `old`.lead_id AS lead_id, :`param_5` AS _drop
FROM `Sales`.`le ads` AS `old` LEFT OUTER JOIN `Sales`._cleanlist_stage_d14ef77fd354da91 AS staged ON `old`.lead_id = staged.text_0
WHERE `old`._cleanlist_list_id = :`param_6` AND staged.text_0 IS NULL) AS going
WHERE (SELECT count(*) AS count_1
FROM `Sales`._cleanlist_stage_d14ef77fd354da91 AS counted) = :`param_4`) AS s
ON t.lead_id = s.lead_id
WHEN MATCHED AND s._drop IS NOT NULL THEN DELETE
WHEN MATCHED THEN UPDATE SET `x'; DROP TABLE "y" -- [z] :p ?` = s.`x'; DROP TABLE "y" -- [z] :p ?`, score = s.score, staff = s.staff, vip = s.vip, hired = s.hired, seen = s.seen, tags = s.tags, _cleanlist_list_id = s._cleanlist_list_id, _cleanlist_synced_at = s._cleanlist_synced_at, _cleanlist_run_id = s._cleanlist_run_id
WHEN NOT MATCHED AND s._drop IS NULL THEN INSERT (lead_id, `x'; DROP TABLE "y" -- [z] :p ?`, score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) VALUES (s.lead_id, s.`x'; DROP TABLE "y" -- [z] :p ?`, s.score, s.staff, s.vip, s.hired, s.seen, s.tags, s._cleanlist_list_id, s._cleanlist_synced_at, s._cleanlist_run_id);

-- publish: replace the whole table
MERGE INTO `Sales`.`le ads` AS t
USING (SELECT `Sales`._cleanlist_stage_d14ef77fd354da91.text_0 AS lead_id, `Sales`._cleanlist_stage_d14ef77fd354da91.text_1 AS `x'; DROP TABLE "y" -- [z] :p ?`, `Sales`._cleanlist_stage_d14ef77fd354da91.float_2 AS score, `Sales`._cleanlist_stage_d14ef77fd354da91.integer_3 AS staff, `Sales`._cleanlist_stage_d14ef77fd354da91.boolean_4 AS vip, `Sales`._cleanlist_stage_d14ef77fd354da91.date_5 AS hired, `Sales`._cleanlist_stage_d14ef77fd354da91.timestamp_6 AS seen, `Sales`._cleanlist_stage_d14ef77fd354da91.json_7 AS tags, :`param_1` AS _cleanlist_list_id, :`param_2` AS _cleanlist_synced_at, :`param_3` AS _cleanlist_run_id, CAST(NULL AS STRING) AS _drop
FROM `Sales`._cleanlist_stage_d14ef77fd354da91
WHERE (SELECT count(*) AS count_1
FROM `Sales`._cleanlist_stage_d14ef77fd354da91 AS counted) = :`param_4` UNION ALL SELECT CAST(NULL AS STRING) AS lead_id, CAST(NULL AS STRING) AS `x'; DROP TABLE "y" -- [z] :p ?`, CAST(NULL AS DOUBLE) AS score, CAST(NULL AS BIGINT) AS staff, CAST(NULL AS BOOLEAN) AS vip, CAST(NULL AS DATE) AS hired, CAST(NULL AS TIMESTAMP) AS seen, CAST(NULL AS STRING) AS tags, CAST(NULL AS STRING) AS _cleanlist_list_id, CAST(NULL AS TIMESTAMP) AS _cleanlist_synced_at, CAST(NULL AS STRING) AS _cleanlist_run_id, going._drop AS _drop
FROM (SELECT DISTINCT coalesce(`old`._cleanlist_list_id, :`param_5`) AS _drop
FROM `Sales`.`le ads` AS `old`) AS going
WHERE (SELECT count(*) AS count_1
FROM `Sales`._cleanlist_stage_d14ef77fd354da91 AS counted) = :`param_4`) AS s
ON coalesce(t._cleanlist_list_id, :`param_6`) = s._drop
WHEN MATCHED THEN DELETE
WHEN NOT MATCHED AND s._drop IS NULL THEN INSERT (lead_id, `x'; DROP TABLE "y" -- [z] :p ?`, score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) VALUES (s.lead_id, s.`x'; DROP TABLE "y" -- [z] :p ?`, s.score, s.staff, s.vip, s.hired, s.seen, s.tags, s._cleanlist_list_id, s._cleanlist_synced_at, s._cleanlist_run_id);

-- publish: append
MERGE INTO `Sales`.`le ads` AS t
USING (SELECT `Sales`._cleanlist_stage_d14ef77fd354da91.text_0 AS lead_id, `Sales`._cleanlist_stage_d14ef77fd354da91.text_1 AS `x'; DROP TABLE "y" -- [z] :p ?`, `Sales`._cleanlist_stage_d14ef77fd354da91.float_2 AS score, `Sales`._cleanlist_stage_d14ef77fd354da91.integer_3 AS staff, `Sales`._cleanlist_stage_d14ef77fd354da91.boolean_4 AS vip, `Sales`._cleanlist_stage_d14ef77fd354da91.date_5 AS hired, `Sales`._cleanlist_stage_d14ef77fd354da91.timestamp_6 AS seen, `Sales`._cleanlist_stage_d14ef77fd354da91.json_7 AS tags, :`param_1` AS _cleanlist_list_id, :`param_2` AS _cleanlist_synced_at, :`param_3` AS _cleanlist_run_id, CAST(NULL AS STRING) AS _drop
FROM `Sales`._cleanlist_stage_d14ef77fd354da91
WHERE (SELECT count(*) AS count_1
FROM `Sales`._cleanlist_stage_d14ef77fd354da91 AS counted) = :`param_4` UNION ALL SELECT CAST(NULL AS STRING) AS lead_id, CAST(NULL AS STRING) AS `x'; DROP TABLE "y" -- [z] :p ?`, CAST(NULL AS DOUBLE) AS score, CAST(NULL AS BIGINT) AS staff, CAST(NULL AS BOOLEAN) AS vip, CAST(NULL AS DATE) AS hired, CAST(NULL AS TIMESTAMP) AS seen, CAST(NULL AS STRING) AS tags, CAST(NULL AS STRING) AS _cleanlist_list_id, CAST(NULL AS TIMESTAMP) AS _cleanlist_synced_at, CAST(NULL AS STRING) AS _cleanlist_run_id, going._drop AS _drop
FROM (SELECT DISTINCT coalesce(`old`._cleanlist_list_id, :`param_5`) AS _drop
FROM `Sales`.`le ads` AS `old`
WHERE `old`._cleanlist_list_id = :`param_6` AND `old`._cleanlist_run_id = :`param_7`) AS going
WHERE (SELECT count(*) AS count_1
FROM `Sales`._cleanlist_stage_d14ef77fd354da91 AS counted) = :`param_4`) AS s
ON coalesce(t._cleanlist_list_id, :`param_8`) = s._drop AND t._cleanlist_list_id = :`param_9` AND t._cleanlist_run_id = :`param_10`
WHEN MATCHED THEN DELETE
WHEN NOT MATCHED AND s._drop IS NULL THEN INSERT (lead_id, `x'; DROP TABLE "y" -- [z] :p ?`, score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) VALUES (s.lead_id, s.`x'; DROP TABLE "y" -- [z] :p ?`, s.score, s.staff, s.vip, s.hired, s.seen, s.tags, s._cleanlist_list_id, s._cleanlist_synced_at, s._cleanlist_run_id);

-- publish: snapshot
MERGE INTO `Sales`.`le ads` AS t
USING (SELECT `Sales`._cleanlist_stage_d14ef77fd354da91.text_0 AS lead_id, `Sales`._cleanlist_stage_d14ef77fd354da91.text_1 AS `x'; DROP TABLE "y" -- [z] :p ?`, `Sales`._cleanlist_stage_d14ef77fd354da91.float_2 AS score, `Sales`._cleanlist_stage_d14ef77fd354da91.integer_3 AS staff, `Sales`._cleanlist_stage_d14ef77fd354da91.boolean_4 AS vip, `Sales`._cleanlist_stage_d14ef77fd354da91.date_5 AS hired, `Sales`._cleanlist_stage_d14ef77fd354da91.timestamp_6 AS seen, `Sales`._cleanlist_stage_d14ef77fd354da91.json_7 AS tags, :`param_1` AS _cleanlist_list_id, :`param_2` AS _cleanlist_synced_at, :`param_3` AS _cleanlist_run_id, :`param_4` AS _cleanlist_snapshot_date, CAST(NULL AS STRING) AS _drop
FROM `Sales`._cleanlist_stage_d14ef77fd354da91
WHERE (SELECT count(*) AS count_1
FROM `Sales`._cleanlist_stage_d14ef77fd354da91 AS counted) = :`param_5` UNION ALL SELECT CAST(NULL AS STRING) AS lead_id, CAST(NULL AS STRING) AS `x'; DROP TABLE "y" -- [z] :p ?`, CAST(NULL AS DOUBLE) AS score, CAST(NULL AS BIGINT) AS staff, CAST(NULL AS BOOLEAN) AS vip, CAST(NULL AS DATE) AS hired, CAST(NULL AS TIMESTAMP) AS seen, CAST(NULL AS STRING) AS tags, CAST(NULL AS STRING) AS _cleanlist_list_id, CAST(NULL AS TIMESTAMP) AS _cleanlist_synced_at, CAST(NULL AS STRING) AS _cleanlist_run_id, CAST(NULL AS DATE) AS _cleanlist_snapshot_date, going._drop AS _drop
FROM (SELECT DISTINCT coalesce(`old`._cleanlist_list_id, :`param_6`) AS _drop
FROM `Sales`.`le ads` AS `old`
WHERE `old`._cleanlist_snapshot_date = :`param_7` AND `old`._cleanlist_list_id = :`param_8`) AS going
WHERE (SELECT count(*) AS count_1
FROM `Sales`._cleanlist_stage_d14ef77fd354da91 AS counted) = :`param_5`) AS s
ON coalesce(t._cleanlist_list_id, :`param_9`) = s._drop AND t._cleanlist_snapshot_date = :`param_10` AND t._cleanlist_list_id = :`param_11`
WHEN MATCHED THEN DELETE
WHEN NOT MATCHED AND s._drop IS NULL THEN INSERT (lead_id, `x'; DROP TABLE "y" -- [z] :p ?`, score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id, _cleanlist_snapshot_date) VALUES (s.lead_id, s.`x'; DROP TABLE "y" -- [z] :p ?`, s.score, s.staff, s.vip, s.hired, s.seen, s.tags, s._cleanlist_list_id, s._cleanlist_synced_at, s._cleanlist_run_id, s._cleanlist_snapshot_date);

-- drop
DROP TABLE IF EXISTS `Sales`._cleanlist_stage_d14ef77fd354da91;
