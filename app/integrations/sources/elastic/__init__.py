"""Elastic's alerts, as Kibana, Watcher and alert documents send them."""
