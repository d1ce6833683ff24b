-- create: loads in flight
CREATE TABLE `Sales`.`_cleanlist_loads` (
	`stage` STRING(64),
	`list_id` STRING,
	`target_table` STRING,
	`attempt` INT64,
	`fingerprint` STRING(32),
	`updated_at` STRING(32),
	`checkpoint` STRING
);

-- create: staging table
CREATE TABLE `Sales`.`_cleanlist_stage_d14ef77fd354da91` (
	`_page` INT64,
	`_row` INT64,
	`text_0` STRING,
	`text_1` STRING,
	`float_2` FLOAT64,
	`integer_3` INT64,
	`boolean_4` BOOL,
	`date_5` DATE,
	`timestamp_6` TIMESTAMP,
	`json_7` STRING
);

-- create: target
CREATE TABLE `Sales`.`le ads` (
	`lead_id` STRING,
	`x'; DROP TABLE y -- [z] :p ?` STRING,
	`score` FLOAT64,
	`staff` INT64,
	`vip` BOOL,
	`hired` DATE,
	`seen` TIMESTAMP,
	`tags` JSON,
	`_cleanlist_list_id` STRING,
	`_cleanlist_synced_at` TIMESTAMP,
	`_cleanlist_run_id` STRING
);

-- add columns
ALTER TABLE `Sales`.`le ads` ADD COLUMN `lead_id` STRING;
ALTER TABLE `Sales`.`le ads` ADD COLUMN `x'; DROP TABLE y -- [z] :p ?` STRING;
ALTER TABLE `Sales`.`le ads` ADD COLUMN `score` FLOAT64;
ALTER TABLE `Sales`.`le ads` ADD COLUMN `staff` INT64;
ALTER TABLE `Sales`.`le ads` ADD COLUMN `vip` BOOL;
ALTER TABLE `Sales`.`le ads` ADD COLUMN `hired` DATE;
ALTER TABLE `Sales`.`le ads` ADD COLUMN `seen` TIMESTAMP;
ALTER TABLE `Sales`.`le ads` ADD COLUMN `tags` JSON;
ALTER TABLE `Sales`.`le ads` ADD COLUMN `_cleanlist_list_id` STRING;
ALTER TABLE `Sales`.`le ads` ADD COLUMN `_cleanlist_synced_at` TIMESTAMP;
ALTER TABLE `Sales`.`le ads` ADD COLUMN `_cleanlist_run_id` STRING;

-- checkpoint
UPDATE `Sales`.`_cleanlist_loads` SET `attempt`=%(attempt:INT64)s, `checkpoint`=%(checkpoint:STRING)s WHERE `_cleanlist_loads`.`stage` = %(stage_1:STRING)s AND `_cleanlist_loads`.`attempt` = %(attempt_1:INT64)s;

