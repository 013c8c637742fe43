-- What people write instead: the unit from the cookie, murmur3, a variant for each experiment, a
-- header for the first one's variant `b`, the stamp on request and response, a log line for each
-- exposure. Counters are missing: Envoy gives Lua none.
local bit = require("bit")
local band, bxor, lshift, rshift, rol, tobit = bit.band, bit.bxor, bit.lshift, bit.rshift, bit.rol, bit.tobit
local byte = string.byte

local EXPERIMENTS = {}
for n = 0, COUNT - 1 do
  EXPERIMENTS[n + 1] = { id = "e" .. n, seed = 77777 * (n + 1) }
end

-- The low 32 bits of a product; `b` is a positive constant.
local function multiply(a, b)
  return tobit(band(a, 0xffff) * b + lshift(rshift(a, 16) * band(b, 0xffff), 16))
end

local function scramble(k)
  return multiply(rol(multiply(k, 0xcc9e2d51), 15), 0x1b873593)
end

local function murmur3(text, seed)
  local h, length = seed, #text
  local blocks = length - length % 4
  for i = 1, blocks, 4 do
    local a, b, c, d = byte(text, i, i + 3)
    h = rol(bxor(h, scramble(a + b * 0x100 + c * 0x10000 + d * 0x1000000)), 13)
    h = tobit(h * 5 + 0xe6546b64)
  end
  local a, b, c = byte(text, blocks + 1, length)
  if a then
    h = bxor(h, scramble(a + (b or 0) * 0x100 + (c or 0) * 0x10000))
  end
  h = bxor(h, length)
  h = multiply(bxor(h, rshift(h, 16)), 0x85ebca6b)
  h = multiply(bxor(h, rshift(h, 13)), 0xc2b2ae35)
  h = bxor(h, rshift(h, 16))
  return h < 0 and h + 4294967296 or h
end

local function variant(unit, experiment)
  local bucket = math.floor(murmur3(unit, experiment.seed) * 10000 / 4294967296)
  return bucket < 5000 and "a" or "b", bucket
end

function envoy_on_request(handle)
  local headers = handle:headers()
  headers:remove("x-splitway")
  headers:remove("x-e0")
  local cookie = headers:get("cookie")
  local unit = cookie and (cookie:match("^uid=([^;]+)") or cookie:match("; uid=([^;]+)"))
  if not unit then
    return
  end
  local stamp = {}
  for n, experiment in ipairs(EXPERIMENTS) do
    local chosen = variant(unit, experiment)
    if n == 1 and chosen == "b" then
      headers:replace("x-e0", "b")
    end
    stamp[n] = experiment.id .. "=" .. chosen
  end
  local text = table.concat(stamp, ", ")
  headers:replace("x-splitway", text)
  local kept = handle:streamInfo():dynamicMetadata()
  kept:set("splitway", "stamp", text)
  kept:set("splitway", "unit", unit)
  kept:set("splitway", "request_id", headers:get("x-request-id") or "")
end

function envoy_on_response(handle)
  local kept = handle:streamInfo():dynamicMetadata():get("splitway")
  if not kept then
    return
  end
  local headers = handle:headers()
  headers:replace("x-splitway", kept["stamp"])
  local status = headers:get(":status")
  for _, experiment in ipairs(EXPERIMENTS) do
    local chosen, bucket = variant(kept["unit"], experiment)
    handle:logInfo('{"event":"feature_flag.evaluation","feature_flag.key":"' .. experiment.id
      .. '","feature_flag.result.variant":"' .. chosen .. '","feature_flag.context.id":"' .. kept["unit"]
      .. '","splitway.bucket":' .. bucket .. ',"http.response.status_code":' .. status
      .. ',"splitway.request_id":"' .. kept["request_id"] .. '"}')
  end
end
