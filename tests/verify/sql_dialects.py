"""SQL of other databases among SQLite's own: most of it sqlglot would translate, silently.

``{0}`` in a form stands for an operand.
"""

_FORMS = """
LEN({0}) | length({0}) | UCASE({0}) | upper({0}) | SUBSTRING({0}, 1, 2) | substr({0}, 1, 2)
LEFT({0}, 1) | SUBSTRING({0} FROM 1 FOR 2) | MID({0}, 1, 2) | ifnull({0}, 1) | NVL({0}, 1)
ISNULL({0}, 1) | coalesce({0}) | coalesce({0}, 1) | iif({0}, 1, 2) | IF({0}, 1, 2) | nullif({0}, 41)
date({0}) | DATE '2020-01-02' | DATE(name) | YEAR({0}) | MONTH({0}) | strftime('%Y', {0})
DATE_FORMAT({0}, '%Y') | TO_CHAR({0}, 'YYYY') | datetime({0}) | DATEDIFF({0}, {0})
DATE_ADD({0}, INTERVAL 1 DAY) | EXTRACT(YEAR FROM {0}) | DATE_TRUNC('month', {0}) | NOW() | GETDATE()
TIMESTAMP({0}) | CURRENT_TIMESTAMP() | julianday({0}) | unixepoch({0}) | {0}::int | {0}::text
CONVERT({0}, CHAR) | TRY_CAST({0} AS INT) | SAFE_CAST({0} AS INT) | concat({0}, 'a') | {0} || 'a'
'a' 'b' | instr({0}, 'a') | STRPOS({0}, 'a') | LOCATE('a', {0}) | CHARINDEX('a', {0})
POSITION('a' IN {0}) | trim({0}) | TRIM(BOTH 'A' FROM {0}) | max({0}, 1) | GREATEST({0}, 1)
LEAST({0}, 1) | mod({0}, 7) | {0} % 7 | {0} DIV 7 | power({0}, 2) | pow({0}, 2) | {0} ^ 2 | {0} ** 2
ceil({0}) | CEILING({0}) | TRUNC({0}) | log({0}) | log(2, {0}) | log10({0}) | LOG2({0}) | ln({0})
char(65) | CHR(65) | ASCII({0}) | unicode({0}) | printf('%d', {0}) | format('%d', {0}) | RAND()
REGEXP_LIKE({0}, 'A') | {0} RLIKE 'A' | {0} ILIKE 'a%' | {0} LIKE 'a%' | LIKE('a%', {0})
glob('A*', {0}) | {0} SIMILAR TO 'A' | {0} ~ 'A' | {0} <=> 1 | {0} IS DISTINCT FROM 1
{0} IS NOT DISTINCT FROM 1 | {0} && 1 | {0} XOR 1 | ! {0} | NOT {0} | {0} IS TRUE | {0} IS NOT FALSE
{0} IS UNKNOWN | {0} ISNULL | {0} NOTNULL | {0} NOT NULL | +{0} | -{0} | ~{0} | {0} -> '$'
'{{"a": 1}}' -> 'a' | '{{"a": 1}}' ->> '$.a' | json_extract('[1]', '$[0]') | JSON_VALUE('[1]', '$[0]')
json_array({0}) | ARRAY[1, 2] | ROW(1, 2) | (1, 2) = ({0}, 2) | STRUCT(1) | TRUE | 0x1F | .5 | 1.
1e3-1e2 | x'41' | N'a' | E'a\\n' | CAST({0} AS INT) | CAST({0} AS FLOAT) | CAST({0} AS DECIMAL)
CAST({0} AS NUMERIC(10, 2)) | CAST({0} AS STRING) | CAST({0} AS DATE) | CAST({0} AS DATETIME)
CAST({0} AS TIMESTAMP) | CAST({0} AS BOOLEAN) | CAST({0} AS VARCHAR(2)) | CAST({0} AS SIGNED)
CAST({0} AS UNSIGNED INTEGER) | CAST({0} AS BINARY) | CAST({0} AS JSON) | CAST({0} AS DOUBLE PRECISION)
CAST({0} AS POINT) | CAST({0} AS ARRAY<INT>) | CAST({0} AS 'int') | CAST({0} AS) | count({0}) | count(*)
count() | COUNT(DISTINCT {0}) | COUNT(DISTINCT {0}, name) | sum({0}) FILTER (WHERE age > 30)
SUMIF({0}, 1) | COUNT_IF({0}) | group_concat({0}) | group_concat({0}, '-')
GROUP_CONCAT({0} SEPARATOR '-') | STRING_AGG({0}, '-') | LISTAGG({0}, '-') | ARRAY_AGG({0})
ANY_VALUE({0}) | STDDEV({0}) | VARIANCE({0}) | MEDIAN({0}) | avg(DISTINCT {0}) | total({0}) | FIRST({0})
rank() OVER (ORDER BY {0}) | lag({0}) OVER (ORDER BY id) | sum({0}) OVER (ORDER BY id ROWS 1 PRECEDING)
{0} COLLATE NOCASE | SOUNDEX({0}) | SPACE(2) | REPEAT({0}, 2) | REVERSE({0}) | LPAD({0}, 5, ' ')
INITCAP({0}) | MD5({0}) | HEX({0}) | quote({0}) | DECODE({0}, 41, 2, 3)
CASE {0} WHEN 41 THEN 2 ELSE 3 END | CASE WHEN {0} THEN 2 END | BITAND({0}, 1) | {0} & 1 | {0} << 2
{0} BETWEEN 30 AND 41 | {0} NOT BETWEEN 30 AND 41 | {0} BETWEEN SYMMETRIC 41 AND 30 | {0} IN (30, 41)
{0} IN ((SELECT 41)) | {0} NOT IN (SELECT 41) | {0} = ANY (SELECT 41) | EXISTS (SELECT 1)
'France' = "France" | [country] = `country` | "nope" | [nope] | INTERVAL '1' DAY | UUID() | ISNULL({0})
date('now') = DATE('now') | typeof({0}) | {0} == 41 | {0} != 41 | {0} <> 41 | {0} !< 41
"""
_QUERIES = """
SELECT * FROM singer LIMIT 2 | SELECT * FROM singer LIMIT 1, 2 | SELECT * FROM singer OFFSET 1
SELECT TOP 2 * FROM singer | SELECT TOP (2) * FROM singer | SELECT * FROM singer FETCH FIRST 2 ROWS ONLY
SELECT * FROM singer LIMIT 2 PERCENT
SELECT * FROM singer ORDER BY id OFFSET 1 ROWS FETCH NEXT 1 ROWS ONLY
SELECT * FROM singer WHERE ROWNUM < 3 | SELECT * FROM singer FOR UPDATE
SELECT * FROM singer WITH (NOLOCK) | SELECT * FROM DUAL | SELECT * FROM ONLY singer
SELECT * FROM dbo.singer | SELECT * FROM main.singer | SELECT main.singer.id FROM singer
SELECT * FROM 'singer' | SELECT DISTINCT ON (age) name FROM singer | SELECT ALL name FROM singer
SELECT UNIQUE name FROM singer | SELECT * EXCEPT (id) FROM singer
SELECT * REPLACE (1 AS id) FROM singer | SELECT name, FROM singer | FROM singer SELECT *
SELECT name FROM singer QUALIFY row_number() OVER (ORDER BY id) = 1
SELECT name FROM singer TABLESAMPLE (10 PERCENT) | SELECT name FROM singer ORDER BY age NULLS LAST
SELECT name FROM singer ORDER BY age DESC NULLS LAST | SELECT name FROM singer SORT BY age
SELECT name FROM singer GROUP BY ROLLUP (name) | SELECT name FROM singer GROUP BY name WITH ROLLUP
SELECT name FROM singer GROUP BY ALL | SELECT age, count(*) FROM singer GROUP BY 1 ORDER BY 2 DESC, 1
SELECT name FROM singer MINUS SELECT 'Ada' | SELECT name FROM singer EXCEPT ALL SELECT 'Ada'
SELECT 1 UNION DISTINCT SELECT 2
SELECT name FROM singer UNION SELECT "order" FROM concert ORDER BY "name"
SELECT name FROM singer ORDER BY 1 UNION SELECT 'x'
SELECT name FROM singer LEFT SEMI JOIN concert ON 1 | SELECT name FROM singer ASOF JOIN concert ON 1
SELECT name FROM singer STRAIGHT_JOIN concert | SELECT name FROM singer, LATERAL (SELECT 1)
SELECT name FROM singer CROSS APPLY (SELECT 1) | SELECT name FROM singer LEFT JOIN concert
SELECT name FROM singer NATURAL JOIN concert | SELECT id FROM singer JOIN concert USING (id)
SELECT singer.name FROM singer AS s | SELECT s.name FROM singer s JOIN singer s
SELECT name FROM singer concert_1 JOIN concert | SELECT * FROM UNNEST([1, 2]) AS x
SELECT * FROM json_each('[1, 2]') | SELECT * FROM (VALUES (1, 2)) AS t(a, b) | VALUES (1, 2), (3, 4)
WITH x (SELECT 1) SELECT * FROM x | WITH x AS (SELECT 1 AS n) SELECT n FROM x
WITH singer AS (SELECT 1 AS id) SELECT * FROM singer | WITH x(a) AS (VALUES (1)) SELECT "a", "b" FROM x
SELECT (SELECT n FROM (SELECT age AS n)) FROM singer | SELECT name n FROM singer WHERE n = 'Ada'
SELECT worth AS age FROM singer ORDER BY singer.age, id | SELECT worth AS age FROM singer GROUP BY age
SELECT -2 AS n FROM singer GROUP BY n | SELECT name AS n, age AS n FROM singer ORDER BY n, id
SELECT name FROM singer WHERE id IN (1, 2) -- two | SELECT /*+ hint */ name FROM singer
# all of them SELECT 1 | SELECT name FROM singer OPTION (RECOMPILE)
SELECT name FROM singer LIMIT 1 ORDER BY name | (SELECT name FROM singer) | SELECT É FROM singer
SELECT 1 AS É, 2 AS é ORDER BY É
SELECT CASE age WHEN 41 THEN 1 END AS x FROM singer ORDER BY ("x"), id
"""


def _split(text: str) -> list[str]:
    return [part for line in text.splitlines() for part in line.split(" | ") if part]


FORMS = _split(_FORMS)
QUERIES = _split(_QUERIES)