-- publish: merge
BEGIN
BEGIN TRANSACTION;
ASSERT (SELECT count(*) AS `count_1`
FROM `Sales`.`_cleanlist_stage_d14ef77fd354da91`) = 10 AS 'The staging table is not what was counted.';
UPDATE `Sales`.`le ads` SET `x'; DROP TABLE y -- [z] :p ?`=`_cleanlist_stage_d14ef77fd354da91`.`text_1`, `score`=`_cleanlist_stage_d14ef77fd354da91`.`float_2`, `staff`=`_cleanlist_stage_d14ef77fd354da91`.`integer_3`, `vip`=`_cleanlist_stage_d14ef77fd354da91`.`boolean_4`, `hired`=`_cleanlist_stage_d14ef77fd354da91`.`date_5`, `seen`=`_cleanlist_stage_d14ef77fd354da91`.`timestamp_6`, `tags`=PARSE_JSON(`_cleanlist_stage_d14ef77fd354da91`.`json_7`), `_cleanlist_synced_at`=%(s1__cleanlist_synced_at:TIMESTAMP)s, `_cleanlist_run_id`=%(s1__cleanlist_run_id:STRING)s FROM `Sales`.`_cleanlist_stage_d14ef77fd354da91` WHERE `le ads`.`_cleanlist_list_id` = %(s1_param_1:STRING)s AND `le ads`.`lead_id` = `_cleanlist_stage_d14ef77fd354da91`.`text_0` AND (`le ads`.`x'; DROP TABLE y -- [z] :p ?` IS DISTINCT FROM `_cleanlist_stage_d14ef77fd354da91`.`text_1` OR `le ads`.`score` IS DISTINCT FROM `_cleanlist_stage_d14ef77fd354da91`.`float_2` OR `le ads`.`staff` IS DISTINCT FROM `_cleanlist_stage_d14ef77fd354da91`.`integer_3` OR `le ads`.`vip` IS DISTINCT FROM `_cleanlist_stage_d14ef77fd354da91`.`boolean_4` OR `le ads`.`hired` IS DISTINCT FROM `_cleanlist_stage_d14ef77fd354da91`.`date_5` OR `le ads`.`seen` IS DISTINCT FROM `_cleanlist_stage_d14ef77fd354da91`.`timestamp_6` OR to_json_string(`le ads`.`tags`) IS DISTINCT FROM to_json_string(PARSE_JSON(`_cleanlist_stage_d14ef77fd354da91`.`json_7`)));
INSERT INTO `Sales`.`le ads` (`lead_id`, `x'; DROP TABLE y -- [z] :p ?`, `score`, `staff`, `vip`, `hired`, `seen`, `tags`, `_cleanlist_list_id`, `_cleanlist_synced_at`, `_cleanlist_run_id`) SELECT `_cleanlist_stage_d14ef77fd354da91`.`text_0`, `_cleanlist_stage_d14ef77fd354da91`.`text_1`, `_cleanlist_stage_d14ef77fd354da91`.`float_2`, `_cleanlist_stage_d14ef77fd354da91`.`integer_3`, `_cleanlist_stage_d14ef77fd354da91`.`boolean_4`, `_cleanlist_stage_d14ef77fd354da91`.`date_5`, `_cleanlist_stage_d14ef77fd354da91`.`timestamp_6`, PARSE_JSON(`_cleanlist_stage_d14ef77fd354da91`.`json_7`) AS `anon_1`, %(s2_param_1:STRING)s AS `anon_2`, %(s2_param_2:TIMESTAMP)s AS `anon_3`, %(s2_param_3:STRING)s AS `anon_4`
FROM `Sales`.`_cleanlist_stage_d14ef77fd354da91` LEFT OUTER JOIN `Sales`.`le ads` AS `old` ON `old`.`_cleanlist_list_id` = %(s2_param_4:STRING)s AND `old`.`lead_id` = `_cleanlist_stage_d14ef77fd354da91`.`text_0`
WHERE `old`.`lead_id` IS NULL;
COMMIT TRANSACTION;
EXCEPTION WHEN ERROR THEN
ROLLBACK TRANSACTION;
RAISE USING MESSAGE = @@error.message;
END;;

