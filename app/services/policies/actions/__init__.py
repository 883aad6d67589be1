"""One file for each kind of action that a policy's step can have. Importing this folder registers them all."""

from importlib import import_module
from pkgutil import iter_modules

# The documentation lists them in this order. Add a new one at the end.
LISTED = ("notify", "assign", "change_status", "webhook", "comment", "set_severity")

for name in dict.fromkeys((*LISTED, *(found.name for found in iter_modules(__path__)))):
    import_module(f"{__name__}.{name}")
