"""Running the service: health, healing of escalations that stand still, and repeated requests.

May import every room but explain.
"""
