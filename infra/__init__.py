"""What it runs on: jars, a Kafka broker on loopback, the doctor."""
