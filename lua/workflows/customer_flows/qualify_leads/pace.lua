--- Lets others have their turn while a loop over very many rows goes on: timers, requests, Ctrl-C.
local LONGEST = 0.02 -- seconds of one turn

--- Makes a function to call for each item; now and then it waits for one turn of the loop.
--- Example: `local pace = new_pace(); for _, lead in ipairs(leads) do pace() ... end`
---@return fun()
return function()
  local since = iza.now()
  return function()
    if iza.now() - since < LONGEST then return end
    iza.sleep(0)
    since = iza.now()
  end
end
