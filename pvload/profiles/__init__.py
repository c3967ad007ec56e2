"""Profiles: one TOML file is one experiment. `schema` says what may stand in it, `load` reads it."""
