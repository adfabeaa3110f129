-- Accounts that were deleted, sessions and API keys that were revoked: known to every partition.

-- Blocks a user's writes for some seconds; 0 unblocks. With a third argument, only where they are not
-- blocked already. ARGV: user, seconds[, "unless blocked"]
function operations.gone()
  for _, partition in ipairs(declared) do
    local gone = key(partition, 'gone:' .. ARGV[4])
    if ARGV[5] == '0' then
      redis.call('DEL', gone)
    elseif not ARGV[6] or redis.call('EXISTS', gone) == 0 then
      redis.call('SET', gone, '1', 'EX', ARGV[5])
    end
  end
  return 1
end

-- Ends sessions for whatever access tokens of theirs still live, and API keys. ARGV: seconds, user,
-- session or key…
function operations.revoke()
  local now = now_ms()
  for _, partition in ipairs(declared) do
    local revoked = key(partition, 'revoked')
    redis.call('ZREMRANGEBYSCORE', revoked, '-inf', exact(now))
    for at = 6, #ARGV do
      redis.call('ZADD', revoked, exact(now + number_argument(4) * 1000), ARGV[5] .. ':' .. ARGV[at])
    end
  end
  return 1
end

-- → "<user>:<session or key>" of each that must not be taken.
function operations.revoked()
  return redis.call('ZRANGEBYSCORE', key(declared[1], 'revoked'), '(' .. exact(now_ms()), '+inf')
end
