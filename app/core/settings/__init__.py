"""The settings by subject, one file each. `app.core.config.Settings` is made of them."""
