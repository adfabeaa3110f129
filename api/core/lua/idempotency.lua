-- What requests with a key made, so that a repeated one makes nothing.
--
-- Records share small hashes, "buckets", which Redis keeps as one string each: some 30 bytes a record,
-- where a key of its own takes 200 to 440. A name (api/core/entries.py) is 12 bytes: 4 choose the
-- bucket, 8 are the field. A value is the entry's id (7 bytes), what makes two requests the same (6
-- bytes), and the entry's time in ms where the id does not say it.

-- What the functions take: `number` of the partition; `known_sizes`, the key `idems` (head.lua); `name` of
-- the request; `now` in ms; `seconds` that records are kept; `id` of the entry; `same`, 6 bytes that
-- equal requests share.

local idempotency = {}

-- 7 bytes, the highest first.
local function packed(id)
  local bytes = {}
  for i = 7, 1, -1 do
    bytes[i] = id % 256
    id = math.floor(id / 256)
  end
  return string.char(unpack(bytes))
end

local function number_in(text, from, to)
  local number = 0
  for i = from, to do number = number * 256 + string.byte(text, i) end
  return number
end

local function ms_of(id) return math.floor(id / 4096) + EPOCH_MS end

-- The entry's id, its time in ms, what it must be the same as.
local function read(value)
  local id = number_in(value, 1, 7)
  return id, tonumber(string.sub(value, 14)) or ms_of(id), string.sub(value, 8, 13)
end

-- The name of a turn's answer, by the turn's id. It is made of the id itself: the script knows it, and
-- an id names one turn only.
function idempotency.name_of_reply(turn_id)
  local id = tonumber(turn_id)
  local index = math.floor(id / 4096) + math.floor(id / 16) % 256 * 61
  return string.sub(packed(index % 4294967296), 4) .. packed(id) .. 'r'
end

-- 6 bytes: an answer is the same as another one of its conversation, whatever it says.
function idempotency.same_reply(conversation) return string.sub(packed(tonumber(conversation)), 2) end

-- The numbers of buckets, the newest first. After one was replaced, records lie under it for as long as
-- they are kept: "<number>" of now, then "<number>:<ms of its end>"…
local function sizes(known, now, seconds)
  local found = {}
  for size, ended_at in string.gmatch(known or exact(BUCKETS_FEWEST), '(%d+):?(%d*)') do
    if ended_at == '' or now - tonumber(ended_at) < seconds * 1000 then
      found[#found + 1] = { size = tonumber(size), ended_at = ended_at }
    end
  end
  return found
end

local function bucket_of(number, size, name)
  return key(number, 'idem:' .. size .. ':' .. number_in(name, 1, 4) % size)
end

-- nil, or id, ms and same-as of what a request of this name made. Not older than records are kept.
function idempotency.find(number, known_sizes, name, now, seconds)
  local field = string.sub(name, 5)
  for _, known in ipairs(sizes(known_sizes, now, seconds)) do
    local value = redis.call('HGET', bucket_of(number, known.size, name), field)
    if value then
      local id, at, same = read(value)
      if now - at < seconds * 1000 then return id, at, same end
    end
  end
end

-- Removes what is older than it is kept from a bucket; returns what is left.
local function prune(bucket, now, seconds)
  local records, old = redis.call('HGETALL', bucket), {}
  for i = 1, #records, 2 do
    local _, at = read(records[i + 1])
    if now - at >= seconds * 1000 then old[#old + 1] = records[i] end
  end
  if #old > 0 then redis.call('HDEL', bucket, unpack(old)) end
  return #records / 2 - #old
end

-- More buckets, once one is full of records that are still kept.
local function grow(number, known_sizes, now, seconds)
  local list = sizes(known_sizes, now, seconds)
  if list[1].size >= BUCKETS_MOST then return known_sizes end
  list[1].ended_at = exact(now)
  local told = { exact(list[1].size * BUCKETS_GROWTH) }
  for _, known in ipairs(list) do told[#told + 1] = exact(known.size) .. ':' .. known.ended_at end
  local joined = table.concat(told, ' ')
  redis.call('SET', key(number, 'idems'), joined)
  return joined
end

-- Remembers what a request made. Returns the numbers of buckets, which may have changed.
function idempotency.remember(number, known_sizes, name, id, same, now, seconds)
  local size = sizes(known_sizes, now, seconds)[1].size
  local bucket, field = bucket_of(number, size, name), string.sub(name, 5)
  local at = ms_of(id) == now and '' or exact(now)
  redis.call('HSET', bucket, field, packed(id) .. same .. at)
  redis.call('EXPIRE', bucket, seconds)
  -- One in 16 looks after its bucket: by bits that also differ from one turn's id to the next.
  if string.byte(field, 6) >= 16 then return known_sizes end
  local length = redis.call('HLEN', bucket)
  if length >= BUCKET_PRUNED_FROM and length <= BUCKET_PRUNED_TO then length = prune(bucket, now, seconds) end
  if length <= BUCKET_FULL then return known_sizes end
  return grow(number, known_sizes, now, seconds)
end

-- The id of the answer of a turn of this conversation, or ''.
function idempotency.reply(number, known_sizes, conversation, turn_id, now, seconds)
  local name = idempotency.name_of_reply(turn_id)
  local id, _, same = idempotency.find(number, known_sizes, name, now, seconds)
  return id and same == idempotency.same_reply(conversation) and exact(id) or ''
end
