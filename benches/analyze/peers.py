"""The reduction of `cargo xtask bench analyze` in other engines.

    peers.py duckdb|clickhouse|polars EXPOSURES OUTCOMES RESULT.csv < query.sql

Exposures are Parquet as `splitway compact` writes it, or the log's NDJSON; outcomes are Parquet or CSV. DuckDB and
ClickHouse run the printed query. polars' SQL lacks parts of it, so there it is written by hand, on the streaming engine.
"""

import sys

FIELDS = {
    "feature_flag.context.id": "unit",
    "feature_flag.key": "experiment",
    "feature_flag.result.variant": "variant",
    "feature_flag.result.reason": "reason",
}


def duckdb(exposures, outcomes, result, sql):
    import duckdb

    if exposures.endswith(".parquet"):
        duckdb.sql(f"CREATE VIEW exposures AS FROM '{exposures}'")
    else:
        fields = "".join(f"'{name}': 'VARCHAR', " for name in FIELDS)
        columns = f"{{{fields}'timestamp': 'TIMESTAMP', 'http.response.status_code': 'INTEGER', 'splitway.duration_ms': 'DOUBLE'}}"
        names = "".join(f'"{name}" AS {to}, ' for name, to in FIELDS.items())
        duckdb.sql(
            f"""CREATE VIEW exposures AS SELECT {names} reason = 'split' AS is_split, '' AS segment, epoch_ms(timestamp) AS time_ms,
            "http.response.status_code" AS status, "splitway.duration_ms" AS duration_ms
            FROM read_json('{exposures}', format = 'newline_delimited', columns = {columns})"""
        )
    if outcomes.endswith(".parquet"):
        duckdb.sql(f"CREATE VIEW outcomes AS FROM '{outcomes}'")
    else:
        duckdb.sql(
            f"""CREATE VIEW outcomes AS SELECT unit, metric, value, epoch_ms(time) AS time_ms FROM read_csv('{outcomes}',
            columns = {{'time': 'TIMESTAMP', 'unit': 'VARCHAR', 'metric': 'VARCHAR', 'value': 'DOUBLE'}}, header = true)"""
        )
    duckdb.sql(sql).write_csv(result, header=True)


def clickhouse(exposures, outcomes, result, sql):
    from chdb import session

    server = session.Session()
    if exposures.endswith(".parquet"):
        server.query(f"CREATE VIEW exposures AS SELECT * FROM file('{exposures}', Parquet)")
    else:
        columns = "".join(f"`{name}` String, " for name in FIELDS)
        columns += "timestamp String, `http.response.status_code` Nullable(Int32), `splitway.duration_ms` Nullable(Float64)"
        names = "".join(f"`{name}` AS {to}, " for name, to in FIELDS.items())
        server.query(
            f"""CREATE VIEW exposures AS SELECT {names} reason = 'split' AS is_split, '' AS segment,
            toUnixTimestamp64Milli(parseDateTime64BestEffort(timestamp, 3)) AS time_ms,
            `http.response.status_code` AS status, `splitway.duration_ms` AS duration_ms
            FROM file('{exposures}', JSONEachRow, '{columns}')
            SETTINGS input_format_skip_unknown_fields = 1"""
        )
    if outcomes.endswith(".parquet"):
        server.query(f"CREATE VIEW outcomes AS SELECT * FROM file('{outcomes}', Parquet)")
    else:
        server.query(
            f"""CREATE VIEW outcomes AS SELECT unit, metric, value,
            toUnixTimestamp64Milli(parseDateTime64BestEffort(time, 3)) AS time_ms
            FROM file('{outcomes}', CSVWithNames, 'time String, unit String, metric String, value Float64')"""
        )
    with open(result, "w") as file:
        file.write(str(server.query(sql, "CSVWithNames")))


