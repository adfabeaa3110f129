-- Accounts that were deleted and sessions that were revoked.

-- Blocks a user's writes for some seconds; 0 unblocks. With a third argument, only where they are not
-- blocked already. ARGV: user, seconds[, "unless blocked"]
function operations.gone()
  if ARGV[5] == '0' then return redis.call('DEL', key('gone:' .. ARGV[4])) end
  if ARGV[6] and redis.call('EXISTS', key('gone:' .. ARGV[4])) == 1 then return 0 end
  redis.call('SET', key('gone:' .. ARGV[4]), '1', 'EX', ARGV[5])
  return 1
end

-- Ends sessions for whatever access tokens of theirs still live. ARGV: seconds, user, session…
function operations.revoke()
  local now = now_ms()
  redis.call('ZREMRANGEBYSCORE', key('revoked'), '-inf', exact(now))
  for at = 6, #ARGV do
    redis.call('ZADD', key('revoked'), exact(now + number_argument(4) * 1000), ARGV[5] .. ':' .. ARGV[at])
  end
  return 1
end

-- → "<user>:<session>" of every session whose access tokens must not be taken.
function operations.revoked()
  return redis.call('ZRANGEBYSCORE', key('revoked'), '(' .. exact(now_ms()), '+inf')
end