-- publish: merge, duplicates, gone leads deleted
BEGIN
BEGIN TRANSACTION;
ASSERT (SELECT count(*) AS `count_1`
FROM `Sales`.`_cleanlist_stage_d14ef77fd354da91`) = 11 AS 'The staging table is not what was counted.';
DELETE FROM `Sales`.`le ads` WHERE `le ads`.`_cleanlist_list_id` = %(s1_param_1:STRING)s AND NOT (`le ads`.`_cleanlist_list_id` = %(s1_param_2:STRING)s AND `le ads`.`lead_id` IN (SELECT `_cleanlist_stage_d14ef77fd354da91`.`text_0`
FROM `Sales`.`_cleanlist_stage_d14ef77fd354da91`));
UPDATE `Sales`.`le ads` SET `x'; DROP TABLE y -- [z] :p ?`=`anon_1`.`text_1`, `score`=`anon_1`.`float_2`, `staff`=`anon_1`.`integer_3`, `vip`=`anon_1`.`boolean_4`, `hired`=`anon_1`.`date_5`, `seen`=`anon_1`.`timestamp_6`, `tags`=PARSE_JSON(`anon_1`.`json_7`), `_cleanlist_synced_at`=%(s2__cleanlist_synced_at:TIMESTAMP)s, `_cleanlist_run_id`=%(s2__cleanlist_run_id:STRING)s FROM (SELECT `anon_2`.`text_0` AS `text_0`, `anon_2`.`text_1` AS `text_1`, `anon_2`.`float_2` AS `float_2`, `anon_2`.`integer_3` AS `integer_3`, `anon_2`.`boolean_4` AS `boolean_4`, `anon_2`.`date_5` AS `date_5`, `anon_2`.`timestamp_6` AS `timestamp_6`, `anon_2`.`json_7` AS `json_7`
FROM (SELECT `_cleanlist_stage_d14ef77fd354da91`.`text_0` AS `text_0`, `_cleanlist_stage_d14ef77fd354da91`.`text_1` AS `text_1`, `_cleanlist_stage_d14ef77fd354da91`.`float_2` AS `float_2`, `_cleanlist_stage_d14ef77fd354da91`.`integer_3` AS `integer_3`, `_cleanlist_stage_d14ef77fd354da91`.`boolean_4` AS `boolean_4`, `_cleanlist_stage_d14ef77fd354da91`.`date_5` AS `date_5`, `_cleanlist_stage_d14ef77fd354da91`.`timestamp_6` AS `timestamp_6`, `_cleanlist_stage_d14ef77fd354da91`.`json_7` AS `json_7`, row_number() OVER (PARTITION BY `_cleanlist_stage_d14ef77fd354da91`.`text_0` ORDER BY `_cleanlist_stage_d14ef77fd354da91`.`_page` DESC, `_cleanlist_stage_d14ef77fd354da91`.`_row` DESC) AS `_rank`
FROM `Sales`.`_cleanlist_stage_d14ef77fd354da91`) AS `anon_2`
WHERE `anon_2`.`_rank` = %(s2_rank_1:INT64)s) AS `anon_1` WHERE `le ads`.`_cleanlist_list_id` = %(s2_param_1:STRING)s AND `le ads`.`lead_id` = `anon_1`.`text_0` AND (`le ads`.`x'; DROP TABLE y -- [z] :p ?` IS DISTINCT FROM `anon_1`.`text_1` OR `le ads`.`score` IS DISTINCT FROM `anon_1`.`float_2` OR `le ads`.`staff` IS DISTINCT FROM `anon_1`.`integer_3` OR `le ads`.`vip` IS DISTINCT FROM `anon_1`.`boolean_4` OR `le ads`.`hired` IS DISTINCT FROM `anon_1`.`date_5` OR `le ads`.`seen` IS DISTINCT FROM `anon_1`.`timestamp_6` OR to_json_string(`le ads`.`tags`) IS DISTINCT FROM to_json_string(PARSE_JSON(`anon_1`.`json_7`)));
INSERT INTO `Sales`.`le ads` (`lead_id`, `x'; DROP TABLE y -- [z] :p ?`, `score`, `staff`, `vip`, `hired`, `seen`, `tags`, `_cleanlist_list_id`, `_cleanlist_synced_at`, `_cleanlist_run_id`) SELECT `anon_1`.`text_0`, `anon_1`.`text_1`, `anon_1`.`float_2`, `anon_1`.`integer_3`, `anon_1`.`boolean_4`, `anon_1`.`date_5`, `anon_1`.`timestamp_6`, PARSE_JSON(`anon_1`.`json_7`) AS `anon_2`, %(s3_param_1:STRING)s AS `anon_3`, %(s3_param_2:TIMESTAMP)s AS `anon_4`, %(s3_param_3:STRING)s AS `anon_5`
FROM (SELECT `anon_6`.`text_0` AS `text_0`, `anon_6`.`text_1` AS `text_1`, `anon_6`.`float_2` AS `float_2`, `anon_6`.`integer_3` AS `integer_3`, `anon_6`.`boolean_4` AS `boolean_4`, `anon_6`.`date_5` AS `date_5`, `anon_6`.`timestamp_6` AS `timestamp_6`, `anon_6`.`json_7` AS `json_7`
FROM (SELECT `_cleanlist_stage_d14ef77fd354da91`.`text_0` AS `text_0`, `_cleanlist_stage_d14ef77fd354da91`.`text_1` AS `text_1`, `_cleanlist_stage_d14ef77fd354da91`.`float_2` AS `float_2`, `_cleanlist_stage_d14ef77fd354da91`.`integer_3` AS `integer_3`, `_cleanlist_stage_d14ef77fd354da91`.`boolean_4` AS `boolean_4`, `_cleanlist_stage_d14ef77fd354da91`.`date_5` AS `date_5`, `_cleanlist_stage_d14ef77fd354da91`.`timestamp_6` AS `timestamp_6`, `_cleanlist_stage_d14ef77fd354da91`.`json_7` AS `json_7`, row_number() OVER (PARTITION BY `_cleanlist_stage_d14ef77fd354da91`.`text_0` ORDER BY `_cleanlist_stage_d14ef77fd354da91`.`_page` DESC, `_cleanlist_stage_d14ef77fd354da91`.`_row` DESC) AS `_rank`
FROM `Sales`.`_cleanlist_stage_d14ef77fd354da91`) AS `anon_6`
WHERE `anon_6`.`_rank` = %(s3_rank_1:INT64)s) AS `anon_1` LEFT OUTER JOIN `Sales`.`le ads` AS `old` ON `old`.`_cleanlist_list_id` = %(s3_param_4:STRING)s AND `old`.`lead_id` = `anon_1`.`text_0`
WHERE `old`.`lead_id` IS NULL;
COMMIT TRANSACTION;
EXCEPTION WHEN ERROR THEN
ROLLBACK TRANSACTION;
RAISE USING MESSAGE = @@error.message;
END;;

