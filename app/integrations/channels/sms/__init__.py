"""SMS by Twilio or by any HTTP gateway."""
