-- Keeps the last known addresses of the servers that are given by name in a file, for the next start: HAProxy reads it
-- (server-state-file) where libc does not find a name, because DNS is down just then.
local BACKEND = "kube-apiserver"
local LOOK_MS = 1000
local FILE = os.getenv("APILB_ADDRESSES")

-- "NAME", or "NAME-2" -> address; also of names that this config does not have: another one may be put back.
local known = {}

-- A server as `show servers state` has it (Management Guide 9.3): running, not checked yet, and for so long that slowstart
-- is over. Only the address counts.
local LINE = "1 " .. BACKEND .. " 1 %s %s 2 0 1 1 11 1 0 0 0 0 0 0 - %s -\n"

local function read()
	local file = io.open(FILE)
	if not file then
		return
	end
	for line in file:lines() do
		local name, address, port = line:match("^%d+ %S+ %d+ (%S+) (%S+) .* (%d+) %-$")
		if name then
			known[name] = address .. ":" .. port
		end
	end
	file:close()
end

local function text()
	local names = {}
	for name in pairs(known) do
		names[#names + 1] = name
	end
	table.sort(names)
	local lines = { "1\n" }
	for _, name in ipairs(names) do
		lines[#lines + 1] = LINE:format(name, known[name]:match("^%[?(.-)%]?:(%d+)$"))
	end
	return table.concat(lines)
end

-- Whole or not at all: who reads it may come at any time. False: it could not be written.
local function write()
	local new = FILE .. ".new"
	local file = io.open(new, "w")
	if not file then
		return false
	end
	local written = file:write(text())
	return file:close() and written and os.rename(new, FILE)
end

-- What has an address as its name is not looked up. Of a name's further addresses (NAME-2) there may be fewer than there were.
local function note(name, address)
	local host = address:match("^%[?(.-)%]?:%d+$")
	if host and name:sub(1, #host + 1) == host .. ":" then
		return false
	end
	if not host and not name:match("%-%d$") then
		return false
	end
	local before = known[name]
	known[name] = host and address
	return known[name] ~= before
end

core.register_task(function()
	-- What only tries a config out keeps nothing.
	if not FILE or not core.proxies["clients"] then
		return
	end
	read()
	local changed = false
	-- A worker that a reload has left behind looks up no names any more: the file is its successor's.
	while core.get_info()["Stopping"] == 0 do
		for name, server in pairs(core.backends[BACKEND].servers) do
			changed = note(name, server:get_addr()) or changed
		end
		if changed then
			changed = not write()
		end
		core.msleep(LOOK_MS)
	end
end)