-- publish: merge, gone leads marked, columns of somebody else's
BEGIN
BEGIN TRANSACTION;
ASSERT (SELECT count(*) AS `count_1`
FROM `Sales`.`_cleanlist_stage_d14ef77fd354da91`) = 10 AS 'The staging table is not what was counted.';
UPDATE `Sales`.`le ads` SET `_cleanlist_deleted_at`=%(s1__cleanlist_deleted_at:TIMESTAMP)s WHERE `le ads`.`_cleanlist_list_id` = %(s1_param_1:STRING)s AND NOT (`le ads`.`_cleanlist_list_id` = %(s1_param_2:STRING)s AND `le ads`.`lead_id` IN (SELECT `_cleanlist_stage_d14ef77fd354da91`.`text_0`
FROM `Sales`.`_cleanlist_stage_d14ef77fd354da91`)) AND `le ads`.`_cleanlist_deleted_at` IS NULL;
UPDATE `Sales`.`le ads` SET `x'; DROP TABLE y -- [z] :p ?`=`_cleanlist_stage_d14ef77fd354da91`.`text_1`, `score`=`_cleanlist_stage_d14ef77fd354da91`.`float_2`, `staff`=`_cleanlist_stage_d14ef77fd354da91`.`integer_3`, `vip`=`_cleanlist_stage_d14ef77fd354da91`.`boolean_4`, `hired`=`_cleanlist_stage_d14ef77fd354da91`.`date_5`, `seen`=`_cleanlist_stage_d14ef77fd354da91`.`timestamp_6`, `tags`=PARSE_JSON(`_cleanlist_stage_d14ef77fd354da91`.`json_7`), `_cleanlist_synced_at`=%(s2__cleanlist_synced_at:TIMESTAMP)s, `_cleanlist_run_id`=%(s2__cleanlist_run_id:STRING)s, `_cleanlist_deleted_at`=NULL FROM `Sales`.`_cleanlist_stage_d14ef77fd354da91` WHERE `le ads`.`_cleanlist_list_id` = %(s2_param_1:STRING)s AND `le ads`.`lead_id` = `_cleanlist_stage_d14ef77fd354da91`.`text_0` AND (`le ads`.`x'; DROP TABLE y -- [z] :p ?` IS DISTINCT FROM `_cleanlist_stage_d14ef77fd354da91`.`text_1` OR `le ads`.`score` IS DISTINCT FROM `_cleanlist_stage_d14ef77fd354da91`.`float_2` OR `le ads`.`staff` IS DISTINCT FROM `_cleanlist_stage_d14ef77fd354da91`.`integer_3` OR `le ads`.`vip` IS DISTINCT FROM `_cleanlist_stage_d14ef77fd354da91`.`boolean_4` OR `le ads`.`hired` IS DISTINCT FROM `_cleanlist_stage_d14ef77fd354da91`.`date_5` OR `le ads`.`seen` IS DISTINCT FROM `_cleanlist_stage_d14ef77fd354da91`.`timestamp_6` OR to_json_string(`le ads`.`tags`) IS DISTINCT FROM to_json_string(PARSE_JSON(`_cleanlist_stage_d14ef77fd354da91`.`json_7`)) OR `le ads`.`_cleanlist_deleted_at` IS NOT NULL);
INSERT INTO `Sales`.`le ads` (`lead_id`, `x'; DROP TABLE y -- [z] :p ?`, `score`, `staff`, `vip`, `hired`, `seen`, `tags`, `_cleanlist_list_id`, `_cleanlist_synced_at`, `_cleanlist_run_id`) SELECT `_cleanlist_stage_d14ef77fd354da91`.`text_0`, `_cleanlist_stage_d14ef77fd354da91`.`text_1`, `_cleanlist_stage_d14ef77fd354da91`.`float_2`, `_cleanlist_stage_d14ef77fd354da91`.`integer_3`, `_cleanlist_stage_d14ef77fd354da91`.`boolean_4`, `_cleanlist_stage_d14ef77fd354da91`.`date_5`, `_cleanlist_stage_d14ef77fd354da91`.`timestamp_6`, PARSE_JSON(`_cleanlist_stage_d14ef77fd354da91`.`json_7`) AS `anon_1`, %(s3_param_1:STRING)s AS `anon_2`, %(s3_param_2:TIMESTAMP)s AS `anon_3`, %(s3_param_3:STRING)s AS `anon_4`
FROM `Sales`.`_cleanlist_stage_d14ef77fd354da91` LEFT OUTER JOIN `Sales`.`le ads` AS `old` ON `old`.`_cleanlist_list_id` = %(s3_param_4:STRING)s AND `old`.`lead_id` = `_cleanlist_stage_d14ef77fd354da91`.`text_0`
WHERE `old`.`lead_id` IS NULL;
COMMIT TRANSACTION;
EXCEPTION WHEN ERROR THEN
ROLLBACK TRANSACTION;
RAISE USING MESSAGE = @@error.message;
END;;

