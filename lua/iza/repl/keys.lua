--- What the keys do that the line editor leaves to us: Enter, Tab, arrows, Home and End.
---
--- Each is a function of (repl, text, cursor) that answers the editor once; cursor counts the bytes
--- in front of it.
local commands = require "iza.repl.commands"
local source = require "iza.repl.source"
local term = require "iza.term"

local keys = {}

local SHOWN = 200 -- candidates listed

-- ---- Enter ----

local function inside_long_string(text)
  local _, err = load(text, "=", "t")
  return err ~= nil and err:find "unfinished long" ~= nil
end

-- The text in front of the cursor with its last line moved to where it belongs, if it closes a
-- block; and the indentation of the line after it.
local function arrange(text)
  if inside_long_string(text) then return text, "" end
  local levels, following, closing = source.levels(text)
  local _, breaks = text:gsub("\n", "")
  local line = breaks + 1
  if breaks > 0 and closing[line] then
    local head, last = text:match "^(.*\n)[ \t]*(.-)$"
    text = head .. ("  "):rep(levels[line]) .. last
  end
  return text, ("  "):rep(following)
end

local function break_line(repl, text, cursor)
  local head, indent = arrange(text:sub(1, cursor))
  head = head .. "\n" .. indent
  repl.editor:reply(head .. text:sub(cursor + 1), #head)
end

function keys.newline(repl, text, cursor) break_line(repl, text, cursor) end

function keys.enter(repl, text, cursor)
  if commands.parse(text) or not text:find "%S" then return repl.editor:accept() end
  if source.incomplete(text) then return break_line(repl, text, cursor) end
  repl.editor:accept((arrange(text)))
end

-- ---- Tab ----

local function list_names(names)
  local width, columns = 0, term.columns() or 80
  for i = 1, math.min(#names, SHOWN) do width = math.max(width, term.width(names[i]) + 2) end
  local per_line = math.max(columns // width, 1)
  local rows = (math.min(#names, SHOWN) + per_line - 1) // per_line
  for row = 1, rows do
    local line = {}
    for column = 0, per_line - 1 do
      local i = row + column * rows
      if i <= math.min(#names, SHOWN) then line[#line + 1] = term.pad(names[i], width) end
    end
    print((table.concat(line):gsub(" +$", "")))
  end
  if #names > SHOWN then print(("… %d more"):format(#names - SHOWN)) end
end

-- What `:help` explains.
local function find_subject(repl, text)
  local complete = require "iza.repl.complete"
  local word, names, best = complete.among(text, require("iza.topics").subjects())
  if #names > 0 then return word, names, best end
  word, names, best = complete.at(repl.session, text)
  if #names > 0 then return word, names, best end
  return complete.at(repl.session, "iza." .. text)
end

local function find(repl, head)
  local complete = require "iza.repl.complete"
  local word = head:match "^%s*:(%a*)$"
  if word then return complete.among(word, commands.names()) end
  local command, rest = head:match "^%s*:(%a+)%s+(.*)$"
  if command == "help" then return find_subject(repl, rest) end
  return complete.at(repl.session, rest or head)
end

function keys.tab(repl, text, cursor)
  local head, tail = text:sub(1, cursor), text:sub(cursor + 1)
  if head:find "^%s*$" or head:find "\n[ \t]*$" then
    return repl.editor:reply(head .. "  " .. tail, cursor + 2)
  end
  local word, names, best, cut = find(repl, head)
  if #best > #word and not cut then
    head = head:sub(1, #head - #word) .. best
    return repl.editor:reply(head .. tail, #head)
  end
  if #names > 1 or (cut and #names > 0) then list_names(names) end
  if cut then print "… and maybe more: the table is too large to look at all of it" end
  repl.editor:reply()
end

-- ---- arrows ----

local function line_start(text, cursor) return #(text:sub(1, cursor):match "^(.*\n)" or "") end

local function line_end(text, cursor)
  return (text:find("\n", cursor + 1, true) or #text + 1) - 1
end

local function show(repl, entry)
  if entry then repl.editor:reply(entry) else repl.editor:reply() end
end

function keys.up(repl, text, cursor)
  local start = line_start(text, cursor)
  if start == 0 then return show(repl, repl.history:step(-1, text, cursor)) end
  local above = line_start(text, start - 1)
  repl.editor:reply(text, math.min(above + cursor - start, start - 1))
end

function keys.down(repl, text, cursor)
  local stop = line_end(text, cursor)
  if stop == #text then return show(repl, repl.history:step(1, text, cursor)) end
  local column = cursor - line_start(text, cursor)
  repl.editor:reply(text, math.min(stop + 1 + column, line_end(text, stop + 1)))
end

function keys.home(repl, text, cursor) repl.editor:reply(text, line_start(text, cursor)) end

keys["end"] = function(repl, text, cursor) repl.editor:reply(text, line_end(text, cursor)) end

return keys
