"""What stands between the network and the application: connections, and the heads of requests."""
