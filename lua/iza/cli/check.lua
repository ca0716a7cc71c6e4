local check = require "iza.check"
local host = require "iza.core.host"
local project = require "iza.project"
local walk = require "iza.walk"

-- What a project has of others, or makes.
local function left_out(dir)
  local prefix = dir == "." and "" or dir:gsub("/+$", "") .. "/"
  return {[prefix .. "rocks"] = true, [prefix .. "data"] = true, [prefix .. "build"] = true,
    [prefix .. "repos"] = true}
end

local function files_of(paths)
  local files = {}
  for _, path in ipairs(paths) do
    if host.kind(path .. "/.") == "dir" then
      table.move(walk.files(path, "%.lua$", left_out(path)), 1, 1 << 20, #files + 1, files)
    else
      files[#files + 1] = path
    end
  end
  return files
end

local function is_own(path)
  local real = project.root and host.real(path)
  return real ~= nil and real:sub(1, #project.root + 1) == project.root .. "/"
end

local function show(finding)
  local place = finding.file .. ":" .. finding.line
  if finding.column then place = place .. ":" .. finding.column end
  print(place .. ": " .. finding.message)
  print(("%6d | %s"):format(finding.line, finding.source))
  if finding.column then
    local before = finding.source:sub(1, finding.column - 1):gsub("[^\t]", " ")
    print("       | " .. before .. "^")
  end
end

local function report(findings, files, as_json)
  if as_json then
    local json = require "iza.json"
    print(json.encode {files = files, findings = json.array(findings)})
    return
  end
  for _, finding in ipairs(findings) do show(finding) end
  local plural = #findings == 1 and "finding" or "findings"
  print(("%d %s in %d %s"):format(#findings, plural, files, files == 1 and "file" or "files"))
end

return {
  group = "project",
  always = true,
  summary = "Finds syntax errors and unknown globals.",
  about = "Finds what can be known without running the code: syntax errors and unknown globals."
    .. " In a project assigning a global is a finding too. Ends with 1 when there are findings.",
  args = {
    {"paths...", required = true, help = "files, or folders whose .lua files are checked"},
    {"--global NAME", many = true, help = "a global that exists"},
    {"--json", help = "as JSON"},
    examples = {"iza check .", "iza check lua --global ngx", "iza check . --json"},
  },
  run = function(opts)
    local globals, findings, files = {}, {}, files_of(opts.paths)
    for _, name in ipairs(opts.global) do globals[name] = true end
    for _, file in ipairs(files) do
      local found, err = check.file(file, {strict = is_own(file), globals = globals})
      if not found then return nil, err end
      table.move(found, 1, #found, #findings + 1, findings)
      iza.sleep(0)
    end
    report(findings, #files, opts.json)
    return #findings > 0 and 1 or 0
  end,
}
