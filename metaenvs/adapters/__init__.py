"""Trials behind other libraries' interfaces; each module imports its library.

`metaenvs.adapters.gymnasium`, `metaenvs.adapters.dm_env` and `metaenvs.adapters.brax`.
For Gymnax itself nothing is needed: its ids are registered by `import metaenvs`.
"""
