local check = require "iza.check"
local cli = require "iza.cli"
local host = require "iza.core.host"
local project = require "iza.project"
local walk = require "iza.walk"

-- What a project has of others, or makes.
local function left_out(dir)
  local prefix = dir == "." and "" or dir:gsub("/+$", "") .. "/"
  return {[prefix .. "rocks"] = true, [prefix .. "data"] = true, [prefix .. "build"] = true,
    [prefix .. "repos"] = true}
end

local function append(list, more) table.move(more, 1, #more, #list + 1, list) end

-- The files to check, and why folders could not be read.
local function files_of(paths)
  local files, errors = {}, {}
  for _, path in ipairs(paths) do
    if host.kind(path .. "/.") == "dir" then
      local found, unread = walk.files(path, "%.lua$", left_out(path))
      append(files, found)
      append(errors, unread)
    else
      files[#files + 1] = path
    end
  end
  return files, errors
end

local function check_one(path, opts)
  if path == "-" then return check.source("(standard input)", io.read "a", opts) end
  return check.file(path, opts)
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

local function report(findings, errors, files, as_json)
  if as_json then
    local json, messages = require "iza.json", {}
    for i, err in ipairs(errors) do messages[i] = err.message end
    print(json.encode {files = files, findings = json.array(findings),
      errors = json.array(messages)})
    return
  end
  for _, finding in ipairs(findings) do show(finding) end
  io.stdout:flush()
  for _, err in ipairs(errors) do cli.failed("iza check", err) end
  local plural = #findings == 1 and "finding" or "findings"
  print(("%d %s in %d %s"):format(#findings, plural, files, files == 1 and "file" or "files"))
end

return {
  group = "project",
  always = true,
  summary = "Finds syntax errors, unknown globals and fields.",
  about = "Finds what can be known without running the code: syntax errors, unknown globals, and"
    .. " unknown fields of iza, of Lua's libraries and of modules that return a plain table. In a"
    .. " project assigning a global is a finding too. Ends with 1 when there are findings, or"
    .. " something cannot be read.",
  args = {
    {"paths...", required = true,
      help = "files, folders whose .lua files are checked, - for standard input"},
    {"--global NAME", many = true, help = "a global that exists"},
    {"--json", help = "as JSON"},
    examples = {"iza check .", "iza check lua --global ngx", "iza check . --json"},
  },
  run = function(opts)
    local globals, findings, read = {}, {}, 0
    local files, errors = files_of(opts.paths)
    for _, name in ipairs(opts.global) do globals[name] = true end
    for _, file in ipairs(files) do
      local found, err = check_one(file, {strict = is_own(file), globals = globals})
      if found then
        append(findings, found)
        read = read + 1
      else
        errors[#errors + 1] = err
      end
      iza.sleep(0)
    end
    report(findings, errors, read, opts.json)
    return #findings + #errors > 0 and 1 or 0
  end,
}
