-- Installs the program `iza` and its editor types from this checkout:
--   luarocks --lua-version 5.4 make rocks/iza-dev-1.rockspec
-- The packages that building needs come by `make deps`.
rockspec_format = "3.0"
package = "iza"
version = "dev-1"
source = {
  url = "git+file://.",
}
description = {
  summary = "A C engine with embedded Lua for a service business on one machine",
  license = "MIT",
}
dependencies = {
  "lua >= 5.4, < 5.5",
}
build = {
  type = "command",
  build_command = "make build",
  install_command = 'make install PREFIX="$(PREFIX)"',
}
