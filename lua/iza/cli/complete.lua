--- What a shell offers next: `iza complete -- WORD...`, the last word unfinished. An empty answer
--- means "files". The completion that `iza setup` installs calls this.
local cli = require "iza.cli"
local near = require "iza.args_help"

return {
  always = true,
  summary = "Lists what may come next on a command line.",
  args = {{"words...", help = "typed so far; the last one is unfinished"}},
  run = function(opts)
    local words = opts.words
    local verb = #words > 1 and cli.verb(words[1])
    local list = {}
    if #words < 2 then
      list = near.starting(cli.listed(), words[1] or "")
    elseif verb and verb.complete then
      list = near.starting(verb.complete(), words[#words])
    elseif verb then
      list = cli.spec(verb):complete(table.move(words, 2, #words, 1, {}))
    end
    for _, word in ipairs(list) do print(word) end
  end,
}
