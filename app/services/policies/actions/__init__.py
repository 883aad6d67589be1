"""One file for each kind of action that a policy's step can have. Importing this folder registers them all."""

from importlib import import_module
from pkgutil import iter_modules

# In this order the documentation lists them; a new one comes after these.
LISTED = ("notify", "assign", "change_status", "webhook", "comment", "set_severity")

for name in dict.fromkeys((*LISTED, *(found.name for found in iter_modules(__path__)))):
    import_module(f"{__name__}.{name}")
