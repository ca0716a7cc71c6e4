--- HTTP: requests (iza.http.client) and serving (iza.http.server), each loaded on first use.
local client_names = {
  get = true, post = true, put = true, patch = true, delete = true, head = true, request = true,
  stream = true, limits = true,
}

return setmetatable({}, {
  __index = function(http, name)
    local home = client_names[name] and "iza.http.client" or name == "serve" and "iza.http.server"
    if not home then return nil end
    local f = require(home)[name]
    rawset(http, name, f)
    return f
  end,
})
