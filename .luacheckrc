std = "lua54"
cache = true
cache = "build/lint/luacheck"
max_line_length = 100
globals = { iza = { other_fields = true } }
exclude_files = { "rocks/share", "rocks/lib" }

files["tests/**/*_spec.lua"] = { std = "+busted" }
files["rocks/*.rockspec"] = { std = "rockspec" }
-- Declarations: their arguments and methods are documentation.
files["lua/iza/init.lua"] = { ignore = { "212", "241" } }
