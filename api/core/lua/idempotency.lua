-- What requests with a key made, so that a repeated one makes nothing.
--
-- Records share small hashes, "buckets", which Redis keeps as one string each: some 30 bytes a record,
-- where a key of its own takes 200 to 440. A name (api/core/accept_requests.py) is 12 bytes: 4 choose the
-- bucket, 8 are the field. A value is the entry's id (7 bytes), what makes two requests the same (6
-- bytes), and the entry's time in ms where the id does not say it.

-- What the functions take: `partition`, with its `number` and `sizes`, the key `idems` (head.lua); `name`
-- of the request; `now` in ms; `seconds` that records are kept; `id` of the entry; `same`, 6 bytes that
-- equal requests share.

local idempotency = {}

-- 7 bytes, the highest first.
local function packed(id)
  local low = id % 4294967296
  local high = (id - low) / 4294967296
  return string.char(math.floor(high / 65536), math.floor(high / 256) % 256, high % 256,
    math.floor(low / 16777216), math.floor(low / 65536) % 256, math.floor(low / 256) % 256, low % 256)
end

local function number_in(text)
  local a, b, c, d = string.byte(text, 1, 4)
  return ((a * 256 + b) * 256 + c) * 256 + d
end

local function ms_of(id) return math.floor(id / 4096) + EPOCH_MS end

-- The entry's id, its time in ms, what it must be the same as.
local function read(value)
  local a, b, c = string.byte(value, 5, 7)
  local id = number_in(value) * 16777216 + (a * 256 + b) * 256 + c
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
local function sizes_of(partition, now, seconds)
  if partition.known_sizes then return partition.known_sizes end
  local found = {}
  for size, ended_at in string.gmatch(partition.sizes or exact(BUCKETS_FEWEST), '(%d+):?(%d*)') do
    if ended_at == '' or now - tonumber(ended_at) < seconds * 1000 then
      found[#found + 1] = { size = tonumber(size), ended_at = ended_at }
    end
  end
  partition.known_sizes = found
  return found
end

local function bucket_of(partition, size, name)
  return prefixes[partition.number] .. 'idem:' .. size .. ':' .. number_in(name) % size
end

-- nil, or id, ms and same-as of what a request of this name made. Not older than records are kept.
function idempotency.find(partition, name, now, seconds)
  local field = string.sub(name, 5)
  for _, known in ipairs(sizes_of(partition, now, seconds)) do
    local value = redis.call('HGET', bucket_of(partition, known.size, name), field)
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
local function grow(partition, now, seconds)
  local list = sizes_of(partition, now, seconds)
  if list[1].size >= BUCKETS_MOST then return end
  list[1].ended_at = exact(now)
  local told = { exact(list[1].size * BUCKETS_GROWTH) }
  for _, known in ipairs(list) do told[#told + 1] = exact(known.size) .. ':' .. known.ended_at end
  partition.sizes, partition.known_sizes = table.concat(told, ' '), nil
  redis.call('SET', key(partition.number, 'idems'), partition.sizes)
end

-- Remembers what a request made.
function idempotency.remember(partition, name, id, same, now, seconds)
  local size = sizes_of(partition, now, seconds)[1].size
  local bucket, field = bucket_of(partition, size, name), string.sub(name, 5)
  local at = ms_of(id) == now and '' or exact(now)
  redis.call('HSET', bucket, field, packed(id) .. same .. at)
  redis.call('EXPIRE', bucket, seconds)
  -- One in 16 looks after its bucket: by bits that also differ from one turn's id to the next.
  if string.byte(field, 6) >= 16 then return end
  local length = redis.call('HLEN', bucket)
  if length >= BUCKET_PRUNED_FROM and length <= BUCKET_PRUNED_TO then length = prune(bucket, now, seconds) end
  if length > BUCKET_FULL then grow(partition, now, seconds) end
end

-- The id of the answer of a turn of this conversation, or ''.
function idempotency.reply(partition, conversation, turn_id, now, seconds)
  local id, _, same = idempotency.find(partition, idempotency.name_of_reply(turn_id), now, seconds)
  return id and same == idempotency.same_reply(conversation) and exact(id) or ''
end
