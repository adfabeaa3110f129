-- What an accept call brings: its entries.

-- An entry's head: its small fields, joined by blanks. One argument instead of fourteen, each of which
-- costs on both sides. What they mean is said at `AcceptRequest` in api/core/accept_requests.py.
--   op user conversation (of a fork: its source) role status form scope session, and for entries that have more
--   than a plain message, state home lease streamed as_of more turns
--   more: nothing, or external|vacant|count|checks|told|trace
--   checks: nothing, or if_last:last_message:rewritten:last_after:replaces:last_as_of
--   turns: how many earlier turns follow
local PLAIN = '^((%l+) (%d+) (%d+) (%l*) [^ ]*) (%l) (%l+) ([^ ]*)(.*)$'
local NO_NAME = string.rep('\0', 18)
-- What an entry is unless it says otherwise.
local PLAIN_ENTRY = {
  __index = { is_plain = true, state = '', external = '', count = 1, loaded = {}, externals = {}, traced = {} },
}

-- What a request's names say (entry_at), into the entry.
local function read_names(entry, request)
  if string.sub(request, 1, 18) ~= NO_NAME then
    entry.name, entry.same = string.sub(request, 1, 12), string.sub(request, 13, 18)
  end
  if #request == 18 then return end
  entry.externals = {}
  for from = 19, #request, 20 do
    local place, where = string.byte(request, from + 18, from + 19)
    entry.externals[#entry.externals + 1] = {
      name = string.sub(request, from, from + 11), same = string.sub(request, from + 12, from + 17),
      place = place, where = where,
    }
  end
end

-- The entry whose head is at this argument, and where the next one begins. After the head come:
--   key: nothing, or 18 bytes for the request (12 of its name, 6 of what it must be the same as;
--     idempotency.lua; all 0 where it has no key), then 20 for each message of a batch with an external
--     id: likewise, its place in the batch, and where PostgreSQL has the message of that id
--   data
--   instructions: only where `told` is 1
--   the earlier turns, one each
local function entry_at(at)
  local said, op, user, conversation, role, form, scope, session, rest = string.match(ARGV[at], PLAIN)
  local entry = setmetatable({
    said = said, op = op, user = user, conversation = conversation, role = role, form = form, scope = scope,
    session = session, data = ARGV[at + 2], partition = false, name = false, same = false,
  }, PLAIN_ENTRY)
  local request = ARGV[at + 1]
  if request ~= '' then read_names(entry, request) end
  at = at + 2
  if rest ~= '' then at = further.read(entry, rest, at) end
  return entry, at + 1
end
