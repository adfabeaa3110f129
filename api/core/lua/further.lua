-- What entries have that are no plain messages.

local further = {}

-- The length of an asset's id, and how many a message names.
local ASSET_NAME, ASSETS_MOST = 49, 10

-- What an entry has that is no plain message; returns where its last argument is.
function further.read(entry, rest, at)
  local state, home, lease, streamed, as_of, more, turns =
    string.match(rest, '^ ([^ ]*) (%d+) ([^ ]*) (%d) ([^ ]*) ([^ ]*) (%d+)$')
  entry.is_plain = false
  entry.state, entry.home, entry.lease, entry.streamed, entry.as_of = state, tonumber(home), lease, streamed, as_of
  local external, vacant, count, checks, told, trace
  if more ~= '' then
    external, vacant, count, checks, told, trace =
      string.match(more, '^([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)$')
    entry.external, entry.vacant, entry.count = external, vacant, tonumber(count)
    if trace ~= '' then entry.traced = { 't', trace } end
  end
  if checks and checks ~= '' then
    entry.is_checked = true
    local if_last, last_message, rewritten, last_after, replaces, last_as_of =
      string.match(checks, '^(%d*):(%d*):(%d*):(%d*):(%d*):(%d*)$')
    entry.if_last, entry.last_message = tonumber(if_last), tonumber(last_message)
    entry.rewritten, entry.last_after = tonumber(rewritten), tonumber(last_after)
    entry.last_as_of = tonumber(last_as_of)
    if replaces ~= '' then entry.replaces = replaces end
  end
  if told == '1' then
    at = at + 1
    entry.instructions = ARGV[at]
  end
  entry.loaded = {}
  for i = 1, tonumber(turns) do entry.loaded[i] = ARGV[at + i] end
  return at + #entry.loaded
end

-- What a message's line says of the assets that it names (api/core/assets.py), as api/core/entries.py reads it.
-- A name too many does no harm: whoever looks for it asks for the owner's.
local function named_in(extra)
  if not extra or not string.find(extra, '"asset_', 1, true) then return '' end
  local names, known = {}, {}
  for name in string.gmatch(extra, '"(asset_[%w_-]+)"') do
    if #name == ASSET_NAME and not known[name] and #names < ASSETS_MOST then
      known[name], names[#names + 1] = true, name
    end
  end
  return #names > 0 and ' ' .. table.concat(names, ' ') or ''
end

-- What a batch adds to the recent turns, {line, bytes of its text}…: what the assistant takes.
function further.lines_of(entry, id)
  local lines, first = {}, tonumber(id) - PARTITIONS * (entry.count - 1)
  for place, message in ipairs(cjson.decode(entry.data)) do
    if is_of_chat(message.role) then
      local message_id = exact(first + PARTITIONS * (place - 1))
      local from = message.role .. named_in(message.extra)
      lines[#lines + 1] = { message_id .. ':' .. from .. ':' .. message.content, #message.content }
    end
  end
  return lines
end

-- What else an entry says of its conversation, beside its own id: names and values in turn.
function further.fields_of(entry, id)
  local fields = {}
  local function set(name, value) fields[#fields + 1] = name; fields[#fields + 1] = value end
  if is_new(entry) or entry.fresh then set('owner', entry.user) end
  if entry.fresh then set('since', id) end
  if entry.op == 'open' then set('last_add', '0') end
  if entry.op == 'add' or entry.op == 'adds' or entry.op == 'fork' then set('last_add', id) end
  if REWRITES[entry.op] then
    set('rewritten', id)
    if entry.last_after then set('last_add', exact(entry.last_after)) end
  end
  if entry.op == 'delete' or entry.state == 'deleted' and entry.fresh then set('deleted', '1') end
  if entry.op == 'close' or entry.state == 'closed' and entry.fresh then set('closed', '1') end
  if entry.instructions and (is_new(entry) or entry.op == 'set' or entry.fresh) then
    set('instructions', entry.instructions)
  end
  if entry.external ~= '' and (entry.op == 'open' or entry.fresh) then set('external', entry.external) end
  return fields
end
