local version = require "iza.version"

return {
  group = "iza",
  always = true,
  summary = "Shows the version.",
  args = {
    {"--json", help = "as JSON"},
    examples = {"iza version", "iza version --json"},
  },
  run = function(opts)
    if opts.json then
      print(require("iza.json").encode {iza = version, lua = _VERSION:match "%S+$"})
    else
      print(("iza %s (%s)"):format(version, _VERSION))
    end
  end,
}
