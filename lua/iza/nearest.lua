--- Which word was meant when one is misspelt.

-- Edits (insert, delete, change, swap neighbours) between two short words.
local function distance(a, b)
  local before, last = nil, {}
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    local row = {[0] = i}
    for j = 1, #b do
      local change = a:byte(i) == b:byte(j) and 0 or 1
      row[j] = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + change)
      local swapped = i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j)
      if swapped then row[j] = math.min(row[j], before[j - 2] + 1) end
    end
    before, last = last, row
  end
  return last[#b]
end

--- The known word that was probably meant, or begun; nil: none is near.
--- Example: `nearest("--limt", {"--limit", "--out"})` --> "--limit"
---@param word string
---@param known string[]
---@return string?
return function(word, known)
  if #word > 64 then return nil end
  local best, least
  for _, candidate in ipairs(known) do
    local letters = #candidate:gsub("^%-+", "")
    local most = letters > 1 and math.max(letters // 3, 1) or -1
    local d = math.abs(#word - #candidate)
    local begins = #word >= 3 and candidate:sub(1, #word):lower() == word:lower()
    if begins then d = 1 elseif d <= most then d = distance(word:lower(), candidate:lower()) end
    if d <= most and (not least or d < least) then
      best, least = candidate, d
    end
  end
  return best
end