def polars(exposures, outcomes, result, _):
    import polars as pl

    if exposures.endswith(".parquet"):
        e = pl.scan_parquet(exposures)
    else:
        schema = {name: pl.String for name in FIELDS}
        schema |= {"timestamp": pl.String, "http.response.status_code": pl.Int32, "splitway.duration_ms": pl.Float64}
        e = pl.scan_ndjson(exposures, schema=schema).rename(FIELDS)
        e = e.with_columns(
            is_split=pl.col("reason") == "split",
            segment=pl.lit(""),
            time_ms=pl.col("timestamp").str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="ms").dt.epoch("ms"),
            status=pl.col("http.response.status_code"),
            duration_ms=pl.col("splitway.duration_ms"),
        )
    if outcomes.endswith(".parquet"):
        o = pl.scan_parquet(outcomes)
    else:
        o = pl.scan_csv(outcomes).with_columns(
            time_ms=pl.col("time").str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="ms").dt.epoch("ms")
        )
    c, day = pl.col, 86_400_000
    key = ["experiment", "unit"]
    kept = e.filter(c("is_split") & (c("unit") != ""))
    entered = kept.group_by(key).agg(
        first_ms=c("time_ms").min(),
        variant=c("variant").sort_by("time_ms", "variant").first(),
        in_two=(c("variant").min() != c("variant").max()).cast(pl.Int64),
        segment=c("segment").sort_by("time_ms", "segment").first(),
        errors=(c("status") >= 500).fill_null(False).sum().cast(pl.Float64),
        answered=c("status").count().cast(pl.Float64),
    )
    entered = entered.join(o.select(last_ms=c("time_ms").max()), how="cross").with_columns(
        in_progress=(c("first_ms") + 7 * day > c("last_ms")).cast(pl.Int64)
    )
    # Clocks may differ by a second.
    after = (c("time_ms") >= c("first_ms") - 1000) & (c("time_ms") < c("first_ms") + 7 * day)
    before = (c("time_ms") < c("first_ms") - 1000) & (c("time_ms") >= c("first_ms") - 7 * day)
    terms = [
        term
        for name, when in (("after", (c("metric") == "order") & after), ("before", (c("metric") == "order") & before))
        for term in (
            when.any().cast(pl.Float64).alias(f"any_{name}"),
            c("value").filter(when).sum().alias(f"sum_{name}"),
            when.sum().cast(pl.Float64).alias(f"count_{name}"),
        )
    ]
    sums = entered.select(*key, "first_ms").join(o, on="unit").group_by(key).agg(*terms, outcomes=pl.len().cast(pl.Int64), inside=after.sum().cast(pl.Int64))
    wide = entered.join(sums, on=key, how="left").with_columns(
        c("^(any|sum|count)_.*$").fill_null(0.0), c("outcomes", "inside").fill_null(0), day=c("first_ms") // day
    )
    columns = ["any_after", "sum_after", "count_after", "errors", "answered", "any_before", "sum_before", "count_before"]
    out = [pl.len().alias("units"), c("in_two", "in_progress", "outcomes", "inside").sum()]
    # Products and third moments are about the experiment's means.
    wide = wide.with_columns(c(a).mean().over("experiment").alias(f"m{i}") for i, a in enumerate(columns))
    wide = wide.with_columns((c(a) - c(f"m{i}")).alias(f"x{i}") for i, a in enumerate(columns))
    for i, a in enumerate(columns):
        out += [c(f"m{i}").min().alias(f"m_{i}"), c(a).sum().alias(f"s_{i}")]
        out += [(c(f"x{i}") * c(f"x{j}")).sum().alias(f"q_{i}_{j}") for j in range(i, len(columns))]
    for i, j, k in [(0, 0, 0), *((a, b, d) for p, q in [(1, 2), (3, 4)] for a, b, d in [(p, p, p), (p, p, q), (p, q, q), (q, q, q)])]:
        out.append((c(f"x{i}") * c(f"x{j}") * c(f"x{k}")).sum().alias(f"t_{i}_{j}_{k}"))
    by = ["experiment", "variant", "segment", "day"]
    wide.group_by(by).agg(out).sort(by).collect(engine="streaming").write_csv(result)


if __name__ == "__main__":
    engine, *arguments = sys.argv[1:]
    globals()[engine](*arguments, sys.stdin.read())
