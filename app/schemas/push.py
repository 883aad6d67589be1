"""What a browser needs to subscribe to Web Push."""

from pydantic import BaseModel, Field

EXAMPLE_KEY = "BNbRL6LbpE4eV2yNJ2v1dVqgYzCyJXxzBQe1hyFPnGj1jpZ8mE6d3q8nUvHcZUQ6bC8JZ1Wl1J2nKxXo1o0Xl8M"


class WebPushKey(BaseModel):
    """The key that identifies this installation to push services."""

    public_key: str = Field(
        description="For `pushManager.subscribe({applicationServerKey: ...})`, in base64url", examples=[EXAMPLE_KEY]
    )