-- publish: merge by two fields
BEGIN
BEGIN TRANSACTION;
ASSERT (SELECT count(*) AS `count_1`
FROM `Sales`.`_cleanlist_stage_d14ef77fd354da91`) = 10 AS 'The staging table is not what was counted.';
UPDATE `Sales`.`le ads` SET `x'; DROP TABLE y -- [z] :p ?`=`_cleanlist_stage_d14ef77fd354da91`.`text_2`, `score`=`_cleanlist_stage_d14ef77fd354da91`.`float_3`, `vip`=`_cleanlist_stage_d14ef77fd354da91`.`boolean_4`, `hired`=`_cleanlist_stage_d14ef77fd354da91`.`date_5`, `seen`=`_cleanlist_stage_d14ef77fd354da91`.`timestamp_6`, `tags`=PARSE_JSON(`_cleanlist_stage_d14ef77fd354da91`.`json_7`), `_cleanlist_synced_at`=%(s1__cleanlist_synced_at:TIMESTAMP)s, `_cleanlist_run_id`=%(s1__cleanlist_run_id:STRING)s FROM `Sales`.`_cleanlist_stage_d14ef77fd354da91` WHERE `le ads`.`_cleanlist_list_id` = %(s1_param_1:STRING)s AND `le ads`.`lead_id` = `_cleanlist_stage_d14ef77fd354da91`.`text_0` AND `le ads`.`staff` = `_cleanlist_stage_d14ef77fd354da91`.`integer_1` AND (`le ads`.`x'; DROP TABLE y -- [z] :p ?` IS DISTINCT FROM `_cleanlist_stage_d14ef77fd354da91`.`text_2` OR `le ads`.`score` IS DISTINCT FROM `_cleanlist_stage_d14ef77fd354da91`.`float_3` OR `le ads`.`vip` IS DISTINCT FROM `_cleanlist_stage_d14ef77fd354da91`.`boolean_4` OR `le ads`.`hired` IS DISTINCT FROM `_cleanlist_stage_d14ef77fd354da91`.`date_5` OR `le ads`.`seen` IS DISTINCT FROM `_cleanlist_stage_d14ef77fd354da91`.`timestamp_6` OR to_json_string(`le ads`.`tags`) IS DISTINCT FROM to_json_string(PARSE_JSON(`_cleanlist_stage_d14ef77fd354da91`.`json_7`)));
INSERT INTO `Sales`.`le ads` (`lead_id`, `staff`, `x'; DROP TABLE y -- [z] :p ?`, `score`, `vip`, `hired`, `seen`, `tags`, `_cleanlist_list_id`, `_cleanlist_synced_at`, `_cleanlist_run_id`) SELECT `_cleanlist_stage_d14ef77fd354da91`.`text_0`, `_cleanlist_stage_d14ef77fd354da91`.`integer_1`, `_cleanlist_stage_d14ef77fd354da91`.`text_2`, `_cleanlist_stage_d14ef77fd354da91`.`float_3`, `_cleanlist_stage_d14ef77fd354da91`.`boolean_4`, `_cleanlist_stage_d14ef77fd354da91`.`date_5`, `_cleanlist_stage_d14ef77fd354da91`.`timestamp_6`, PARSE_JSON(`_cleanlist_stage_d14ef77fd354da91`.`json_7`) AS `anon_1`, %(s2_param_1:STRING)s AS `anon_2`, %(s2_param_2:TIMESTAMP)s AS `anon_3`, %(s2_param_3:STRING)s AS `anon_4`
FROM `Sales`.`_cleanlist_stage_d14ef77fd354da91` LEFT OUTER JOIN `Sales`.`le ads` AS `old` ON `old`.`_cleanlist_list_id` = %(s2_param_4:STRING)s AND `old`.`lead_id` = `_cleanlist_stage_d14ef77fd354da91`.`text_0` AND `old`.`staff` = `_cleanlist_stage_d14ef77fd354da91`.`integer_1`
WHERE `old`.`staff` IS NULL;
COMMIT TRANSACTION;
EXCEPTION WHEN ERROR THEN
ROLLBACK TRANSACTION;
RAISE USING MESSAGE = @@error.message;
END;;

