--- Puts iza in its place on this machine: a link on PATH, completion, config, token. Each step
--- knows how to see whether it is done, to do it and to undo it, so the verb can be repeated.
local fs = require "iza.fs"
local host = require "iza.core.host"
local project = require "iza.project"
local token = require "iza.token"

local COMPLETION = [[
_iza() {
  local IFS=$'\n'
  COMPREPLY=($(iza complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  [ $COMP_CWORD -gt 1 ] && [ ${#COMPREPLY[@]} -gt 0 ] && return
  COMPREPLY+=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o filenames -F _iza iza
]]

local CONFIG = [[
-- Settings of iza outside of projects, made by `iza setup`. A project has its own iza.lua with the
-- same settings: name, data, host, port.
return {
  host = "127.0.0.1",
  port = 8321,
}
]]

-- The text under a first line with its checksum.
local function sealed(text)
  local sum = 0
  for i = 1, #text do sum = (sum * 31 + text:byte(i)) & 0xffffffff end
  return ("# Completion for iza, made by `iza setup` (%08x).\n"):format(sum) .. text
end

local function home() return os.getenv "HOME" or "/root" end

local function content(path)
  local f = io.open(path, "rb")
  local text = f and f:read "a"
  if f then f:close() end
  return text
end

local function folder_of(path) return path:match "^(.*)/[^/]*$" end

-- Removes the folders above a path that became empty, below `top`.
local function trim(path, top)
  local dir = folder_of(path)
  while dir:sub(1, #top + 1) == top .. "/" and host.kind(dir) == "dir" and fs.remove(dir) do
    dir = folder_of(dir)
  end
end

-- ---- steps ----

local function write(path, text)
  local ok, err = fs.mkdir(folder_of(path))
  if ok then ok, err = host.replace(path, text, 420) end -- rw-r--r--
  return ok, err
end

-- The user's own file from the first day: an edited one stays.
local function settings_step(path, text)
  return {
    what = "settings", path = path, top = home(),
    state = function()
      if not host.kind(path) then return "absent" end
      return content(path) == text and "done" or "changed"
    end,
    apply = function() return write(path, text) end,
    remove = function() return fs.remove(path) end,
  }
end

-- Its checksum tells what another release wrote from what somebody edited.
local function completion_step(path, top)
  local text = sealed(COMPLETION)
  return {
    what = "completion", path = path, top = top,
    state = function()
      if not host.kind(path) then return "absent" end
      local found = content(path) or ""
      if found == text then return "done" end
      return found == sealed(found:match "\n(.*)$" or "") and "old" or "changed"
    end,
    apply = function() return write(path, text) end,
    remove = function() return fs.remove(path) end,
  }
end

-- A link to a program of the name iza is setup's, wherever that program lies or lay.
local function link_step(path, program, top)
  return {
    what = "the program", path = path, top = top, needed = true,
    state = function()
      local kind = host.kind(path)
      if not kind then return "absent" end
      local target = kind == "link" and host.readlink(path)
      if target == program then return "done" end
      return target and target:find "/iza$" and "old" or "changed"
    end,
    apply = function()
      local ok, err = fs.mkdir(folder_of(path))
      if ok and host.kind(path) then ok, err = fs.remove(path) end
      if ok then ok, err = host.symlink(program, path) end
      return ok, err
    end,
    remove = function() return fs.remove(path) end,
  }
end

-- The token goes only when nothing else is in the data directory.
local function token_step(dir)
  return {
    what = "the token", path = dir .. "/token", top = home(),
    state = function()
      if not host.kind(dir .. "/token") then return "absent" end
      return #(fs.list(dir) or {}) > 1 and "in use" or "done"
    end,
    apply = function() return token.ensure(dir) end,
    remove = function() return fs.remove(dir .. "/token") end,
  }
end

local function absolute(dir) return dir:sub(1, 1) == "/" and dir or host.cwd() .. "/" .. dir end

-- The folders of /usr/local are the system's and stay, also empty.
local function steps(prefix)
  local root = "/usr/local"
  prefix = prefix and absolute(prefix:gsub("(.)/+$", "%1"):gsub("^%./", ""))
    or host.uid() == 0 and root or home() .. "/.local"
  local bin, share, above = prefix .. "/bin", prefix .. "/share", folder_of(prefix)
  return {
    link_step(bin .. "/iza", host.real "/proc/self/exe", prefix == root and bin or above),
    completion_step(share .. "/bash-completion/completions/iza",
      prefix == root and share or above),
    settings_step(project.config_file(), CONFIG),
    token_step(project.user_data_dir()),
  }, bin
end

-- ---- doing and undoing ----

local function say(word, step, note)
  note = note and "  (" .. note .. ")" or ""
  print(("%-11s %-12s %s%s"):format(word, step.what, step.path, note))
end

local function install(step, dry)
  local state = step.state()
  if state == "done" or state == "in use" then return say("is there", step) end
  if state == "changed" then
    say("kept", step, "not as setup makes it; left alone: remove it to have it made anew")
    return step.needed
  end
  local word = state == "old" and "renewed" or "made"
  if dry then return say(state == "old" and "would renew" or "would make", step) end
  local ok, err = step.apply()
  if not ok then return say("FAILED", step, tostring(err)) or err end
  say(word, step)
end

local function uninstall(step, dry)
  local state = step.state()
  if state == "absent" then return say("not there", step) end
  if state == "changed" then return say("kept", step, "not as setup made it") end
  if state == "in use" then return say("kept", step, "the data directory holds more") end
  if dry then return say("would go", step) end
  local ok, err = step.remove()
  if not ok then return say("FAILED", step, tostring(err)) or err end
  trim(step.path, step.top)
  say("removed", step)
end

local function on_path(dir)
  return ((":" .. (os.getenv "PATH" or "") .. ":"):find(":" .. dir .. ":", 1, true)) ~= nil
end

return {
  group = "iza",
  always = true,
  summary = "Puts iza on PATH, with completion, settings and token.",
  about = "Links the program into ~/.local/bin (as root: /usr/local/bin) and makes the files for"
    .. " bash completion, settings and the API's token. It can be repeated: what an"
    .. " older or a moved iza left is renewed, what somebody changed is left alone. The token is"
    .. " that of your own data directory; a project's is made at its first start.",
  args = {
    {"--prefix DIR", help = "where; default ~/.local, as root /usr/local"},
    {"--undo", help = "remove what it made"},
    {"--dry-run", help = "only say what would be done"},
    examples = {"iza setup --dry-run", "iza setup --prefix ~/.local",
      "iza setup --prefix ~/.local --undo"},
  },
  run = function(opts)
    local list, bin = steps(opts.prefix)
    local failed = 0
    for _, step in ipairs(list) do
      local err = (opts.undo and uninstall or install)(step, opts.dry_run)
      if err then failed = 1 end
    end
    if not opts.undo and not on_path(bin) then
      print(("\n%s is not on your PATH. Add to ~/.profile: PATH=\"%s:$PATH\""):format(bin, bin))
    end
    return failed
  end,
}
