--- Alternated rounds against a peer: the one way a Lua bench measures and prints.
--
-- Noise on a shared machine comes in waves, so each round measures every contestant once, in an
-- order that turns round by round, and a ratio is the median of the rounds' own ratios.

local M = {}

local function median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  local middle = #sorted // 2
  if #sorted % 2 == 1 then return sorted[middle + 1] end
  return (sorted[middle] + sorted[middle + 1]) / 2
end
M.median = median

local function number(x)
  return x >= 100 and string.format("%.0f", x) or string.format("%.3g", x)
end

--- Prints one line: bench NAME VALUE UNIT | peer PEER VALUE | ratio R.
---@param name string
---@param unit string
---@param ours number
---@param peer string
---@param theirs number
---@param ratio? number ours / theirs unless given
function M.line(name, unit, ours, peer, theirs, ratio)
  print(string.format("bench %s %s %s | peer %s %s | ratio %.2f", name, number(ours), unit, peer,
    number(theirs), ratio or ours / theirs))
end

--- Measures and prints a line for each peer.
-- `run` functions return one number in `unit`. Example:
-- `compare.rounds{name = "http.hello", unit = "req/s", ours = f, peers = {{"node", g}}}`
---@param spec {name: string, unit: string, ours: fun(): number, peers: table[], rounds?: integer}
---@return table<string, number> ratio for each peer
function M.rounds(spec)
  local contestants = { { "iza", spec.ours }, table.unpack(spec.peers) }
  local values = {}
  for i in ipairs(contestants) do values[i] = {} end
  for round = 1, spec.rounds or 5 do
    for turn = 1, #contestants do
      local i = (round + turn) % #contestants + 1
      values[i][round] = contestants[i][2]()
    end
  end
  local ratios = {}
  for i = 2, #contestants do
    local each = {}
    for round, ours in ipairs(values[1]) do each[round] = ours / values[i][round] end
    ratios[contestants[i][1]] = median(each)
    M.line(spec.name, spec.unit, median(values[1]), contestants[i][1], median(values[i]),
      median(each))
  end
  return ratios
end

return M
