local doctor = require "iza.doctor"
local term = require "iza.term"

local styles = {ok = "green", warn = "yellow", fail = "bold red"}

local function show(result)
  print(("%s  %-13s %s"):format(term.style(("%-4s"):format(result.state), styles[result.state]),
    result.name, result.found))
  if result.cure then print("      " .. (" "):rep(13) .. " do: " .. result.cure) end
end

return {
  group = "iza",
  always = true,
  summary = "Checks what iza needs of this machine.",
  about = "Each line is ok, warn (something will be missing) or fail (iza cannot work), with"
    .. " what to do. Ends with 1 when something fails.",
  args = {
    {"--json", help = "as JSON"},
    examples = {"iza doctor", "iza doctor --json"},
  },
  run = function(opts)
    local results = doctor.run()
    local status = 0
    for _, result in ipairs(results) do
      if result.state == "fail" then status = 1 end
    end
    if opts.json then
      print(require("iza.json").encode {ok = status == 0, checks = results})
    else
      for _, result in ipairs(results) do show(result) end
    end
    return status
  end,
}
