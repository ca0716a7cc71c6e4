--- The topics of `iza help TOPIC` and the REPL's `:help TOPIC`: the pages lua/iza/help/TOPIC.md.
local doc = require "iza.doc"
local page = require "iza.page"
local sources = require "iza.sources"
local term = require "iza.term"

local topics = {}

local FOLDER = "lua/iza/help/"

--- The names of all topics, sorted.
---@return string[]
function topics.names() return sources.names(FOLDER, ".md") end

--- What can be asked about: topics, and the modules of `iza`; sorted.
---@return string[]
function topics.subjects()
  local seen, names = {}, {}
  for _, list in ipairs {topics.names(), doc.modules()} do
    for _, name in ipairs(list) do
      if not seen[name] then names[#names + 1] = name end
      seen[name] = true
    end
  end
  table.sort(names)
  return names
end

--- The page of a topic as wide as the terminal, with the functions of the module of that name.
--- Example: `print(topics.text "csv")`
---@param topic string
---@return string? text nil: there is none
function topics.text(topic)
  local text = topic:find "^[%w_]+$" and sources.read(FOLDER .. topic .. ".md")
  if not text then return nil end
  text = page.lay(text, page.width()):gsub("\n$", "")
  local list = doc.list(topic)
  if not list then return text end
  return text .. "\n\n" .. term.style("functions of iza." .. topic .. ":", "bold") .. "\n" .. list
end

return topics
