--- Puts iza in its place on this machine: a link on PATH, completion, config, token. Each step
--- knows
--- how to see whether it is done, to do it and to undo it, so the verb can be repeated.
local host = require "iza.core.host"
local project = require "iza.project"
local token = require "iza.token"

local COMPLETION = [[
# Completion for iza, made by `iza setup`.
_iza() {
  local IFS=$'\n'
  COMPREPLY=($(iza complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  [ ${#COMPREPLY[@]} = 0 ] && COMPREPLY=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}"))
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

local function home() return os.getenv "HOME" or "/root" end

local function content(path)
  local f = io.open(path, "rb")
  local text = f and f:read "a"
  if f then f:close() end
  return text
end

local function folder_of(path) return path:match "^(.*)/[^/]*$" end

-- ---- steps ----

-- A file whose content is known; one that somebody changed is left alone.
local function file_step(what, path, text)
  return {
    what = what, path = path,
    state = function()
      if not host.kind(path) then return "absent" end
      return content(path) == text and "done" or "changed"
    end,
    apply = function()
      local ok, err = host.mkdir(folder_of(path))
      if ok then ok, err = host.replace(path, text, 420) end -- rw-r--r--
      return ok, err
    end,
    remove = function() return host.remove(path) end,
  }
end

local function link_step(path, program)
  return {
    what = "the program", path = path,
    state = function()
      local kind = host.kind(path)
      if not kind then return "absent" end
      return kind == "link" and host.readlink(path) == program and "done" or "changed"
    end,
    apply = function()
      local ok, err = host.mkdir(folder_of(path))
      if ok then ok, err = host.symlink(program, path) end
      return ok, err
    end,
    remove = function() return host.remove(path) end,
  }
end

-- The token goes only when nothing else is in the data directory.
local function token_step(dir)
  return {
    what = "the token", path = dir .. "/token",
    state = function()
      if not host.kind(dir .. "/token") then return "absent" end
      return #(host.list(dir) or {}) > 1 and "in use" or "done"
    end,
    apply = function() return token.ensure(dir) end,
    remove = function()
      local ok, err = host.remove(dir .. "/token")
      if ok then host.remove(dir) end
      return ok, err
    end,
  }
end

local function steps(prefix)
  prefix = prefix or (host.uid() == 0 and "/usr/local" or home() .. "/.local")
  local bin = prefix .. "/bin"
  return {
    link_step(bin .. "/iza", host.real "/proc/self/exe"),
    file_step("completion", prefix .. "/share/bash-completion/completions/iza", COMPLETION),
    file_step("settings", project.config_file(), CONFIG),
    token_step(project.data_dir()),
  }, bin
end

-- ---- doing and undoing ----

local function say(word, step, note)
  print(("%-9s %-12s %s%s"):format(word, step.what, step.path, note and "  (" .. note .. ")" or ""))
end

local function install(step, dry)
  local state = step.state()
  if state == "done" or state == "in use" then return say("is there", step) end
  if state == "changed" then return say("kept", step, "not as setup makes it; left alone") end
  if dry then return say("would make", step) end
  local ok, err = step.apply()
  if not ok then return say("FAILED", step, tostring(err)) or err end
  say("made", step)
end

local function uninstall(step, dry)
  local state = step.state()
  if state == "absent" then return say("not there", step) end
  if state == "changed" then return say("kept", step, "not as setup made it") end
  if state == "in use" then return say("kept", step, "the data directory holds more") end
  if dry then return say("would go", step) end
  local ok, err = step.remove()
  if not ok then return say("FAILED", step, tostring(err)) or err end
  say("removed", step)
end

local function on_path(dir)
  return ((":" .. (os.getenv "PATH" or "") .. ":"):find(":" .. dir .. ":", 1, true)) ~= nil
end

return {
  group = "iza",
  summary = "Puts iza on PATH, with completion, settings and token.",
  about = "Links the program into ~/.local/bin (as root: /usr/local/bin) and makes the files for"
    .. " bash completion, settings and the API's token. It can be repeated; what somebody changed"
    .. " is left alone.",
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
      print("\n" .. bin .. " is not on your PATH. Add to ~/.profile: PATH=\"" .. bin .. ":$PATH\"")
    end
    return failed
  end,
}