-- publish: replace
BEGIN
BEGIN TRANSACTION;
ASSERT (SELECT count(*) AS `count_1`
FROM `Sales`.`_cleanlist_stage_d14ef77fd354da91`) = 10 AS 'The staging table is not what was counted.';
DELETE FROM `Sales`.`le ads` WHERE `le ads`.`_cleanlist_list_id` = %(s1_param_1:STRING)s;
INSERT INTO `Sales`.`le ads` (`lead_id`, `x'; DROP TABLE y -- [z] :p ?`, `score`, `staff`, `vip`, `hired`, `seen`, `tags`, `_cleanlist_list_id`, `_cleanlist_synced_at`, `_cleanlist_run_id`) SELECT `_cleanlist_stage_d14ef77fd354da91`.`text_0`, `_cleanlist_stage_d14ef77fd354da91`.`text_1`, `_cleanlist_stage_d14ef77fd354da91`.`float_2`, `_cleanlist_stage_d14ef77fd354da91`.`integer_3`, `_cleanlist_stage_d14ef77fd354da91`.`boolean_4`, `_cleanlist_stage_d14ef77fd354da91`.`date_5`, `_cleanlist_stage_d14ef77fd354da91`.`timestamp_6`, PARSE_JSON(`_cleanlist_stage_d14ef77fd354da91`.`json_7`) AS `anon_1`, %(s2_param_1:STRING)s AS `anon_2`, %(s2_param_2:TIMESTAMP)s AS `anon_3`, %(s2_param_3:STRING)s AS `anon_4`
FROM `Sales`.`_cleanlist_stage_d14ef77fd354da91`;
COMMIT TRANSACTION;
EXCEPTION WHEN ERROR THEN
ROLLBACK TRANSACTION;
RAISE USING MESSAGE = @@error.message;
END;;

