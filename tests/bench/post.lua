-- wrk: one prepared request after the other; at the end, one line of JSON.
-- Arguments: a file with one "path<TAB>token" a line, the body of a POST ("" for a GET), and what
-- the Idempotency-Key of each request begins with ("" for no key).

local requests, at, keys, sent = {}, 0, "", 0

function init(args)
  keys = args[3]
  local body = args[2] ~= "" and args[2] or nil
  for line in io.lines(args[1]) do
    local path, token = line:match("([^\t]+)\t([^\t]+)")
    local headers = { ["Authorization"] = "Bearer " .. token }
    if body then headers["Content-Type"] = "application/json" end
    requests[#requests + 1] = wrk.format(body and "POST" or "GET", path, headers, body)
  end
end

function request()
  at = at % #requests + 1
  if keys == "" then return requests[at] end
  sent = sent + 1
  local header = "\r\nIdempotency-Key: " .. keys .. sent .. "\r\n"
  return (requests[at]:gsub("\r\n", header, 1))
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %f, "p50_ms": %f, "failed": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
