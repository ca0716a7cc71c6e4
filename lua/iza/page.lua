--- Texts for people laid out for the width of the terminal, or 80 columns: paragraphs break between
--- words, what is code keeps its lines. What `iza help` and the REPL's `:help` print goes through
--- here.
local help = require "iza.args_help"
local term = require "iza.term"

local page = {}

--- The columns that a text for people may fill.
---@return integer
function page.width() return math.max(term.columns() or 80, 20) end

-- Adds the lines of a paragraph, laid out anew when one is too long.
local function add_paragraph(out, lines, hanging, width)
  local widest = 0
  for _, line in ipairs(lines) do widest = math.max(widest, term.width(line)) end
  if widest > width then
    lines = help.wrap(table.concat(lines, " "), width - #hanging)
    for i = 2, #lines do lines[i] = hanging .. lines[i] end
  end
  table.move(lines, 1, #lines, #out + 1, out)
end

-- How a line begins a paragraph: the indentation of what follows in it; nil: it is none.
local function hanging_of(line)
  if line:find "^[-*] " then return "  " end
  if line:find "^Example: " then return "  " end
  return line:find "^[^%s|]" and "" or nil
end

--- Lays out a text: paragraphs and lists, headings in bold. Lines that are indented by 4 or more
--- and tables stay as they are, and so does what stands between fences, which are left out.
--- Example: `page.lay("a long text ...", 40)`
---@param text string
---@param width integer columns
---@return string
function page.lay(text, width)
  local out, paragraph, hanging, in_code = {}, {}, "", false
  local function flush()
    if #paragraph > 0 then add_paragraph(out, paragraph, hanging, width) end
    paragraph = {}
  end
  for line in (text .. "\n"):gmatch "(.-)\n" do
    local begins = not in_code and hanging_of(line)
    local heading = not in_code and line:match "^#+ (.*)$"
    if line:find "^```" then
      flush()
      in_code = not in_code
    elseif heading then
      flush()
      out[#out + 1] = term.style(heading, "bold")
    elseif #paragraph > 0 and (begins == "" or line:find "^ ? ? ?%S") and not in_code then
      paragraph[#paragraph + 1] = begins and line or line:gsub("^ +", hanging)
    elseif begins then
      flush()
      paragraph, hanging = {line}, begins
    else
      flush()
      out[#out + 1] = line
    end
  end
  flush()
  return table.concat(out, "\n")
end

--- Adds a text to a list of lines, indented and broken between words.
---@param out string[]
---@param indent string
---@param text string
---@param width integer columns
---@param hanging? string indentation of all lines but the first; default: indent
function page.add(out, indent, text, width, hanging)
  hanging = hanging or indent
  for i, line in ipairs(help.wrap(text, width - #hanging)) do
    out[#out + 1] = (i == 1 and indent or hanging) .. line
  end
end

return page
