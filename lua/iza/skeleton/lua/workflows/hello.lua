--- Greets a customer and offers what is in the catalog: `iza run hello NAME`.
local greeter = require "agents.greeter"

local name = ... or "world"
local file <close> = assert(io.open(iza.project.root .. "/catalog/service_catalog.json"))
local catalog = assert(iza.json.decode(file:read "a"))

print(greeter.greet(name))
for _, service in ipairs(catalog.services) do print(greeter.offer(service)) end
