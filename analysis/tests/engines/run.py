"""Runs the printed reduction in the engine that it was printed for.

    run.py ENGINE EXPOSURES.parquet OUTCOMES.parquet RESULT.csv < query.sql
    run.py parse < [[dialect, query], …]

The result is what `splitway analyze --from-summary` reads.
"""

import glob
import json
import os
import subprocess
import sys
import tempfile


def duckdb(exposures, outcomes, result, sql):
    import duckdb

    duckdb.sql(f"CREATE VIEW exposures AS FROM '{exposures}'")
    duckdb.sql(f"CREATE VIEW outcomes AS FROM '{outcomes}'")
    duckdb.sql(sql).write_csv(result, header=True)


def clickhouse(exposures, outcomes, result, sql):
    from chdb import session

    server = session.Session()
    for name, path in ("exposures", exposures), ("outcomes", outcomes):
        server.query(f"CREATE VIEW {name} AS SELECT * FROM file('{path}', Parquet)")
    with open(result, "w") as file:
        file.write(str(server.query(sql, "CSVWithNames")))


def spark(exposures, outcomes, result, sql):
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
    server = builder.config("spark.sql.shuffle.partitions", "4").getOrCreate()
    for name, path in ("exposures", exposures), ("outcomes", outcomes):
        server.read.parquet(path).createOrReplaceTempView(name)
    rows = server.sql(sql)
    with open(result, "w") as file:
        file.write(",".join(rows.columns) + "\n")
        for row in rows.collect():
            file.write(",".join(str(value) for value in row) + "\n")
    server.stop()


def postgres(exposures, outcomes, result, sql):
    """A server of its own in a folder of its own, on a socket only; it refuses to run as root."""
    import duckdb

    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        os.chmod(folder, 0o777)

        def run(program, *arguments, **options):
            command = drop + [f"{programs}/{program}", *arguments]
            return subprocess.run(command, check=True, cwd=folder, **options)

        quiet = {"stdout": subprocess.DEVNULL}
        data = f"{folder}/data"
        run("initdb", "-D", data, "-U", "tester", "-A", "trust", "-N", "--locale=C", "-E", "UTF8", **quiet)
        listen = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
        run("pg_ctl", "-D", data, "-w", "-l", f"{folder}/log", "-o", listen, "start", **quiet)
        try:
            psql = ["-h", folder, "-U", "tester", "-d", "postgres", "-q", "-v", "ON_ERROR_STOP=1"]
            script = [
                "CREATE TABLE exposures (unit TEXT, experiment TEXT, variant TEXT, segment TEXT, time_ms BIGINT,"
                " is_split BOOLEAN, status INTEGER, duration_ms DOUBLE PRECISION);",
                "CREATE TABLE outcomes (unit TEXT, metric TEXT, time_ms BIGINT, value DOUBLE PRECISION);",
            ]
            for name, path, columns in (
                ("exposures", exposures, "unit, experiment, variant, segment, time_ms, is_split, status, duration_ms"),
                ("outcomes", outcomes, "unit, metric, time_ms, value"),
            ):
                duckdb.sql(f"COPY (SELECT {columns} FROM '{path}') TO '{folder}/{name}.csv' (FORCE_QUOTE (unit))")
                os.chmod(f"{folder}/{name}.csv", 0o644)
                script.append(f"\\copy {name} FROM '{folder}/{name}.csv' (FORMAT csv, HEADER)")
            run("psql", *psql, input="\n".join(script), text=True)
            run("psql", *psql, "--csv", input=sql + ";", text=True, stdout=open(result, "w"))
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "stop", **quiet)


def parse(queries):
    """How many columns each query has, by sqlglot's parser of its dialect; 0 for one that is refused."""
    import sqlglot

    def columns(dialect, sql):
        try:
            (tree,) = sqlglot.parse(sql, read=dialect, error_level=sqlglot.ErrorLevel.RAISE)
        except sqlglot.ParseError:
            return 0
        return len(tree.named_selects)

    print([columns(dialect, sql) for dialect, sql in json.loads(queries)])


if __name__ == "__main__":
    engine, *arguments = sys.argv[1:]
    globals()[engine](*arguments, sys.stdin.read())
