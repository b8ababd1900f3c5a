"""What is stored and sent: settings, events, tables, and the one door to the lake."""
