"""Running the service: health checks, restarting stuck escalations, and repeated requests.

May import every room but explain.
"""
