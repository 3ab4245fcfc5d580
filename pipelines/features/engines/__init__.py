"""Run feature expressions on DuckDB or Spark, and read and write feature files."""
