-- What the log remembers beside its entries, and what of it may go.

-- → what is known of a user's external id (see `ext:` in head.lua), or ''. ARGV: user, digest
function operations.named() return redis.call('GET', external_key(ARGV[4], ARGV[5])) or '' end

-- What may go when memory is short, since PostgreSQL has it: recent turns, what is known of
-- conversations with nothing in the log (they have a TTL) and of their external ids, and what turns
-- said that have ended (likewise).
-- ARGV: (partition, kind, id)… → how many went.
function operations.evict()
  local gone = 0
  for at = 4, #ARGV, 3 do
    local partition, kind, id = tonumber(ARGV[at]), ARGV[at + 1], ARGV[at + 2]
    local name, may_go = key(partition, kind .. ':' .. id), false
    if kind == 'stream' or kind == 'conv' or kind == 'turns' then
      may_go = redis.call('PTTL', name) >= 0
    elseif kind == 'ext' then
      local left = redis.call('TTL', name)
      may_go = left >= 0 and left < CONVERSATION_SECONDS - EXTERNAL_LEAST_SECONDS
    end
    if may_go then gone = gone + redis.call('UNLINK', name) end
  end
  return gone
end

-- Removes what the log keeps though PostgreSQL has it. → how many entries that were.
function operations.drop_kept()
  local gone = 0
  for _, partition in ipairs(declared) do
    local id, entries = committed_of(partition)
    if entries > 0 then kept.drop(partition, id) end
    gone = gone + entries
  end
  return gone
end
