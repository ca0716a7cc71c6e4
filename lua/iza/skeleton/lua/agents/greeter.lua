--- Finds the words for a customer.
local greeter = {}

local function price_of(service)
  return ("%d.%02d %s"):format(service.price // 100, service.price % 100, service.currency)
end

--- Greets a customer by name.
function greeter.greet(name) return ("Hello, %s. This is what we can do for you:"):format(name) end

--- One line on a service of the catalog.
function greeter.offer(service) return ("  %-16s %s"):format(service.name, price_of(service)) end

return greeter
