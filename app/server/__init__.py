"""The HTTP server between the network and the application: limits on connections and request heads."""
