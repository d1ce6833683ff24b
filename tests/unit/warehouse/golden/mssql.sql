-- create: loads in flight
CREATE TABLE [Sales]._cleanlist_loads (
	stage VARCHAR(64) NOT NULL,
	list_id NVARCHAR(max) NULL,
	target_table NVARCHAR(max) NULL,
	attempt INTEGER NULL,
	fingerprint VARCHAR(32) NULL,
	updated_at VARCHAR(32) NULL,
	[checkpoint] NVARCHAR(max) NULL,
	PRIMARY KEY (stage)
);

-- create: staging table
CREATE TABLE [Sales]._cleanlist_stage_d14ef77fd354da91 (
	_page INTEGER NULL,
	_row INTEGER NULL,
	text_0 NVARCHAR(220) COLLATE Latin1_General_100_BIN2 NULL,
	text_1 NVARCHAR(max) NULL,
	float_2 FLOAT(53) NULL,
	integer_3 BIGINT NULL,
	boolean_4 BIT NULL,
	date_5 DATE NULL,
	timestamp_6 DATETIMEOFFSET NULL,
	json_7 NVARCHAR(max) NULL
);

-- create: target
CREATE TABLE [Sales].[le ads] (
	lead_id NVARCHAR(220) COLLATE Latin1_General_100_BIN2 NOT NULL,
	[x'; DROP TABLE "y" -- [z]] :p ?] NVARCHAR(max) NULL,
	score FLOAT(53) NULL,
	staff BIGINT NULL,
	vip BIT NULL,
	hired DATE NULL,
	seen DATETIMEOFFSET NULL,
	tags NVARCHAR(max) NULL,
	_cleanlist_list_id NVARCHAR(220) COLLATE Latin1_General_100_BIN2 NOT NULL,
	_cleanlist_synced_at DATETIMEOFFSET NULL,
	_cleanlist_run_id NVARCHAR(max) NULL,
	PRIMARY KEY (_cleanlist_list_id, lead_id)
);

-- add columns
ALTER TABLE [Sales].[le ads] ADD lead_id NVARCHAR(220) COLLATE Latin1_General_100_BIN2 NULL;
ALTER TABLE [Sales].[le ads] ADD [x'; DROP TABLE "y" -- [z]] :p ?] NVARCHAR(max) NULL;
ALTER TABLE [Sales].[le ads] ADD score FLOAT(53) NULL;
ALTER TABLE [Sales].[le ads] ADD staff BIGINT NULL;
ALTER TABLE [Sales].[le ads] ADD vip BIT NULL;
ALTER TABLE [Sales].[le ads] ADD hired DATE NULL;
ALTER TABLE [Sales].[le ads] ADD seen DATETIMEOFFSET NULL;
ALTER TABLE [Sales].[le ads] ADD tags NVARCHAR(max) NULL;
ALTER TABLE [Sales].[le ads] ADD _cleanlist_list_id NVARCHAR(220) COLLATE Latin1_General_100_BIN2 NULL;
ALTER TABLE [Sales].[le ads] ADD _cleanlist_synced_at DATETIMEOFFSET NULL;
ALTER TABLE [Sales].[le ads] ADD _cleanlist_run_id NVARCHAR(max) NULL;

-- stage: rows
INSERT INTO [Sales]._cleanlist_stage_d14ef77fd354da91 (_page, _row, text_0, text_1, float_2, integer_3, boolean_4, date_5, timestamp_6, json_7) VALUES (%(_page)s, %(_row)s, %(text_0)s, %(text_1)s, %(float_2)s, %(integer_3)s, %(boolean_4)s, %(date_5)s, %(timestamp_6)s, %(json_7)s);

-- checkpoint
UPDATE [Sales]._cleanlist_loads SET attempt=%(attempt)s, [checkpoint]=%(checkpoint)s WHERE [Sales]._cleanlist_loads.stage = %(stage_1)s AND [Sales]._cleanlist_loads.attempt = %(attempt_1)s;

-- lock
SELECT [Sales]._cleanlist_loads.fingerprint
FROM [Sales]._cleanlist_loads
WHERE [Sales]._cleanlist_loads.stage = %(stage_1)s;
SET NOCOUNT ON; DECLARE @answer int; EXEC @answer = sp_getapplock @Resource = %(name)s, @LockMode = 'Exclusive', @LockOwner = 'Transaction', @LockTimeout = 600000; SELECT @answer;

-- publish: merge
UPDATE [Sales].[le ads] SET [x'; DROP TABLE "y" -- [z]] :p ?]=[Sales]._cleanlist_stage_d14ef77fd354da91.text_1, score=[Sales]._cleanlist_stage_d14ef77fd354da91.float_2, staff=[Sales]._cleanlist_stage_d14ef77fd354da91.integer_3, vip=[Sales]._cleanlist_stage_d14ef77fd354da91.boolean_4, hired=[Sales]._cleanlist_stage_d14ef77fd354da91.date_5, seen=[Sales]._cleanlist_stage_d14ef77fd354da91.timestamp_6, tags=[Sales]._cleanlist_stage_d14ef77fd354da91.json_7, _cleanlist_synced_at=%(_cleanlist_synced_at)s, _cleanlist_run_id=%(_cleanlist_run_id)s FROM [Sales].[le ads], [Sales]._cleanlist_stage_d14ef77fd354da91 WHERE [Sales].[le ads]._cleanlist_list_id = %(param_1)s AND [Sales].[le ads].lead_id = [Sales]._cleanlist_stage_d14ef77fd354da91.text_0 AND (CAST(CAST([Sales].[le ads].[x'; DROP TABLE "y" -- [z]] :p ?] AS NVARCHAR(max)) AS VARBINARY(max)) != CAST(CAST([Sales]._cleanlist_stage_d14ef77fd354da91.text_1 AS NVARCHAR(max)) AS VARBINARY(max)) OR [Sales].[le ads].[x'; DROP TABLE "y" -- [z]] :p ?] IS NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.text_1 IS NOT NULL OR [Sales].[le ads].[x'; DROP TABLE "y" -- [z]] :p ?] IS NOT NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.text_1 IS NULL OR [Sales].[le ads].score != [Sales]._cleanlist_stage_d14ef77fd354da91.float_2 OR [Sales].[le ads].score IS NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.float_2 IS NOT NULL OR [Sales].[le ads].score IS NOT NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.float_2 IS NULL OR [Sales].[le ads].staff != [Sales]._cleanlist_stage_d14ef77fd354da91.integer_3 OR [Sales].[le ads].staff IS NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.integer_3 IS NOT NULL OR [Sales].[le ads].staff IS NOT NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.integer_3 IS NULL OR [Sales].[le ads].vip != [Sales]._cleanlist_stage_d14ef77fd354da91.boolean_4 OR [Sales].[le ads].vip IS NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.boolean_4 IS NOT NULL OR [Sales].[le ads].vip IS NOT NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.boolean_4 IS NULL OR [Sales].[le ads].hired != [Sales]._cleanlist_stage_d14ef77fd354da91.date_5 OR [Sales].[le ads].hired IS NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.date_5 IS NOT NULL OR [Sales].[le ads].hired IS NOT NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.date_5 IS NULL OR [Sales].[le ads].seen != [Sales]._cleanlist_stage_d14ef77fd354da91.timestamp_6 OR [Sales].[le ads].seen IS NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.timestamp_6 IS NOT NULL OR [Sales].[le ads].seen IS NOT NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.timestamp_6 IS NULL OR CAST(CAST([Sales].[le ads].tags AS NVARCHAR(max)) AS VARBINARY(max)) != CAST(CAST([Sales]._cleanlist_stage_d14ef77fd354da91.json_7 AS NVARCHAR(max)) AS VARBINARY(max)) OR [Sales].[le ads].tags IS NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.json_7 IS NOT NULL OR [Sales].[le ads].tags IS NOT NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.json_7 IS NULL);
INSERT INTO [Sales].[le ads] (lead_id, [x'; DROP TABLE "y" -- [z]] :p ?], score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) SELECT [Sales]._cleanlist_stage_d14ef77fd354da91.text_0, [Sales]._cleanlist_stage_d14ef77fd354da91.text_1, [Sales]._cleanlist_stage_d14ef77fd354da91.float_2, [Sales]._cleanlist_stage_d14ef77fd354da91.integer_3, [Sales]._cleanlist_stage_d14ef77fd354da91.boolean_4, [Sales]._cleanlist_stage_d14ef77fd354da91.date_5, [Sales]._cleanlist_stage_d14ef77fd354da91.timestamp_6, [Sales]._cleanlist_stage_d14ef77fd354da91.json_7 AS anon_1, %(param_1)s AS anon_2, %(param_2)s AS anon_3, %(param_3)s AS anon_4
FROM [Sales]._cleanlist_stage_d14ef77fd354da91 LEFT OUTER JOIN [Sales].[le ads] AS old ON old._cleanlist_list_id = %(param_4)s AND old.lead_id = [Sales]._cleanlist_stage_d14ef77fd354da91.text_0
WHERE old.lead_id IS NULL;

-- publish: merge, duplicates, gone leads deleted
DELETE FROM [Sales].[le ads] WHERE [Sales].[le ads]._cleanlist_list_id = %(param_1)s AND NOT ([Sales].[le ads]._cleanlist_list_id = %(param_2)s AND [Sales].[le ads].lead_id IN (SELECT [Sales]._cleanlist_stage_d14ef77fd354da91.text_0
FROM [Sales]._cleanlist_stage_d14ef77fd354da91));
UPDATE [Sales].[le ads] SET [x'; DROP TABLE "y" -- [z]] :p ?]=anon_1.text_1, score=anon_1.float_2, staff=anon_1.integer_3, vip=anon_1.boolean_4, hired=anon_1.date_5, seen=anon_1.timestamp_6, tags=anon_1.json_7, _cleanlist_synced_at=%(_cleanlist_synced_at)s, _cleanlist_run_id=%(_cleanlist_run_id)s FROM [Sales].[le ads], (SELECT anon_2.text_0 AS text_0, anon_2.text_1 AS text_1, anon_2.float_2 AS float_2, anon_2.integer_3 AS integer_3, anon_2.boolean_4 AS boolean_4, anon_2.date_5 AS date_5, anon_2.timestamp_6 AS timestamp_6, anon_2.json_7 AS json_7
FROM (SELECT [Sales]._cleanlist_stage_d14ef77fd354da91.text_0 AS text_0, [Sales]._cleanlist_stage_d14ef77fd354da91.text_1 AS text_1, [Sales]._cleanlist_stage_d14ef77fd354da91.float_2 AS float_2, [Sales]._cleanlist_stage_d14ef77fd354da91.integer_3 AS integer_3, [Sales]._cleanlist_stage_d14ef77fd354da91.boolean_4 AS boolean_4, [Sales]._cleanlist_stage_d14ef77fd354da91.date_5 AS date_5, [Sales]._cleanlist_stage_d14ef77fd354da91.timestamp_6 AS timestamp_6, [Sales]._cleanlist_stage_d14ef77fd354da91.json_7 AS json_7, row_number() OVER (PARTITION BY [Sales]._cleanlist_stage_d14ef77fd354da91.text_0 ORDER BY [Sales]._cleanlist_stage_d14ef77fd354da91._page DESC, [Sales]._cleanlist_stage_d14ef77fd354da91._row DESC) AS _rank
FROM [Sales]._cleanlist_stage_d14ef77fd354da91) AS anon_2
WHERE anon_2._rank = %(rank_1)s) AS anon_1 WHERE [Sales].[le ads]._cleanlist_list_id = %(param_1)s AND [Sales].[le ads].lead_id = anon_1.text_0 AND (CAST(CAST([Sales].[le ads].[x'; DROP TABLE "y" -- [z]] :p ?] AS NVARCHAR(max)) AS VARBINARY(max)) != CAST(CAST(anon_1.text_1 AS NVARCHAR(max)) AS VARBINARY(max)) OR [Sales].[le ads].[x'; DROP TABLE "y" -- [z]] :p ?] IS NULL AND anon_1.text_1 IS NOT NULL OR [Sales].[le ads].[x'; DROP TABLE "y" -- [z]] :p ?] IS NOT NULL AND anon_1.text_1 IS NULL OR [Sales].[le ads].score != anon_1.float_2 OR [Sales].[le ads].score IS NULL AND anon_1.float_2 IS NOT NULL OR [Sales].[le ads].score IS NOT NULL AND anon_1.float_2 IS NULL OR [Sales].[le ads].staff != anon_1.integer_3 OR [Sales].[le ads].staff IS NULL AND anon_1.integer_3 IS NOT NULL OR [Sales].[le ads].staff IS NOT NULL AND anon_1.integer_3 IS NULL OR [Sales].[le ads].vip != anon_1.boolean_4 OR [Sales].[le ads].vip IS NULL AND anon_1.boolean_4 IS NOT NULL OR [Sales].[le ads].vip IS NOT NULL AND anon_1.boolean_4 IS NULL OR [Sales].[le ads].hired != anon_1.date_5 OR [Sales].[le ads].hired IS NULL AND anon_1.date_5 IS NOT NULL OR [Sales].[le ads].hired IS NOT NULL AND anon_1.date_5 IS NULL OR [Sales].[le ads].seen != anon_1.timestamp_6 OR [Sales].[le ads].seen IS NULL AND anon_1.timestamp_6 IS NOT NULL OR [Sales].[le ads].seen IS NOT NULL AND anon_1.timestamp_6 IS NULL OR CAST(CAST([Sales].[le ads].tags AS NVARCHAR(max)) AS VARBINARY(max)) != CAST(CAST(anon_1.json_7 AS NVARCHAR(max)) AS VARBINARY(max)) OR [Sales].[le ads].tags IS NULL AND anon_1.json_7 IS NOT NULL OR [Sales].[le ads].tags IS NOT NULL AND anon_1.json_7 IS NULL);
INSERT INTO [Sales].[le ads] (lead_id, [x'; DROP TABLE "y" -- [z]] :p ?], score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) SELECT anon_1.text_0, anon_1.text_1, anon_1.float_2, anon_1.integer_3, anon_1.boolean_4, anon_1.date_5, anon_1.timestamp_6, anon_1.json_7 AS anon_2, %(param_1)s AS anon_3, %(param_2)s AS anon_4, %(param_3)s AS anon_5
FROM (SELECT anon_6.text_0 AS text_0, anon_6.text_1 AS text_1, anon_6.float_2 AS float_2, anon_6.integer_3 AS integer_3, anon_6.boolean_4 AS boolean_4, anon_6.date_5 AS date_5, anon_6.timestamp_6 AS timestamp_6, anon_6.json_7 AS json_7
FROM (SELECT [Sales]._cleanlist_stage_d14ef77fd354da91.text_0 AS text_0, [Sales]._cleanlist_stage_d14ef77fd354da91.text_1 AS text_1, [Sales]._cleanlist_stage_d14ef77fd354da91.float_2 AS float_2, [Sales]._cleanlist_stage_d14ef77fd354da91.integer_3 AS integer_3, [Sales]._cleanlist_stage_d14ef77fd354da91.boolean_4 AS boolean_4, [Sales]._cleanlist_stage_d14ef77fd354da91.date_5 AS date_5, [Sales]._cleanlist_stage_d14ef77fd354da91.timestamp_6 AS timestamp_6, [Sales]._cleanlist_stage_d14ef77fd354da91.json_7 AS json_7, row_number() OVER (PARTITION BY [Sales]._cleanlist_stage_d14ef77fd354da91.text_0 ORDER BY [Sales]._cleanlist_stage_d14ef77fd354da91._page DESC, [Sales]._cleanlist_stage_d14ef77fd354da91._row DESC) AS _rank
FROM [Sales]._cleanlist_stage_d14ef77fd354da91) AS anon_6
WHERE anon_6._rank = %(rank_1)s) AS anon_1 LEFT OUTER JOIN [Sales].[le ads] AS old ON old._cleanlist_list_id = %(param_4)s AND old.lead_id = anon_1.text_0
WHERE old.lead_id IS NULL;

-- publish: merge, gone leads marked, columns of somebody else's
UPDATE [Sales].[le ads] SET _cleanlist_deleted_at=%(_cleanlist_deleted_at)s WHERE [Sales].[le ads]._cleanlist_list_id = %(param_1)s AND NOT ([Sales].[le ads]._cleanlist_list_id = %(param_2)s AND [Sales].[le ads].lead_id IN (SELECT [Sales]._cleanlist_stage_d14ef77fd354da91.text_0
FROM [Sales]._cleanlist_stage_d14ef77fd354da91)) AND [Sales].[le ads]._cleanlist_deleted_at IS NULL;
UPDATE [Sales].[le ads] SET [x'; DROP TABLE "y" -- [z]] :p ?]=[Sales]._cleanlist_stage_d14ef77fd354da91.text_1, score=[Sales]._cleanlist_stage_d14ef77fd354da91.float_2, staff=[Sales]._cleanlist_stage_d14ef77fd354da91.integer_3, vip=[Sales]._cleanlist_stage_d14ef77fd354da91.boolean_4, hired=[Sales]._cleanlist_stage_d14ef77fd354da91.date_5, seen=[Sales]._cleanlist_stage_d14ef77fd354da91.timestamp_6, tags=[Sales]._cleanlist_stage_d14ef77fd354da91.json_7, _cleanlist_synced_at=%(_cleanlist_synced_at)s, _cleanlist_run_id=%(_cleanlist_run_id)s, _cleanlist_deleted_at=NULL FROM [Sales].[le ads], [Sales]._cleanlist_stage_d14ef77fd354da91 WHERE [Sales].[le ads]._cleanlist_list_id = %(param_1)s AND [Sales].[le ads].lead_id = [Sales]._cleanlist_stage_d14ef77fd354da91.text_0 AND (CAST(CAST([Sales].[le ads].[x'; DROP TABLE "y" -- [z]] :p ?] AS NVARCHAR(max)) AS VARBINARY(max)) != CAST(CAST([Sales]._cleanlist_stage_d14ef77fd354da91.text_1 AS NVARCHAR(max)) AS VARBINARY(max)) OR [Sales].[le ads].[x'; DROP TABLE "y" -- [z]] :p ?] IS NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.text_1 IS NOT NULL OR [Sales].[le ads].[x'; DROP TABLE "y" -- [z]] :p ?] IS NOT NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.text_1 IS NULL OR [Sales].[le ads].score != [Sales]._cleanlist_stage_d14ef77fd354da91.float_2 OR [Sales].[le ads].score IS NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.float_2 IS NOT NULL OR [Sales].[le ads].score IS NOT NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.float_2 IS NULL OR [Sales].[le ads].staff != [Sales]._cleanlist_stage_d14ef77fd354da91.integer_3 OR [Sales].[le ads].staff IS NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.integer_3 IS NOT NULL OR [Sales].[le ads].staff IS NOT NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.integer_3 IS NULL OR [Sales].[le ads].vip != [Sales]._cleanlist_stage_d14ef77fd354da91.boolean_4 OR [Sales].[le ads].vip IS NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.boolean_4 IS NOT NULL OR [Sales].[le ads].vip IS NOT NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.boolean_4 IS NULL OR [Sales].[le ads].hired != [Sales]._cleanlist_stage_d14ef77fd354da91.date_5 OR [Sales].[le ads].hired IS NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.date_5 IS NOT NULL OR [Sales].[le ads].hired IS NOT NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.date_5 IS NULL OR [Sales].[le ads].seen != [Sales]._cleanlist_stage_d14ef77fd354da91.timestamp_6 OR [Sales].[le ads].seen IS NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.timestamp_6 IS NOT NULL OR [Sales].[le ads].seen IS NOT NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.timestamp_6 IS NULL OR CAST(CAST([Sales].[le ads].tags AS NVARCHAR(max)) AS VARBINARY(max)) != CAST(CAST([Sales]._cleanlist_stage_d14ef77fd354da91.json_7 AS NVARCHAR(max)) AS VARBINARY(max)) OR [Sales].[le ads].tags IS NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.json_7 IS NOT NULL OR [Sales].[le ads].tags IS NOT NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.json_7 IS NULL OR [Sales].[le ads]._cleanlist_deleted_at IS NOT NULL);
INSERT INTO [Sales].[le ads] (lead_id, [x'; DROP TABLE "y" -- [z]] :p ?], score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) SELECT [Sales]._cleanlist_stage_d14ef77fd354da91.text_0, [Sales]._cleanlist_stage_d14ef77fd354da91.text_1, [Sales]._cleanlist_stage_d14ef77fd354da91.float_2, [Sales]._cleanlist_stage_d14ef77fd354da91.integer_3, [Sales]._cleanlist_stage_d14ef77fd354da91.boolean_4, [Sales]._cleanlist_stage_d14ef77fd354da91.date_5, [Sales]._cleanlist_stage_d14ef77fd354da91.timestamp_6, [Sales]._cleanlist_stage_d14ef77fd354da91.json_7 AS anon_1, %(param_1)s AS anon_2, %(param_2)s AS anon_3, %(param_3)s AS anon_4
FROM [Sales]._cleanlist_stage_d14ef77fd354da91 LEFT OUTER JOIN [Sales].[le ads] AS old ON old._cleanlist_list_id = %(param_4)s AND old.lead_id = [Sales]._cleanlist_stage_d14ef77fd354da91.text_0
WHERE old.lead_id IS NULL;

-- publish: merge by two fields
UPDATE [Sales].[le ads] SET [x'; DROP TABLE "y" -- [z]] :p ?]=[Sales]._cleanlist_stage_d14ef77fd354da91.text_2, score=[Sales]._cleanlist_stage_d14ef77fd354da91.float_3, vip=[Sales]._cleanlist_stage_d14ef77fd354da91.boolean_4, hired=[Sales]._cleanlist_stage_d14ef77fd354da91.date_5, seen=[Sales]._cleanlist_stage_d14ef77fd354da91.timestamp_6, tags=[Sales]._cleanlist_stage_d14ef77fd354da91.json_7, _cleanlist_synced_at=%(_cleanlist_synced_at)s, _cleanlist_run_id=%(_cleanlist_run_id)s FROM [Sales].[le ads], [Sales]._cleanlist_stage_d14ef77fd354da91 WHERE [Sales].[le ads]._cleanlist_list_id = %(param_1)s AND [Sales].[le ads].lead_id = [Sales]._cleanlist_stage_d14ef77fd354da91.text_0 AND [Sales].[le ads].staff = [Sales]._cleanlist_stage_d14ef77fd354da91.integer_1 AND (CAST(CAST([Sales].[le ads].[x'; DROP TABLE "y" -- [z]] :p ?] AS NVARCHAR(max)) AS VARBINARY(max)) != CAST(CAST([Sales]._cleanlist_stage_d14ef77fd354da91.text_2 AS NVARCHAR(max)) AS VARBINARY(max)) OR [Sales].[le ads].[x'; DROP TABLE "y" -- [z]] :p ?] IS NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.text_2 IS NOT NULL OR [Sales].[le ads].[x'; DROP TABLE "y" -- [z]] :p ?] IS NOT NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.text_2 IS NULL OR [Sales].[le ads].score != [Sales]._cleanlist_stage_d14ef77fd354da91.float_3 OR [Sales].[le ads].score IS NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.float_3 IS NOT NULL OR [Sales].[le ads].score IS NOT NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.float_3 IS NULL OR [Sales].[le ads].vip != [Sales]._cleanlist_stage_d14ef77fd354da91.boolean_4 OR [Sales].[le ads].vip IS NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.boolean_4 IS NOT NULL OR [Sales].[le ads].vip IS NOT NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.boolean_4 IS NULL OR [Sales].[le ads].hired != [Sales]._cleanlist_stage_d14ef77fd354da91.date_5 OR [Sales].[le ads].hired IS NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.date_5 IS NOT NULL OR [Sales].[le ads].hired IS NOT NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.date_5 IS NULL OR [Sales].[le ads].seen != [Sales]._cleanlist_stage_d14ef77fd354da91.timestamp_6 OR [Sales].[le ads].seen IS NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.timestamp_6 IS NOT NULL OR [Sales].[le ads].seen IS NOT NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.timestamp_6 IS NULL OR CAST(CAST([Sales].[le ads].tags AS NVARCHAR(max)) AS VARBINARY(max)) != CAST(CAST([Sales]._cleanlist_stage_d14ef77fd354da91.json_7 AS NVARCHAR(max)) AS VARBINARY(max)) OR [Sales].[le ads].tags IS NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.json_7 IS NOT NULL OR [Sales].[le ads].tags IS NOT NULL AND [Sales]._cleanlist_stage_d14ef77fd354da91.json_7 IS NULL);
INSERT INTO [Sales].[le ads] (lead_id, staff, [x'; DROP TABLE "y" -- [z]] :p ?], score, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) SELECT [Sales]._cleanlist_stage_d14ef77fd354da91.text_0, [Sales]._cleanlist_stage_d14ef77fd354da91.integer_1, [Sales]._cleanlist_stage_d14ef77fd354da91.text_2, [Sales]._cleanlist_stage_d14ef77fd354da91.float_3, [Sales]._cleanlist_stage_d14ef77fd354da91.boolean_4, [Sales]._cleanlist_stage_d14ef77fd354da91.date_5, [Sales]._cleanlist_stage_d14ef77fd354da91.timestamp_6, [Sales]._cleanlist_stage_d14ef77fd354da91.json_7 AS anon_1, %(param_1)s AS anon_2, %(param_2)s AS anon_3, %(param_3)s AS anon_4
FROM [Sales]._cleanlist_stage_d14ef77fd354da91 LEFT OUTER JOIN [Sales].[le ads] AS old ON old._cleanlist_list_id = %(param_4)s AND old.lead_id = [Sales]._cleanlist_stage_d14ef77fd354da91.text_0 AND old.staff = [Sales]._cleanlist_stage_d14ef77fd354da91.integer_1
WHERE old.staff IS NULL;

-- publish: replace
DELETE FROM [Sales].[le ads] WHERE [Sales].[le ads]._cleanlist_list_id = %(param_1)s;
INSERT INTO [Sales].[le ads] (lead_id, [x'; DROP TABLE "y" -- [z]] :p ?], score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) SELECT [Sales]._cleanlist_stage_d14ef77fd354da91.text_0, [Sales]._cleanlist_stage_d14ef77fd354da91.text_1, [Sales]._cleanlist_stage_d14ef77fd354da91.float_2, [Sales]._cleanlist_stage_d14ef77fd354da91.integer_3, [Sales]._cleanlist_stage_d14ef77fd354da91.boolean_4, [Sales]._cleanlist_stage_d14ef77fd354da91.date_5, [Sales]._cleanlist_stage_d14ef77fd354da91.timestamp_6, [Sales]._cleanlist_stage_d14ef77fd354da91.json_7 AS anon_1, %(param_1)s AS anon_2, %(param_2)s AS anon_3, %(param_3)s AS anon_4
FROM [Sales]._cleanlist_stage_d14ef77fd354da91;

-- publish: replace in a table of people
DELETE FROM [Sales].[le ads] WHERE [Sales].[le ads]._cleanlist_list_id = %(param_1)s OR [Sales].[le ads].lead_id IN (SELECT [Sales]._cleanlist_stage_d14ef77fd354da91.text_0
FROM [Sales]._cleanlist_stage_d14ef77fd354da91);
INSERT INTO [Sales].[le ads] (lead_id, [x'; DROP TABLE "y" -- [z]] :p ?], score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) SELECT [Sales]._cleanlist_stage_d14ef77fd354da91.text_0, [Sales]._cleanlist_stage_d14ef77fd354da91.text_1, [Sales]._cleanlist_stage_d14ef77fd354da91.float_2, [Sales]._cleanlist_stage_d14ef77fd354da91.integer_3, [Sales]._cleanlist_stage_d14ef77fd354da91.boolean_4, [Sales]._cleanlist_stage_d14ef77fd354da91.date_5, [Sales]._cleanlist_stage_d14ef77fd354da91.timestamp_6, [Sales]._cleanlist_stage_d14ef77fd354da91.json_7 AS anon_1, %(param_1)s AS anon_2, %(param_2)s AS anon_3, %(param_3)s AS anon_4
FROM [Sales]._cleanlist_stage_d14ef77fd354da91;

-- publish: replace the whole table
DELETE FROM [Sales].[le ads];
INSERT INTO [Sales].[le ads] (lead_id, [x'; DROP TABLE "y" -- [z]] :p ?], score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) SELECT [Sales]._cleanlist_stage_d14ef77fd354da91.text_0, [Sales]._cleanlist_stage_d14ef77fd354da91.text_1, [Sales]._cleanlist_stage_d14ef77fd354da91.float_2, [Sales]._cleanlist_stage_d14ef77fd354da91.integer_3, [Sales]._cleanlist_stage_d14ef77fd354da91.boolean_4, [Sales]._cleanlist_stage_d14ef77fd354da91.date_5, [Sales]._cleanlist_stage_d14ef77fd354da91.timestamp_6, [Sales]._cleanlist_stage_d14ef77fd354da91.json_7 AS anon_1, %(param_1)s AS anon_2, %(param_2)s AS anon_3, %(param_3)s AS anon_4
FROM [Sales]._cleanlist_stage_d14ef77fd354da91;

-- publish: append
DELETE FROM [Sales].[le ads] WHERE [Sales].[le ads]._cleanlist_list_id = %(param_1)s AND [Sales].[le ads]._cleanlist_run_id = %(param_2)s;
INSERT INTO [Sales].[le ads] (lead_id, [x'; DROP TABLE "y" -- [z]] :p ?], score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id) SELECT [Sales]._cleanlist_stage_d14ef77fd354da91.text_0, [Sales]._cleanlist_stage_d14ef77fd354da91.text_1, [Sales]._cleanlist_stage_d14ef77fd354da91.float_2, [Sales]._cleanlist_stage_d14ef77fd354da91.integer_3, [Sales]._cleanlist_stage_d14ef77fd354da91.boolean_4, [Sales]._cleanlist_stage_d14ef77fd354da91.date_5, [Sales]._cleanlist_stage_d14ef77fd354da91.timestamp_6, [Sales]._cleanlist_stage_d14ef77fd354da91.json_7 AS anon_1, %(param_1)s AS anon_2, %(param_2)s AS anon_3, %(param_3)s AS anon_4
FROM [Sales]._cleanlist_stage_d14ef77fd354da91;

-- publish: snapshot
DELETE FROM [Sales].[le ads] WHERE [Sales].[le ads]._cleanlist_snapshot_date = %(param_1)s AND [Sales].[le ads]._cleanlist_list_id = %(param_2)s;
INSERT INTO [Sales].[le ads] (lead_id, [x'; DROP TABLE "y" -- [z]] :p ?], score, staff, vip, hired, seen, tags, _cleanlist_list_id, _cleanlist_synced_at, _cleanlist_run_id, _cleanlist_snapshot_date) SELECT [Sales]._cleanlist_stage_d14ef77fd354da91.text_0, [Sales]._cleanlist_stage_d14ef77fd354da91.text_1, [Sales]._cleanlist_stage_d14ef77fd354da91.float_2, [Sales]._cleanlist_stage_d14ef77fd354da91.integer_3, [Sales]._cleanlist_stage_d14ef77fd354da91.boolean_4, [Sales]._cleanlist_stage_d14ef77fd354da91.date_5, [Sales]._cleanlist_stage_d14ef77fd354da91.timestamp_6, [Sales]._cleanlist_stage_d14ef77fd354da91.json_7 AS anon_1, %(param_1)s AS anon_2, %(param_2)s AS anon_3, %(param_3)s AS anon_4, %(param_4)s AS anon_5
FROM [Sales]._cleanlist_stage_d14ef77fd354da91;

-- drop
DROP TABLE IF EXISTS [Sales]._cleanlist_stage_d14ef77fd354da91;
