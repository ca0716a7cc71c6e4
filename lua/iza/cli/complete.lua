--- What a shell offers next: `iza complete -- WORD...`, the last word unfinished. An empty answer
--- means "files". The completion that `iza setup` installs calls this. Options are offered once a
--- dash is typed.
local cli = require "iza.cli"
local help = require "iza.args_help"

-- What `iza -` may go on with.
local OPTIONS = {"-e", "--help", "--version", "--workers"}

local function next_words(words)
  if #words < 2 then return table.move(OPTIONS, 1, #OPTIONS, 1 + #cli.listed(), cli.listed()) end
  local verb = cli.verb(words[1])
  if not verb then return {} end
  local rest = table.move(words, 2, #words, 1, {})
  return verb.complete and verb.complete(rest) or cli.spec(verb):complete(rest)
end

return {
  always = true,
  summary = "Lists what may come next on a command line.",
  args = {{"words...", help = "typed so far; the last one is unfinished"}},
  run = function(opts)
    local words = opts.words
    local last = words[#words] or ""
    for _, word in ipairs(help.starting(next_words(words), last)) do
      if last ~= "" or word:sub(1, 1) ~= "-" then print(word) end
    end
  end,
}