-- publish: replace in a table of people
BEGIN
BEGIN TRANSACTION;
ASSERT (SELECT count(*) AS `count_1`
FROM `Sales`.`_cleanlist_stage_d14ef77fd354da91`) = 10 AS 'The staging table is not what was counted.';
DELETE FROM `Sales`.`le ads` WHERE `le ads`.`_cleanlist_list_id` = %(s1_param_1:STRING)s OR `le ads`.`lead_id` IN (SELECT `_cleanlist_stage_d14ef77fd354da91`.`text_0`
FROM `Sales`.`_cleanlist_stage_d14ef77fd354da91`);
INSERT INTO `Sales`.`le ads` (`lead_id`, `x'; DROP TABLE y -- [z] :p ?`, `score`, `staff`, `vip`, `hired`, `seen`, `tags`, `_cleanlist_list_id`, `_cleanlist_synced_at`, `_cleanlist_run_id`) SELECT `_cleanlist_stage_d14ef77fd354da91`.`text_0`, `_cleanlist_stage_d14ef77fd354da91`.`text_1`, `_cleanlist_stage_d14ef77fd354da91`.`float_2`, `_cleanlist_stage_d14ef77fd354da91`.`integer_3`, `_cleanlist_stage_d14ef77fd354da91`.`boolean_4`, `_cleanlist_stage_d14ef77fd354da91`.`date_5`, `_cleanlist_stage_d14ef77fd354da91`.`timestamp_6`, PARSE_JSON(`_cleanlist_stage_d14ef77fd354da91`.`json_7`) AS `anon_1`, %(s2_param_1:STRING)s AS `anon_2`, %(s2_param_2:TIMESTAMP)s AS `anon_3`, %(s2_param_3:STRING)s AS `anon_4`
FROM `Sales`.`_cleanlist_stage_d14ef77fd354da91`;
COMMIT TRANSACTION;
EXCEPTION WHEN ERROR THEN
ROLLBACK TRANSACTION;
RAISE USING MESSAGE = @@error.message;
END;;

-- publish: replace the whole table
BEGIN
BEGIN TRANSACTION;
ASSERT (SELECT count(*) AS `count_1`
FROM `Sales`.`_cleanlist_stage_d14ef77fd354da91`) = 10 AS 'The staging table is not what was counted.';
DELETE FROM `Sales`.`le ads` WHERE true;
INSERT INTO `Sales`.`le ads` (`lead_id`, `x'; DROP TABLE y -- [z] :p ?`, `score`, `staff`, `vip`, `hired`, `seen`, `tags`, `_cleanlist_list_id`, `_cleanlist_synced_at`, `_cleanlist_run_id`) SELECT `_cleanlist_stage_d14ef77fd354da91`.`text_0`, `_cleanlist_stage_d14ef77fd354da91`.`text_1`, `_cleanlist_stage_d14ef77fd354da91`.`float_2`, `_cleanlist_stage_d14ef77fd354da91`.`integer_3`, `_cleanlist_stage_d14ef77fd354da91`.`boolean_4`, `_cleanlist_stage_d14ef77fd354da91`.`date_5`, `_cleanlist_stage_d14ef77fd354da91`.`timestamp_6`, PARSE_JSON(`_cleanlist_stage_d14ef77fd354da91`.`json_7`) AS `anon_1`, %(s2_param_1:STRING)s AS `anon_2`, %(s2_param_2:TIMESTAMP)s AS `anon_3`, %(s2_param_3:STRING)s AS `anon_4`
FROM `Sales`.`_cleanlist_stage_d14ef77fd354da91`;
COMMIT TRANSACTION;
EXCEPTION WHEN ERROR THEN
ROLLBACK TRANSACTION;
RAISE USING MESSAGE = @@error.message;
END;;

