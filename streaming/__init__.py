"""The continuous consumer: Kafka to tables, one micro-batch at a time."""
