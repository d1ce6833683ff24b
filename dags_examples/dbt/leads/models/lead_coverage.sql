{{ config(materialized="table") }}

SELECT
    CASE
        WHEN email IS NOT NULL AND phone IS NOT NULL THEN 'email and phone'
        WHEN email IS NOT NULL THEN 'email'
        WHEN phone IS NOT NULL THEN 'phone'
        ELSE 'nothing'
    END AS found,
    COUNT(*) AS contacts
FROM {{ source("cleanlist", "cleanlist_leads") }}
GROUP BY 1
