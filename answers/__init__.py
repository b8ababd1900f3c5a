"""What people ask of the tables: lookup, show, report, evaluate. No Spark."""
