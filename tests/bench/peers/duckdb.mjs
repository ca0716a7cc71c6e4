// DuckDB's query time for the group-by of bench_csv.lua: node duckdb.mjs FILE.csv
// Prints "SECONDS RSS_MB CHECK": the query alone, after a warm instance and connection.
import { createRequire } from 'node:module';
const require = createRequire(new URL('../../../.deps/', import.meta.url));
const { DuckDBInstance } = require('@duckdb/node-api');

const file = process.argv[2].replaceAll("'", "''");
const instance = await DuckDBInstance.create(':memory:');
const connection = await instance.connect();
await connection.run('select 1');
const start = process.hrtime.bigint();
const reader = await connection.runAndReadAll(
  `select segment, count(*), sum(spend) from read_csv('${file}') group by segment order by segment`);
const rows = reader.getRows();
const seconds = Number(process.hrtime.bigint() - start) / 1e9;
const check = rows.map(([s, n, t]) => `${s}=${n}:${Number(t).toFixed(0)}`).join(',');
console.log(seconds, Math.round(process.resourceUsage().maxRSS / 1024), check);