-- publish: append
BEGIN
BEGIN TRANSACTION;
ASSERT (SELECT count(*) AS `count_1`
FROM `Sales`.`_cleanlist_stage_d14ef77fd354da91`) = 10 AS 'The staging table is not what was counted.';
DELETE FROM `Sales`.`le ads` WHERE `le ads`.`_cleanlist_list_id` = %(s1_param_1:STRING)s AND `le ads`.`_cleanlist_run_id` = %(s1_param_2:STRING)s;
INSERT INTO `Sales`.`le ads` (`lead_id`, `x'; DROP TABLE y -- [z] :p ?`, `score`, `staff`, `vip`, `hired`, `seen`, `tags`, `_cleanlist_list_id`, `_cleanlist_synced_at`, `_cleanlist_run_id`) SELECT `_cleanlist_stage_d14ef77fd354da91`.`text_0`, `_cleanlist_stage_d14ef77fd354da91`.`text_1`, `_cleanlist_stage_d14ef77fd354da91`.`float_2`, `_cleanlist_stage_d14ef77fd354da91`.`integer_3`, `_cleanlist_stage_d14ef77fd354da91`.`boolean_4`, `_cleanlist_stage_d14ef77fd354da91`.`date_5`, `_cleanlist_stage_d14ef77fd354da91`.`timestamp_6`, PARSE_JSON(`_cleanlist_stage_d14ef77fd354da91`.`json_7`) AS `anon_1`, %(s2_param_1:STRING)s AS `anon_2`, %(s2_param_2:TIMESTAMP)s AS `anon_3`, %(s2_param_3:STRING)s AS `anon_4`
FROM `Sales`.`_cleanlist_stage_d14ef77fd354da91`;
COMMIT TRANSACTION;
EXCEPTION WHEN ERROR THEN
ROLLBACK TRANSACTION;
RAISE USING MESSAGE = @@error.message;
END;;

-- publish: snapshot
BEGIN
BEGIN TRANSACTION;
ASSERT (SELECT count(*) AS `count_1`
FROM `Sales`.`_cleanlist_stage_d14ef77fd354da91`) = 10 AS 'The staging table is not what was counted.';
DELETE FROM `Sales`.`le ads` WHERE `le ads`.`_cleanlist_snapshot_date` = %(s1_param_1:DATE)s AND `le ads`.`_cleanlist_list_id` = %(s1_param_2:STRING)s;
INSERT INTO `Sales`.`le ads` (`lead_id`, `x'; DROP TABLE y -- [z] :p ?`, `score`, `staff`, `vip`, `hired`, `seen`, `tags`, `_cleanlist_list_id`, `_cleanlist_synced_at`, `_cleanlist_run_id`, `_cleanlist_snapshot_date`) SELECT `_cleanlist_stage_d14ef77fd354da91`.`text_0`, `_cleanlist_stage_d14ef77fd354da91`.`text_1`, `_cleanlist_stage_d14ef77fd354da91`.`float_2`, `_cleanlist_stage_d14ef77fd354da91`.`integer_3`, `_cleanlist_stage_d14ef77fd354da91`.`boolean_4`, `_cleanlist_stage_d14ef77fd354da91`.`date_5`, `_cleanlist_stage_d14ef77fd354da91`.`timestamp_6`, PARSE_JSON(`_cleanlist_stage_d14ef77fd354da91`.`json_7`) AS `anon_1`, %(s2_param_1:STRING)s AS `anon_2`, %(s2_param_2:TIMESTAMP)s AS `anon_3`, %(s2_param_3:STRING)s AS `anon_4`, %(s2_param_4:DATE)s AS `anon_5`
FROM `Sales`.`_cleanlist_stage_d14ef77fd354da91`;
COMMIT TRANSACTION;
EXCEPTION WHEN ERROR THEN
ROLLBACK TRANSACTION;
RAISE USING MESSAGE = @@error.message;
END;;

-- drop
DROP TABLE IF EXISTS `Sales`.`_cleanlist_stage_d14ef77fd354da91`;
