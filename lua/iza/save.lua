--- Writing a file from pieces that arrive one after the other; used for downloads and uploads.
local fs = require "iza.fs"

-- Raising drops the file that is written aside.
local function write_file(path, next_piece)
  local file <close>, failure = fs.open(path, "w")
  if not file then error(failure, 0) end
  local size = 0
  while true do
    local piece, err = next_piece()
    if err then error(err, 0) end
    if not piece then break end
    local ok
    ok, err = file:write(piece)
    if not ok then error(err, 0) end
    size = size + #piece
  end
  local ok, err = file:close()
  if not ok then error(err, 0) end
  return size
end

--- Writes pieces to a file until there are no more. The file appears when it is whole: a failure
--- leaves what was there.
--- Example: `save("data.bin", function() return stream:chunk() end)`
---@param path string
---@param next_piece fun(): string|nil, table|nil nil at the end; nil and an error
---@return integer? size bytes written
---@return table? err
return function(path, next_piece)
  local ok, size = pcall(write_file, path, next_piece)
  if ok then return size end
  if type(size) ~= "table" or size.code == "cancelled" then error(size, 0) end
  return nil, size
end
