-- Parts of a script of which few calls need anything: Redis makes every function of a script anew in each call.
-- api/core/log_scripts.py wraps the files of a part in this: they are run once a function of their tables is asked
-- for.

local function part(tables, make)
  local unmade = {
    __index = function(of, name)
      for _, one in ipairs(tables) do setmetatable(one, nil) end
      make()
      return of[name]
    end,
  }
  for _, one in ipairs(tables) do setmetatable(one, unmade) end
end
